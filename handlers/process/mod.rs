//! A service that another process behaves for: a command that we start and
//! keep up, in any language, or whoever listens on a socket.
//!
//! ```text
//! command: guard ─ process ─┐
//! socket, sockets ──────────┴ follow: connection, health ─▶ state ─▶ relay, health
//! ```

mod backoff;
mod command;
mod folder;
mod follow;
mod link;
mod logs;
mod relay;
mod schema;
mod settings;
mod state;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::host::{BoxError, Build, Mount, Plugin};
use command::Command;
use relay::Relay;
pub use settings::Config;
use settings::Source;
use state::Known;

/// The variable that tells a command where to listen: `unix:/path/to/socket`,
/// which gRPC's libraries take as an address.
const LISTEN: &str = "OSTLER_LISTEN";

/// The plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

/// What passes from generation to generation while its settings stay as they
/// are. When the last that uses it goes, so does the process.
struct Kept {
    known: Known,
    nudge: Arc<Notify>,
    schema: tokio::sync::OnceCell<Vec<u8>>,
    _stop: DropGuard,
}

impl Plugin for Process {
    const KIND: &'static str = "process";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let source = config.source()?;
        let key = key(&config, &build.path(Path::new("")))?;
        let kept = build.keep(&key, || start(config, source, build));
        kept.nudge.notify_waiters();
        kept.known.settled().await?;
        let schema = kept.schema.get_or_try_init(|| schema::ask(&kept.known, build.service())).await?.clone();
        let relay = Relay { service: build.service().into(), known: kept.known.clone(), _kept: kept.clone() };
        Ok(Mount::forwarded(build.service(), &schema, relay)?.with_health(kept.known.health.clone()))
    }
}

fn start(config: Config, source: Source, build: &Build) -> Kept {
    let (tell, known) = state::channel();
    let stop = CancellationToken::new();
    let nudge = Arc::new(Notify::new());
    let service = build.service().to_owned();
    match source {
        Source::Command => {
            let base = build.path(Path::new(""));
            let command = Command { service, config, base, tell, stop: stop.clone(), nudge: nudge.clone() };
            build.accompany(command.run());
        }
        Source::Socket(_) | Source::Folder(_) => {}
    }
    Kept { known, nudge, schema: tokio::sync::OnceCell::new(), _stop: stop.drop_guard() }
}

/// The settings' content, as a name. Secrets among them are not to be read in it.
fn key(config: &Config, base: &Path) -> Result<String, BoxError> {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(config)?.hash(&mut hasher);
    base.hash(&mut hasher);
    Ok(format!("process {:016x}", hasher.finish()))
}
