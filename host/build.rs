//! From plans to mounts: each with its schema, and with what behaves for single
//! methods of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prost_reflect::ServiceDescriptor;
use tokio::task::JoinSet;

use super::keep::Keep;
use super::mount::Mount;
use super::plugin::Build;
use super::registry::Plan;
use super::schema::{self, Loaded, Schema};
use crate::config::{self, Document, Entry, Failure, Problem, Problems, Sources};

/// Every plan with the schema that the operator gives it; those whose schema
/// cannot be used are told, and left out.
pub(super) async fn with_schemas(
    plans: Vec<Plan>,
    document: &mut Document,
    keep: &Keep,
    tasks: &mut JoinSet<()>,
    problems: &mut Problems,
) -> Vec<(Plan, Option<Arc<Schema>>)> {
    let mut asked = BTreeMap::new();
    for entry in plans.iter().map(|plan| &plan.entry) {
        if let Some(setting) = &entry.schema {
            asked.entry(schema::key(setting, &entry.name)).or_insert((setting, entry));
        }
    }
    let base = &document.base;
    let loads = asked.into_iter().map(|(key, (setting, entry))| async move {
        let loaded = schema::load(setting, &entry.name, base, keep).await;
        (key, entry, loaded)
    });
    let mut schemas = BTreeMap::new();
    let mut read = Sources::default();
    for (key, entry, Loaded { schema, sources, task }) in futures_util::future::join_all(loads).await {
        read.extend(sources);
        task.map(|task| tasks.spawn(task));
        // Told once, whoever shares it.
        schemas.insert(
            key,
            problems.take(schema.map_err(|problems| problems.map(|problem| entry.schema_problem(problem)))),
        );
    }
    document.sources.extend(read);
    let ready = plans.into_iter().filter_map(|plan| {
        let Some(setting) = &plan.entry.schema else { return Some((plan, None)) };
        let schema = schemas.get(&schema::key(setting, &plan.entry.name))?.clone()?;
        Some((plan, Some(schema)))
    });
    ready.collect()
}

/// What came of one plan.
pub(super) struct Made {
    pub(super) entry: Entry,
    pub(super) mount: Result<Mount, Problems>,
    /// What behaves for single methods.
    pub(super) methods: Vec<(Entry, Mount)>,
    pub(super) sources: Sources,
    pub(super) tasks: Vec<JoinSet<()>>,
}

/// Builds a plan, and then what behaves for single methods of it.
pub(super) async fn make(mut plan: Plan, schema: Option<Arc<Schema>>, base: &Path, keep: &Keep) -> Made {
    let methods = std::mem::take(&mut plan.methods);
    let mut made = make_one(plan, schema.clone(), base, keep).await;
    let mut problems = Problems::default();
    if let Ok(mount) = &made.mount {
        let schema = schema.unwrap_or_else(|| Arc::new(mount.schema.clone()));
        for plan in methods {
            if problems.take(is_method(&plan.entry, &mount.service)).is_none() {
                continue;
            }
            let Made { entry, mount, sources, tasks, .. } = make_one(plan, Some(schema.clone()), base, keep).await;
            made.sources.extend(sources);
            made.tasks.extend(tasks);
            made.methods.extend(problems.take(mount).map(|mount| (entry, mount)));
        }
    }
    made.mount = made.mount.and_then(|mount| problems.or(mount));
    made
}

async fn make_one(plan: Plan, schema: Option<Arc<Schema>>, base: &Path, keep: &Keep) -> Made {
    let entry = plan.entry.clone();
    let build = Build::new(&entry, schema, base, keep.clone());
    let mut mount = plan.build(&build).await;
    if let Err(problem) = build.finds_its_service() {
        mount = Err(entry.problem(problem).into());
    }
    if mount.is_ok() && build.ignores_schema() && entry.schema.is_some() {
        let problem = Problem::new(format!("the handler `{}` brings its own schema", entry.kind))
            .label("of no use")
            .help("take `schema` out");
        mount = Err(entry.schema_problem(problem).into());
    }
    let mount = mount.and_then(|mount| match mount.service.full_name() == entry.name {
        true => Ok(mount),
        false => {
            let implements = mount.service.full_name();
            let problem =
                Problem::new(format!("the handler `{}` serves `{implements}`, not `{}`", entry.kind, entry.name))
                    .label("another service's name")
                    .help(format!("mount it as `{implements}`"));
            Err(entry.problem(problem).into())
        }
    });
    let (sources, tasks) = build.into_parts();
    Made { entry, mount, methods: Vec::new(), sources, tasks: vec![tasks] }
}

/// What else is wrong with a document that is refused already, as far as that
/// does not follow from what is known: nothing of it is made, and no other
/// server is asked for its schema, which the operator would wait for.
pub(super) async fn inspect(plans: Vec<Plan>, mut document: Document, mut problems: Problems, keep: &Keep) -> Failure {
    let mut refreshes = JoinSet::new();
    let here = |plan: &Plan| !matches!(plan.entry.schema, Some(config::Schema::Reflect { .. }));
    let plans = plans.into_iter().filter(here).collect();
    let plans = with_schemas(plans, &mut document, keep, &mut refreshes, &mut problems).await;
    for (mut plan, schema) in plans {
        let methods = std::mem::take(&mut plan.methods);
        for plan in std::iter::once(plan).chain(methods) {
            let entry = plan.entry.clone();
            let build = Build::new(&entry, schema.clone(), &document.base, keep.clone());
            let found = plan.inspect(&build).await;
            let is_there = build.finds_its_service();
            document.sources.extend(build.into_parts().0);
            if let Err(problem) = is_there {
                problems.push(entry.problem(problem));
                break;
            }
            problems.take(found.or(()));
        }
    }
    let problems = problems.or(()).err().unwrap_or_default();
    Failure { problems, sources: document.sources }
}

/// Whether the service has the method that something is to behave for.
fn is_method(entry: &Entry, service: &ServiceDescriptor) -> Result<(), Problem> {
    let wanted = entry.method.as_deref().unwrap_or_default();
    let known: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
    if known.iter().any(|known| known == wanted) {
        return Ok(());
    }
    let problem = Problem::new(format!("`{}` has no method `{wanted}`", entry.name)).label("unknown method");
    let problem = problem.meant(wanted, known.iter().map(String::as_str));
    Err(entry.method_problem(problem.help(format!("methods: {}", known.join(", ")))))
}
