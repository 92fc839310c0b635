//! Mounts put together: what calls find, what reflection answers from, and what
//! callers of the configuration so far will not understand.

use std::collections::HashSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::generation::{Generation, Method, Mounted};
use super::mount::Mount;
use super::reflection::Index;
use super::schema::wire::{self, Break};
use crate::config::{Document, Entry, Problem, Problems, WireBreaks};

/// What behaves for single methods of a service.
type Methods = Vec<(Entry, Mount)>;

/// All of it.
pub(super) struct Assembled {
    pub(super) services: FxHashMap<String, Mounted>,
    pub(super) index: Index,
    pub(super) breaks: Vec<Break>,
}

/// Puts the mounts of a document together, beside the generation that serves.
/// Takes as long as the schemas are large, and so does dropping them.
pub(super) fn assemble(
    mounts: Vec<(Entry, Mount, Methods)>,
    document: &Document,
    before: &Generation,
) -> Result<Assembled, Problems> {
    let mut problems = Problems::default();
    let mut services = FxHashMap::default();
    let mut index = Index::default();
    let mut breaks = Vec::new();
    let mut schemas = Vec::new();
    let refuses = document.shape.reload.wire_breaks == WireBreaks::Refuse;
    problems.take(index.add_hosts_own());
    for (entry, mount, others) in mounts {
        let place = |problem| match entry.schema {
            Some(_) => entry.schema_problem(problem),
            None => entry.problem(problem),
        };
        let Mount { service, schema, route, own, health, largest_message, packed } = mount;
        let files = schema.closure(service.parent_file().name());
        problems.take(index.add(&entry.name, files).map_err(place));
        let broken = before.descriptor(&entry.name).map(|old| wire::breaks(old, &service)).unwrap_or_default();
        if refuses {
            broken.iter().for_each(|found| problems.push(place(refused(found))));
        }
        breaks.extend(broken);
        let mut methods: FxHashMap<_, _> = service.methods().map(Method::of).collect();
        for (name, route) in own {
            if let Some(method) = methods.get_mut(&name) {
                method.own = Some((Arc::from(route), largest_message));
            }
        }
        schemas.push((entry.name.clone(), schema, packed));
        // What the operator says of a method comes last, and holds.
        for (other, mount) in others {
            if let Some(method) = other.method.and_then(|name| methods.get_mut(&name)) {
                method.own = Some((mount.route, mount.largest_message));
            }
            schemas.push((other.name, mount.schema, mount.packed));
        }
        services.insert(entry.name, Mounted { service, route, methods, largest_message, health });
    }
    problems.take(index.add_packed(&schemas));
    let asked: HashSet<&str> = document.services.iter().map(|entry| entry.name.as_str()).collect();
    for old in before.descriptors().filter(|old| !asked.contains(old.full_name())) {
        let (file, symbol) = (old.parent_file().name().to_owned(), old.full_name().to_owned());
        let gone = Break { file, symbol, what: "is served no more".to_owned() };
        if refuses {
            problems.push(document.problem(refused(&gone).key().within("services")));
        }
        breaks.push(gone);
    }
    problems.or(Assembled { services, index, breaks })
}

fn refused(Break { file, symbol, what }: &Break) -> Problem {
    Problem::new(format!("callers of the schema so far would be misunderstood: in `{file}`, `{symbol}` {what}"))
        .help("`reload: { wire_breaks: warn }` applies it all the same")
}
