//! A service that another process behaves for: a command that we start and
//! keep up, in any language, or whoever listens on a socket.
//!
//! ```text
//! command: guard ─ process ─┐
//! socket, sockets ──────────┴ its health, followed ─▶ state ─▶ relay, health
//! ```

mod backoff;
mod command;
mod folder;
mod logs;
mod others;
mod relay;
mod schema;
mod settings;
mod state;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Problem;
use crate::host::forward::{Address, Options, Target};
use crate::host::{BoxError, Build, Mount, Plugin, Schema};
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
    schema: Mutex<Option<Arc<Schema>>>,
    _stop: DropGuard,
}

impl Plugin for Process {
    const KIND: &'static str = "process";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let source = config.source()?;
        let key = key(&config, &build.path(Path::new("")))?;
        let kept = build.keep(&key, || start(config, source, build));
        // What rests after a failure is wanted now.
        kept.nudge.notify_waiters();
        kept.known.settled().await?;
        let theirs = kept.schema(build.service()).await;
        let schema = match (build.given_schema(), theirs) {
            (Some(ours), Ok(theirs)) => {
                if let Ok(theirs) = theirs.service(build.service()) {
                    schema::compare(&ours.service(build.service())?, &theirs)?;
                }
                ours.clone()
            }
            // It has no reflection, or is not there yet.
            (Some(ours), Err(_)) => ours.clone(),
            (None, theirs) => theirs?,
        };
        let health = kept.known.health.clone();
        let relay = Relay { service: build.service().into(), kept };
        let mount = Mount::forwarded(&schema, build.service(), move |request| relay.answer(request))?;
        Ok(mount.with_health(health))
    }
}

impl Kept {
    /// What the process says of its service, or last said if it is down.
    async fn schema(&self, service: &str) -> Result<Arc<Schema>, Problem> {
        let peer = self.known.next().and_then(|mut peers| peers.next().ok_or_else(|| "nobody answers".to_owned()));
        let told = match peer {
            Ok(peer) => schema::ask(peer.address(), service).await,
            Err(why) => Err(Problem::new(format!("what `{service}` is cannot be asked for: {why}"))
                .label("needs `schema`")
                .help("write `schema: protos/service.proto` beside `handler`")),
        };
        let mut last = self.schema.lock().unwrap_or_else(PoisonError::into_inner);
        match (told, &*last) {
            (Ok(told), _) => Ok(last.insert(told).clone()),
            (Err(_), Some(last)) => Ok(last.clone()),
            (Err(problem), None) => Err(problem),
        }
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
        Source::Socket(path) => build.accompany(others::socket(build.path(&path), service, tell, stop.clone())),
        Source::Folder(path) => build.accompany(others::folder(build.path(&path), service, tell, stop.clone())),
    }
    Kept { known, nudge, schema: Mutex::default(), _stop: stop.drop_guard() }
}

/// Whoever answers on a socket.
fn at(socket: PathBuf, service: &str) -> Arc<Target> {
    Target::new(Address::Unix(socket), Options::new(service))
}

/// The settings' content, as a name. Secrets among them are not to be read in it.
fn key(config: &Config, base: &Path) -> Result<String, BoxError> {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(config)?.hash(&mut hasher);
    base.hash(&mut hasher);
    Ok(format!("process {:016x}", hasher.finish()))
}
