//! What an author implements to bring a kind of service into the house.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::keep::Keep;
use super::mount::Mount;
use super::schema::Schema;
use crate::config::{self, Entry, Problem, Problems, Sources};

/// Whatever went wrong. A [`Problem`] or [`Problems`](crate::config::Problems)
/// in it keeps its path and place.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A kind of service: a name, typed settings, and how to make one of it.
///
/// There is no `stop`: a mount lives as long as its generation, which lives
/// until its last call has ended; what it owns goes with it when it drops.
pub trait Plugin: Send + Sync + 'static {
    /// The word operators write under `handler:`.
    const KIND: &'static str;

    /// The settings below that word. Field documentation becomes the text of
    /// `ostler kinds` and `ostler schema`; refuse unknown fields with
    /// `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned + Serialize + JsonSchema + Send + 'static;

    /// Makes one service. May read files and open connections; nothing is
    /// served from it unless every other service of the file was made too.
    fn build(&self, config: Self::Config, build: &Build) -> impl Future<Output = Result<Mount, BoxError>> + Send;

    /// Says what else is wrong where the file is refused already, so that one
    /// mistake does not hide another. `config` is what could be read, without
    /// what stood at `amiss`: what follows from that alone is not told. Opens
    /// and starts nothing.
    fn inspect(
        &self,
        config: Self::Config,
        amiss: &[config::Path],
        build: &Build,
    ) -> impl Future<Output = Problems> + Send {
        let _ = (config, amiss, build);
        std::future::ready(Problems::default())
    }
}

/// What a plugin may ask for while it builds.
#[derive(Debug)]
pub struct Build {
    service: String,
    method: Option<String>,
    schema: Option<Arc<Schema>>,
    schema_asked: AtomicBool,
    base: PathBuf,
    keep: Keep,
    sources: Mutex<Sources>,
    tasks: Mutex<JoinSet<()>>,
}

impl Build {
    pub(super) fn new(entry: &Entry, schema: Option<Arc<Schema>>, base: &Path, keep: Keep) -> Build {
        Build {
            service: entry.name.clone(),
            method: entry.method.clone(),
            schema,
            schema_asked: AtomicBool::new(false),
            base: base.to_owned(),
            keep,
            sources: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// The full gRPC name the operator mounts this service under.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The one method it is made for, where it is not for all of them.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// What the operator's `schema` says, if there is one.
    pub fn given_schema(&self) -> Option<&Arc<Schema>> {
        self.schema_asked.store(true, Ordering::Relaxed);
        self.schema.as_ref()
    }

    /// The same, for a kind that can do nothing without.
    pub fn schema(&self) -> Result<&Arc<Schema>, Problem> {
        self.given_schema().ok_or_else(|| {
            Problem::new(format!("what `{}` is has to be said", self.service))
                .label("needs `schema`")
                .help("write `schema: protos/service.proto` beside `handler`")
                .help("a server that has reflection says it: `schema: { reflect: http://host:port }`")
        })
    }

    /// Whether the schema that was asked for, where there is one, declares the service:
    /// where it does not, it is the service's name that is wrong.
    pub(super) fn finds_its_service(&self) -> Result<(), Problem> {
        let asked = self.schema.as_ref().filter(|_| !self.ignores_schema());
        let found = asked.map_or(Ok(()), |schema| schema.service(&self.service).map(drop));
        found.map_err(|problem| problem.label("unknown service"))
    }

    /// Whether there is a schema that nobody wanted.
    pub(super) fn ignores_schema(&self) -> bool {
        self.schema.is_some() && !self.schema_asked.load(Ordering::Relaxed)
    }

    /// A path of the settings, made absolute or relative to the file's folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// Reads a whole file, and has the configuration built anew when it changes.
    pub async fn read(&self, path: &Path, most_bytes: u64) -> Result<Vec<u8>, Problem> {
        let path = self.path(path);
        let shown = path.display().to_string();
        let read = move || {
            let mut sources = Sources::default();
            let bytes = sources.read(&path, most_bytes);
            (bytes, sources)
        };
        let cannot = |error: &dyn std::fmt::Display| Problem::new(format!("cannot read {shown}: {error}"));
        let (bytes, sources) = tokio::task::spawn_blocking(read).await.map_err(|error| cannot(&error))?;
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).extend(sources);
        bytes.map_err(|error| cannot(&error))
    }

    /// State that outlives the generation: the same value as long as any
    /// generation holds it, made by `init` where none does. The key is this
    /// service's own.
    pub fn keep<T: Send + Sync + 'static>(&self, key: &str, init: impl FnOnce() -> T) -> Arc<T> {
        match &self.method {
            None => self.keep.get(&self.service, key, init),
            Some(method) => self.keep.get(&format!("{}/{method}", self.service), key, init),
        }
    }

    /// Runs a task beside what is kept: it outlives the generation, and is to
    /// end by itself soon after the kept value it belongs to, when it has put
    /// away what that leaves behind. The host's own end waits for it.
    pub fn accompany(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.keep.accompany(task);
    }

    /// Runs a task that ends with the generation.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// What the build left behind: files it read, tasks it started.
    pub(super) fn into_parts(self) -> (Sources, JoinSet<()>) {
        (
            self.sources.into_inner().unwrap_or_else(PoisonError::into_inner),
            self.tasks.into_inner().unwrap_or_else(PoisonError::into_inner),
        )
    }
}
