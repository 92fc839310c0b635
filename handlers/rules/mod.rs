//! The kind `rules`: behaviour written in YAML, for any method of any schema.
//!
//! A method has rules, and the first that fits a message says what happens:
//! replies, changes of state, a failure. Everything is checked against the
//! schema when the configuration is read.
//!
//! ```text
//! settings ── program (checked) ──▶ run: one call ── rule ── replies
//!                 tables, state ───────┘
//! ```

mod act;
#[cfg(fuzzing)]
pub(crate) mod doors;
mod expr;
mod facts;
mod named;
mod packed;
mod program;
mod run;
mod scope;
mod settings;
mod state;
mod status;
mod tables;
mod text;

use std::sync::Arc;

use tonic::Status;

use crate::config::Problem;
use crate::host::{BoxError, Build, Conversation, Dynamic, Mount, Plugin, Reply};
use program::Program;
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
        let (service, is_list) = match (config, build.method()) {
            (Config::Service(service), _) => (service, false),
            (Config::Method(rules), Some(method)) => (Service::of_method(method, rules), true),
            (Config::Method(_), None) => {
                return Err(Problem::new("rules of a service are a map from its methods to their rules")
                    .label("a bare list")
                    .help(format!("write `rules: {{ METHOD: [ … ] }}` for methods of `{}`", build.service()))
                    .into());
            }
        };
        scope::distinct(&service)?;
        let tables = tables::load(&service.tables, schema, build).await?;
        let descriptor = schema.service(build.service())?;
        let program = Program::compile(&service, &descriptor, tables, build);
        // The list stands where the map with its one method would.
        let program = program.map_err(|found| if is_list { found.map(Problem::outside) } else { found })?;
        let mount = Mount::dynamic(schema, build.service(), Behaviour(Arc::new(program)))?;
        Ok(mount.with_packed(packed::packed(&service)))
    }
}

/// A service that behaves by its rules.
struct Behaviour(Arc<Program>);

impl Dynamic for Behaviour {
    async fn call(self: Arc<Self>, conversation: Conversation) -> Result<Reply, Status> {
        run::call(&self.0, conversation).await
    }
}
