//! The kind `rules`: behaviour written in YAML, for any method of any schema.
//!
//! A method has rules, and the first that fits a message says what happens:
//! replies, changes of state, a failure. Everything is checked against the
//! schema when the configuration is read.
//!
//! ```text
//! settings ── program (checked) ──▶ run: one call
//!                   rule: condition ── changes ── answer ──▶ play: its replies
//!                   tables, state ─────┘
//! ```

mod answer;
mod change;
mod condition;
#[cfg(fuzzing)]
pub(crate) mod doors;
mod expr;
mod facts;
mod named;
mod packed;
mod play;
mod program;
mod rule;
mod run;
mod scope;
mod settings;
mod state;
mod status;
mod tables;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::Status;

use crate::config::{Path, Problem, Problems};
use crate::host::{BoxError, Build, Conversation, Dynamic, Mount, Plugin, Reply, Schema};
use program::{Amiss, Program};
pub use settings::Config;
use settings::Service;

/// The plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules;

impl Plugin for Rules {
    const KIND: &'static str = "rules";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let schema = build.schema()?;
        let (program, packed) = check(config, Amiss::default(), schema, build).await?;
        let mount = Mount::dynamic(schema, build.service(), Behaviour(Arc::new(program)))?;
        Ok(mount.with_packed(packed.iter().map(String::as_str)))
    }

    async fn inspect(&self, config: Config, amiss: &[Path], build: &Build) -> Problems {
        let Some(schema) = build.given_schema() else { return Problems::default() };
        check(config, Amiss(amiss.to_vec()), schema, build).await.err().unwrap_or_default()
    }
}

/// Checks everything there is to check of some rules, all at once. Beside what
/// they come to stand the messages that they put in an `Any`.
async fn check(
    config: Config,
    amiss: Amiss,
    schema: &Schema,
    build: &Build,
) -> Result<(Program, BTreeSet<String>), Problems> {
    let (service, amiss, is_list) = match (config, build.method()) {
        (Config::Service(service), _) => (service, amiss, false),
        (Config::Method(rules), Some(method)) => (Service::of_method(method, rules), amiss.within(method), true),
        (Config::Method(_), None) => {
            return Err(Problem::new("rules of a service are a map from its methods to their rules")
                .label("a bare list")
                .help(format!("write `rules: {{ METHOD: [ … ] }}` for methods of `{}`", build.service()))
                .into());
        }
    };
    let mut problems = Problems::default();
    problems.take(scope::distinct(&service));
    let tables = tables::load(&service.tables, schema, build, &mut problems).await;
    let descriptor = schema.service(build.service())?;
    let program = Program::compile(&service, &descriptor, tables, &amiss, build, problems);
    // The list stands where the map with its one method would.
    let program = program.map_err(|found| if is_list { found.map(Problem::outside) } else { found })?;
    Ok((program, packed::packed(&service)))
}

/// A service that behaves by its rules.
struct Behaviour(Arc<Program>);

impl Dynamic for Behaviour {
    async fn call(self: Arc<Self>, conversation: Conversation) -> Result<Reply, Status> {
        run::call(&self.0, conversation).await
    }
}
