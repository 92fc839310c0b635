//! Everything one document asked for, built once and never changed.
//!
//! A generation is built whole beside the one that serves, or not at all. It
//! is handed out as an `Arc`, and each call holds one from its first byte to
//! its last, so the last call of an old generation is what retires it.

use std::sync::Arc;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use rustc_hash::FxHashMap;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic_health::ServingStatus;

use super::assemble::{Assembled, assemble};
use super::build::{Made, make, with_schemas};
use super::listen::tls;
use super::mount::Route;
use super::reflection::Index;
use super::registry::Plan;
use super::schema::wire::Break;
use super::{HOSTS_OWN, keep::Keep};
use crate::config::{Document, Failure, Problem, Problems, Sources};

/// A service as calls find it.
pub(super) struct Mounted {
    /// What it is.
    pub(super) service: ServiceDescriptor,
    pub(super) route: Arc<dyn Route>,
    pub(super) methods: FxHashMap<String, Method>,
    /// The largest message it takes, where it says.
    pub(super) largest_message: Option<u64>,
    pub(super) health: watch::Receiver<ServingStatus>,
}

/// A method as calls find it.
pub(super) struct Method {
    pub(super) client_streams: bool,
    pub(super) server_streams: bool,
    /// What behaves for it, where that is not what behaves for its service.
    pub(super) own: Option<(Arc<dyn Route>, Option<u64>)>,
}

impl Mounted {
    /// Where a call of a method goes, and the largest message it takes there.
    pub(super) fn route<'a>(&'a self, method: &'a Method) -> (&'a dyn Route, Option<u64>) {
        match &method.own {
            Some((route, largest_message)) => (route.as_ref(), *largest_message),
            None => (self.route.as_ref(), self.largest_message),
        }
    }
}

impl Method {
    pub(super) fn of(method: MethodDescriptor) -> (String, Method) {
        let (client_streams, server_streams) = (method.is_client_streaming(), method.is_server_streaming());
        (method.name().to_owned(), Method { client_streams, server_streams, own: None })
    }
}

/// One configuration, served.
pub struct Generation {
    /// Counts up from 1 with each configuration built in this process.
    pub number: u64,
    /// The document it was built from.
    pub document: Document,
    services: FxHashMap<String, Mounted>,
    index: Index,
    /// What connections are encrypted by, where they are.
    encryption: Option<Arc<ServerConfig>>,
    /// What its schemas break for callers of the one it takes the place of.
    breaks: Vec<Break>,
    /// Dropped with the generation, and its tasks aborted.
    _tasks: Vec<JoinSet<()>>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Generation {
    /// Before any file was read: the host's own services and nothing else.
    pub(super) fn empty(document: Document) -> Result<Generation, Problems> {
        let mut index = Index::default();
        index.add_hosts_own()?;
        Ok(Generation {
            number: 0,
            document,
            services: FxHashMap::default(),
            index,
            encryption: None,
            breaks: Vec::new(),
            _tasks: Vec::new(),
        })
    }

    /// Builds every plan at the same time, then puts the mounts together. Every
    /// problem of every service is gathered.
    pub(super) async fn build(
        number: u64,
        mut document: Document,
        plans: Vec<Plan>,
        keep: &Keep,
        before: Arc<Generation>,
    ) -> Result<Generation, Failure> {
        let mut problems = Problems::default();
        let mut refreshes = JoinSet::new();
        let plans = with_schemas(plans, &mut document, keep, &mut refreshes, &mut problems).await;
        let builds = plans.into_iter().map(|(plan, schema)| make(plan, schema, &document.base, keep));
        let built = futures_util::future::join_all(builds).await;

        let mut mounts = Vec::new();
        let mut tasks = vec![refreshes];
        for Made { entry, mount, methods, sources, tasks: spawned } in built {
            document.sources.extend(sources);
            tasks.extend(spawned);
            mounts.extend(problems.take(mount).map(|mount| (entry, mount, methods)));
        }

        // Indexing takes as long as schemas are large, and so does dropping them.
        let asked = document.clone();
        let assembled = tokio::task::spawn_blocking(move || assemble(mounts, &asked, &before)).await;
        let assembled = assembled
            .unwrap_or_else(|error| Err(Problem::new(format!("the services cannot be put together: {error}")).into()));
        let assembled = problems.take(assembled);
        let encryption = problems.take(encryption(&mut document).await).flatten();
        let sources = document.sources.clone();
        let Assembled { services, index, breaks } = match (problems.or(()), assembled) {
            (Ok(()), Some(assembled)) => assembled,
            (refused, assembled) => {
                tokio::task::spawn_blocking(|| drop(assembled));
                let problems = refused.err().unwrap_or_default();
                return Err(Failure { problems, sources });
            }
        };
        Ok(Generation { number, document, services, index, encryption, breaks, _tasks: tasks })
    }

    /// Says what its schemas break, as it begins to serve.
    pub(super) fn tell_breaks(&self) {
        for Break { file, symbol, what } in &self.breaks {
            tracing::warn!(file, symbol, "callers of the schema so far will be misunderstood: `{symbol}` {what}");
        }
    }

    /// What a service is; `None` where there is none of that name.
    pub(super) fn descriptor(&self, name: &str) -> Option<&ServiceDescriptor> {
        self.services.get(name).map(|mounted| &mounted.service)
    }

    /// What every mounted service is.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &ServiceDescriptor> {
        self.services.values().map(|mounted| &mounted.service)
    }

