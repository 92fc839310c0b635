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
    /// The one method it behaves for, where it is not for them all.
    pub method: Option<String>,
    /// Those methods that something else behaves for.
    pub methods: Vec<Entry>,
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

    /// A problem with the method it behaves for.
    pub fn method_problem(&self, problem: Problem) -> Problem {
        let methods = Path::default().then("services").then(self.name.as_str()).then("methods");
        let path = methods.then(self.method.as_deref().unwrap_or_default());
        self.section.text.locate(problem.key().below(&path))
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
        Tree::Map(mut services) => {
            outdented(&mut services, &path, text, problems);
            let one = |(name, service): (String, Tree)| {
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
            };
            services.into_iter().filter_map(one).collect()
        }
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

/// Takes out what belongs to a service and stands beside it, and the service with
/// it: it is told once, and nothing that follows from it.
fn outdented(services: &mut Vec<(String, Tree)>, path: &Path, text: &Text, problems: &mut Problems) {
    let is_setting = |(name, _): &(String, Tree)| ["schema", "handler", "methods"].contains(&name.as_str());
    while let Some(first) = services.iter().position(is_setting) {
        let settings = services[first..].iter().take_while(|service| is_setting(service)).count();
        let setting = &services[first].0;
        let owner = first.checked_sub(1).map(|before| services[before].0.as_str());
        let problem = match owner {
            Some(owner) => Problem::new(format!("`{setting}` stands beside `{owner}`, not below it"))
                .help(format!("indent these below `{owner}`")),
            None => Problem::new(format!("`{setting}` is a setting of a service, and this is where one is named"))
                .help("write the service's full name above, and indent these below it"),
        };
        problems.push(text.locate(problem.label("not a service").key().below(&path.then(setting.as_str()))));
        services.drain(first.saturating_sub(1)..first + settings);
    }
}

/// One service; `None` where there is no telling how it is to behave.
fn entry(name: String, mut service: Tree, path: Path, text: &Arc<Text>, problems: &mut Problems) -> Option<Entry> {
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
    // The handlers' parts are typed by their plugins; here they only must be there.
    let handler = service.take("handler");
    let methods = service.take("methods");
    if let Tree::Map(keys) = &mut service {
        for (key, _) in [("handler", &handler), ("methods", &methods)].iter().filter(|(_, there)| there.is_some()) {
            keys.push(((*key).to_owned(), Tree::empty()));
        }
    }
    let section = Section { tree: service, path: path.clone(), text: text.clone() };
    let schema = problems.take(section.read::<shape::Service>()).and_then(|service| service.schema);
    let methods =
        methods.map_or_else(Vec::new, |methods| overrides(&name, methods, &path.then("methods"), text, problems));
    let entry = handled(name, handler?, path.then("handler"), text, problems)?;
    Some(Entry { schema, methods, ..entry })
}

/// What behaves for single methods.
fn overrides(service: &str, methods: Tree, path: &Path, text: &Arc<Text>, problems: &mut Problems) -> Vec<Entry> {
    match methods {
        Tree::Map(methods) => methods
            .into_iter()
            .filter_map(|(method, handler)| {
                let entry = handled(service.to_owned(), handler, path.then(method.as_str()), text, problems)?;
                Some(Entry { method: Some(method), ..entry })
            })
            .collect(),
        Tree::Told => Vec::new(),
        _ => {
            let problem = Problem::new("`methods` must be a map from methods to what behaves for them")
                .label("not a map")
                .help("such as `methods: { SayHello: { rules: [ … ] } }`");
            problems.push(text.locate(problem.below(path)));
            Vec::new()
        }
    }
}

/// A kind and its settings; `None` where there is no telling them.
fn handled(name: String, handler: Tree, path: Path, text: &Arc<Text>, problems: &mut Problems) -> Option<Entry> {
    let entry = |kind, tree, path, kind_is_key| {
        let section = Section { tree, path, text: text.clone() };
        Entry { name, kind, schema: None, section, method: None, methods: Vec::new(), kind_is_key }
    };
    match handler {
        Tree::Told => None,
        Tree::Scalar(Value::String(kind)) | Tree::Filled(Value::String(kind), _) => {
            Some(entry(kind, Tree::empty(), path, false))
        }
        Tree::Map(mut kinds) if kinds.len() == 1 => kinds.pop().map(|(kind, settings)| {
            let settings = if let Tree::Scalar(Value::Null) = settings { Tree::empty() } else { settings };
            let path = path.then(kind.as_str());
            entry(kind, settings, path, true)
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
