//! `services:`: each one's name, its kind of handler, and that kind's settings.

use std::sync::Arc;

use serde_json::Value;

use super::place::Path;
use super::problem::{Problem, Problems};
use super::schema::Schema;
use super::section::Section;
use super::values::Tree;
use super::{Text, shape};

/// One service the operator asked for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its full gRPC name.
    pub name: String,
    /// The kind of plugin that is to behave for it.
    pub kind: String,
    /// Where its schema comes from, if the operator says.
    pub schema: Option<Schema>,
    /// That plugin's settings.
    pub section: Section,
    /// Whether the kind is a key with settings below it, not a bare word.
    kind_is_key: bool,
}

impl Entry {
    /// A problem with the kind asked for.
    pub fn kind_problem(&self, problem: Problem) -> Problem {
        self.section.problem(if self.kind_is_key { problem.key() } else { problem })
    }

    /// A problem with its schema.
    pub fn schema_problem(&self, problem: Problem) -> Problem {
        let path = Path::default().then("services").then(self.name.as_str()).then("schema");
        self.section.text.locate(problem.below(&path))
    }

    /// A problem with the service as a whole.
    pub fn problem(&self, problem: Problem) -> Problem {
        let path = Path::default().then("services").then(self.name.as_str());
        self.section.text.locate(problem.key().below(&path))
    }
}

/// The services in the order of the file.
pub(super) fn entries(services: Tree, text: &Arc<Text>, problems: &mut Problems) -> Vec<Entry> {
    let path = Path::default().then("services");
    match services {
        Tree::Map(services) => services
            .into_iter()
            .filter_map(|(name, service)| {
                if problems.is_full() {
                    return None;
                }
                let path = path.then(name.as_str());
                if !is_service_name(&name) {
                    let problem = Problem::new(format!("`{name}` is not a full service name"))
                        .label("not a service name")
                        .help("write the package and the service as grpcurl lists them: `routeguide.RouteGuide`");
                    problems.push(text.locate(problem.key().below(&path)));
                }
                entry(name, service, path, text, problems)
            })
            .collect(),
        Tree::Told => Vec::new(),
        _ => {
            let problem = Problem::new("`services` must be a map from full service names to what behaves for them")
                .label("not a map")
                .help("such as `services: { routeguide.RouteGuide: { handler: route_guide } }`")
                .help("for no services at all write `services: {}`");
            problems.push(text.locate(problem.below(&path)));
            Vec::new()
        }
    }
}

/// One service; `None` where there is no telling how it is to behave.
fn entry(name: String, mut service: Tree, path: Path, text: &Arc<Text>, problems: &mut Problems) -> Option<Entry> {
    let section = |tree: Tree, path: &Path| Section { tree, path: path.clone(), text: text.clone() };
    match &service {
        Tree::Map(_) => {}
        Tree::Told => return None,
        other => {
            let kind = if let Tree::Scalar(Value::String(kind)) = other { kind } else { "KIND" };
            let problem = Problem::new(format!("what behaves for `{name}` is not said"))
                .label("needs `handler`")
                .help(format!("write `{name}: {{ handler: {kind} }}`"));
            problems.push(text.locate(problem.below(&path)));
            return None;
        }
    }
    // The handler's part is typed by its plugin; here it only must be there.
    let handler = service.take("handler");
    if let (Tree::Map(keys), Some(_)) = (&mut service, &handler) {
        keys.push(("handler".to_owned(), Tree::empty()));
    }
    let schema = problems.take(section(service, &path).read::<shape::Service>()).and_then(|service| service.schema);
    let handler = handler?;
    let path = path.then("handler");
    match handler {
        Tree::Told => None,
        Tree::Scalar(Value::String(kind)) | Tree::Filled(Value::String(kind), _) => {
            Some(Entry { name, kind, schema, section: section(Tree::empty(), &path), kind_is_key: false })
        }
        Tree::Map(mut kinds) if kinds.len() == 1 => kinds.pop().map(|(kind, settings)| {
            let settings = if let Tree::Scalar(Value::Null) = settings { Tree::empty() } else { settings };
            let section = section(settings, &path.then(kind.as_str()));
            Entry { name, kind, schema, section, kind_is_key: true }
        }),
        handler => {
            let problem = Problem::new("a handler is one kind: a word, or a map with exactly one key")
                .help("such as `handler: route_guide` or `handler: { route_guide: { profile: go } }`");
            let problem = match handler {
                Tree::Map(kinds) if kinds.len() > 1 => problem.label("a second kind").within(kinds[1].0.as_str()).key(),
                _ => problem.label("not one kind"),
            };
            problems.push(text.locate(problem.below(&path)));
            None
        }
    }
}

/// Identifiers joined by dots, as protobuf has them.
fn is_service_name(name: &str) -> bool {
    name.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}