    /// What connections are encrypted by, where they are.
    pub(super) fn encryption(&self) -> Option<&Arc<ServerConfig>> {
        self.encryption.as_ref()
    }

    /// The service of that name.
    pub(super) fn service(&self, name: &str) -> Option<&Mounted> {
        self.services.get(name)
    }

    /// Every service there is, the host's own included, sorted.
    pub fn service_names(&self) -> Vec<&str> {
        let own = HOSTS_OWN.iter().copied().filter(|name| self.reflects() || !name.starts_with("grpc.reflection."));
        let mut names: Vec<&str> = self.services.keys().map(String::as_str).chain(own).collect();
        names.sort_unstable();
        names
    }

    /// Whether clients may discover services.
    pub(super) fn reflects(&self) -> bool {
        self.document.shape.reflection.0
    }

    /// What reflection answers from.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// How a service is; `None` where there is none of that name. The empty
    /// name and the names the operator added are the whole host.
    pub(super) fn health(&self, name: &str) -> Option<watch::Receiver<ServingStatus>> {
        if let Some(mounted) = self.services.get(name) {
            return Some(mounted.health.clone());
        }
        let known = self.health_names().contains(&name);
        known.then(|| watch::channel(ServingStatus::Serving).1)
    }

    /// Every name health knows.
    pub(super) fn health_names(&self) -> Vec<&str> {
        let mut names = self.service_names();
        names.push("");
        names.extend(self.document.shape.health.also.iter().map(String::as_str));
        names
    }

    /// The files it was built from.
    pub fn sources(&self) -> &Sources {
        &self.document.sources
    }
}

/// What a document has connections encrypted by; the files it names are read here.
async fn encryption(document: &mut Document) -> Result<Option<Arc<ServerConfig>>, Problems> {
    let Some(tls) = document.shape.tls.clone() else { return Ok(None) };
    let base = document.base.clone();
    let read = move || {
        let mut sources = Sources::default();
        (tls::configure(&tls, &base, &mut sources), sources)
    };
    let failed = |error| Problem::new(format!("the certificates cannot be read: {error}"));
    let (configured, sources) = tokio::task::spawn_blocking(read).await.map_err(failed)?;
    document.sources.extend(sources);
    configured.map(Some).map_err(|problems| problems.map(|problem| document.problem(problem)))
}

/// A call's hold on its generation. The last one to go drops it where freeing
/// a large database keeps nobody waiting.
#[derive(Debug)]
pub(super) struct Hold(Option<Arc<Generation>>);

impl Hold {
    pub(super) fn new(generation: Arc<Generation>) -> Hold {
        Hold(Some(generation))
    }

    pub(super) fn generation(&self) -> &Generation {
        // Emptied by drop alone.
        self.0.as_deref().unwrap_or_else(|| unreachable!("a hold is full until it drops"))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(generation) = self.0.take() {
            retire(generation);
        }
    }
}

/// Lets go of a generation; the last to do so frees it on a blocking thread.
pub(super) fn retire(generation: Arc<Generation>) {
    let Some(generation) = Arc::into_inner(generation) else { return };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(generation))),
        Err(_) => drop(generation),
    }
}
