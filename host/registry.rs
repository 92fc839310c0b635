//! The kinds this binary can host, and the way from an entry of the file to a
//! typed plan.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::mount::Mount;
use super::plugin::{BoxError, Build, Plugin};
use crate::config::{Document, Entry, Problem, Problems};

type Built<'a> = Pin<Box<dyn Future<Output = Result<Mount, BoxError>> + Send + 'a>>;

/// One service typed and checked, waiting to be built. The settings' type is
/// closed over, so nothing is cast back.
pub struct Plan {
    /// What the operator asked for.
    pub entry: Entry,
    /// The settings in full, defaults filled in.
    pub effective: Value,
    /// What behaves for single methods.
    pub methods: Vec<Plan>,
    build: Box<dyn for<'a> FnOnce(&'a Build) -> Built<'a> + Send>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("entry", &self.entry.name).finish_non_exhaustive()
    }
}

impl Plan {
    /// Builds the mount. A plugin that panics fails its build, not the host.
    pub(super) async fn build(self, build: &Build) -> Result<Mount, Problems> {
        let Plan { entry, build: make, .. } = self;
        let built = AssertUnwindSafe(async { make(build).await }).catch_unwind().await;
        let built = built.unwrap_or_else(|_| {
            let problem = Problem::new(format!("the handler `{}` panicked while it was made", entry.kind));
            Err(problem.help("the fault is the handler's, not the file's").into())
        });
        built.map_err(|error| entry.section.problems(problems(error)))
    }
}

/// What a plugin's error says, with its own place where it knows one.
fn problems(error: BoxError) -> Problems {
    match error.downcast::<Problems>() {
        Ok(problems) => *problems,
        Err(error) => match error.downcast::<Problem>() {
            Ok(problem) => (*problem).into(),
            Err(error) => Problem::new(error.to_string()).into(),
        },
    }
}

type Planner = dyn Fn(Entry) -> Result<Plan, Problems> + Send + Sync;

/// One kind.
#[derive(Clone)]
struct Kind {
    plan: Arc<Planner>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Every kind this binary can host, by the word operators write.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Kind>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Registry {
    /// One kind more. A second plugin of one kind replaces the first, so that
    /// a host of your own may bring its own version of a standard kind.
    pub fn with<P: Plugin>(mut self, plugin: P) -> Registry {
        let plugin = Arc::new(plugin);
        let plan = move |entry: Entry| {
            let config: P::Config = entry.section.read()?;
            let effective = serde_json::to_value(&config).unwrap_or_default();
            let plugin = plugin.clone();
            let build: Box<dyn for<'a> FnOnce(&'a Build) -> Built<'a> + Send> =
                Box::new(move |build| Box::pin(async move { plugin.build(config, build).await }));
            Ok(Plan { entry, effective, methods: Vec::new(), build })
        };
        let schema = |generator: &mut SchemaGenerator| generator.subschema_for::<P::Config>();
        self.0.insert(P::KIND, Kind { plan: Arc::new(plan), schema });
        self
    }

    /// The kinds by name.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The JSON Schema of a kind's settings.
    pub fn schema(&self, kind: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
        self.0.get(kind).map(|kind| (kind.schema)(generator))
    }

    /// Types every entry of a document, or gathers everything that is wrong.
    pub fn plan(&self, document: &Document) -> Result<Vec<Plan>, Problems> {
        let mut problems = document.problems.clone();
        let mut plans = Vec::new();
        for entry in &document.services {
            if problems.is_full() {
                break;
            }
            plans.extend(problems.take(self.plan_one(entry.clone())));
        }
        problems.or(plans)
    }

    fn plan_one(&self, entry: Entry) -> Result<Plan, Problems> {
        if is_hosts_own(&entry.name) {
            let problem = Problem::new(format!("`{}` is the host's own and always there", entry.name))
                .label("cannot be mounted")
                .help("take this entry out");
            return Err(entry.problem(problem).into());
        }
        match self.0.get(entry.kind.as_str()) {
            Some(kind) => {
                let mut problems = Problems::default();
                let methods = entry.methods.clone();
                let plans = methods.into_iter().filter_map(|method| problems.take(self.plan_one(method))).collect();
                let plan = problems.take((kind.plan)(entry));
                problems.or(plan).and_then(|plan| match plan {
                    Some(plan) => Ok(Plan { methods: plans, ..plan }),
                    // Without a word: what is wrong was told before.
                    None => Err(Problems::default()),
                })
            }
            None => {
                let problem =
                    Problem::new(format!("there is no kind of handler called `{}`", entry.kind)).label("unknown kind");
                let problem = problem.meant(&entry.kind, self.kinds());
                let known = self.kinds().collect::<Vec<_>>().join(", ");
                Err(entry.kind_problem(problem.help(format!("known kinds: {known}"))).into())
            }
        }
    }
}

/// Whether a name is a service of the host itself.
fn is_hosts_own(service: &str) -> bool {
    super::HOSTS_OWN.contains(&service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    struct Panics;

    impl Plugin for Panics {
        const KIND: &'static str = "panics";
        type Config = std::collections::BTreeMap<String, String>;

        async fn build(&self, config: Self::Config, _: &Build) -> Result<Mount, BoxError> {
            Err(config["no such key"].clone().into())
        }
    }

    #[tokio::test]
    async fn a_plugin_that_panics_while_it_builds_is_a_problem_with_a_place() {
        let host = Host::new(Registry::default().with(Panics)).unwrap();
        let text = "services:\n  a.B:\n    handler: panics\n";
        let document = Document::parse("x.yaml", text, std::path::Path::new("."), &|_| None).unwrap();
        let told = host.build(document).await.unwrap_err().problems.to_string();
        assert!(told.starts_with("x.yaml:3:14: the handler `panics` panicked"), "{told}");
    }
}
