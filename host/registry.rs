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
use crate::config::{Document, Entry, Problem, Problems, Remains};

type Built<'a> = Pin<Box<dyn Future<Output = Result<Mount, BoxError>> + Send + 'a>>;

/// What a plan is carried out for.
#[derive(Clone, Copy)]
enum Aim {
    /// To be served.
    Serve,
    /// To hear what else is wrong.
    Inspect,
}

/// One service typed and checked, waiting to be built. The settings' type is
/// closed over, so nothing is cast back.
pub struct Plan {
    /// What the operator asked for.
    pub entry: Entry,
    /// The settings in full, defaults filled in.
    pub effective: Value,
    /// What behaves for single methods.
    pub methods: Vec<Plan>,
    carry_out: Box<CarryOut>,
}

type CarryOut = dyn for<'a> FnOnce(&'a Build, Aim) -> Built<'a> + Send;

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("entry", &self.entry.name).finish_non_exhaustive()
    }
}

impl Plan {
    /// Builds the mount. A plugin that panics fails its build, not the host.
    pub(super) async fn build(self, build: &Build) -> Result<Mount, Problems> {
        self.carry_out(build, Aim::Serve).await
    }

    /// What else is wrong, where something is already.
    pub(super) async fn inspect(self, build: &Build) -> Problems {
        self.carry_out(build, Aim::Inspect).await.err().unwrap_or_default()
    }

    async fn carry_out(self, build: &Build, aim: Aim) -> Result<Mount, Problems> {
        let Plan { entry, carry_out, .. } = self;
        let built = AssertUnwindSafe(async { carry_out(build, aim).await }).catch_unwind().await;
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

type Planner = dyn Fn(Entry, &mut Problems) -> Option<Plan> + Send + Sync;

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
        let plan = move |entry: Entry, problems: &mut Problems| {
            let Remains { settings, amiss, problems: found } = entry.section.salvage::<P::Config>();
            problems.take(found.or(()));
            let config = settings?;
            let effective = serde_json::to_value(&config).unwrap_or_default();
            let plugin = plugin.clone();
            let carry_out: Box<CarryOut> = Box::new(move |build, aim| {
                Box::pin(async move {
                    match aim {
                        Aim::Serve => plugin.build(config, build).await,
                        Aim::Inspect => {
                            let problems = plugin.inspect(config, &amiss, build).await;
                            // What is said of a whole may be for the want of its part.
                            let is_more =
                                |problem: &Problem| !amiss.iter().any(|part| part.starts_with(problem.path()));
                            Err(problems.filter(is_more).into())
                        }
                    }
                })
            });
            Some(Plan { entry, effective, methods: Vec::new(), carry_out })
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
        let (plans, problems) = self.plans(document);
        problems.or(plans)
    }

    /// Types every entry as far as it can be, and gathers everything that is
    /// wrong: only without a problem are the plans to be built.
    pub(super) fn plans(&self, document: &Document) -> (Vec<Plan>, Problems) {
        let mut problems = document.problems.clone();
        let mut plans = Vec::new();
        for entry in &document.services {
            if problems.is_full() {
                break;
            }
            plans.extend(self.plan_one(entry.clone(), &mut problems));
        }
        (plans, problems)
    }

    /// The plan of a service with those of its methods; these alone where the
    /// service has none, and so nothing is built any more.
    fn plan_one(&self, entry: Entry, problems: &mut Problems) -> Vec<Plan> {
        let schema = entry.schema.clone();
        let methods = entry.methods.iter().filter_map(|method| self.plan_entry(method.clone(), problems));
        let mut methods: Vec<Plan> = methods.collect();
        match self.plan_entry(entry, problems) {
            Some(plan) => vec![Plan { methods, ..plan }],
            None => {
                methods.iter_mut().for_each(|plan| plan.entry.schema = schema.clone());
                methods
            }
        }
    }

    fn plan_entry(&self, entry: Entry, problems: &mut Problems) -> Option<Plan> {
        if is_hosts_own(&entry.name) {
            let problem = Problem::new(format!("`{}` is the host's own and always there", entry.name))
                .label("cannot be mounted")
                .help("take this entry out");
            problems.push(entry.problem(problem));
            return None;
        }
        let Some(kind) = self.0.get(entry.kind.as_str()) else {
            let problem =
                Problem::new(format!("there is no kind of handler called `{}`", entry.kind)).label("unknown kind");
            let problem = problem.meant(&entry.kind, self.kinds());
            let known = self.kinds().collect::<Vec<_>>().join(", ");
            problems.push(entry.kind_problem(problem.help(format!("known kinds: {known}"))));
            return None;
        };
        (kind.plan)(entry, problems)
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
