//! What a plugin hands back: a service that can be called, described and asked
//! how it is.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::FutureExt as _;
use prost::Message as _;
use prost_reflect::{DescriptorPool, FileDescriptor, ServiceDescriptor};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tower_service::Service;

use super::dynamic::{Behaved, Dynamic};
use super::reflection::RawSet;
use crate::config::Problem;

/// A call as it reaches a service.
pub type Request = http::Request<Body>;
/// An answer as it leaves one.
pub type Response = http::Response<Body>;

/// A service at work on one call: one box a call.
pub(super) type Work = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Where calls go: any tower service over HTTP requests.
pub(super) trait Route: Send + Sync {
    fn call(&self, request: Request) -> Work;
}

/// Every tower service whose only failure is in its answer is a route.
struct Tower<S>(S);

impl<S> Route for Tower<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn call(&self, request: Request) -> Work {
        let mut service = self.0.clone();
        // Most services are always ready: then only what they answer with is
        // kept, and not the request as well.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Box::pin(service.call(request).map(answered)),
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => Box::pin(async move {
                match poll_fn(|context| service.poll_ready(context)).await {
                    Ok(()) => answered(service.call(request).await),
                    Err(never) => match never {},
                }
            }),
        }
    }
}

fn answered(answer: Result<Response, Infallible>) -> Response {
    answer.unwrap_or_else(|never| match never {})
}

/// A service ready to be served, with everything a caller can ask about it.
pub struct Mount {
    pub(super) service: ServiceDescriptor,
    /// Every file the service needs, by name, as the bytes they were given in.
    pub(super) files: BTreeMap<String, Bytes>,
    pub(super) route: Box<dyn Route>,
    pub(super) health: watch::Receiver<ServingStatus>,
    pub(super) largest_message: Option<u64>,
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount").field("service", &self.service.full_name()).finish_non_exhaustive()
    }
}

impl Mount {
    /// A service that was compiled in: tonic's generated server (or anything
    /// that serves like one) and a serialized `FileDescriptorSet` that holds
    /// its file and that file's imports.
    pub fn compiled<S>(server: S, descriptors: &[u8]) -> Result<Mount, Problem>
    where
        S: Service<Request, Response = Response, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Mount::new(S::NAME, descriptors, |_| Box::new(Tower(server)))
    }

    /// A service known only by its descriptor, and how it behaves.
    pub fn dynamic(service: &str, descriptors: &[u8], behaviour: impl Dynamic) -> Result<Mount, Problem> {
        Mount::new(service, descriptors, |service| Box::new(Behaved::new(service, behaviour)))
    }

    /// A service whose calls are passed on as they are: any tower service over
    /// HTTP requests.
    pub fn forwarded<S>(service: &str, descriptors: &[u8], server: S) -> Result<Mount, Problem>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Mount::new(service, descriptors, |_| Box::new(Tower(server)))
    }

    /// The same mount with a health of its own making instead of SERVING for ever.
    pub fn with_health(mut self, health: watch::Receiver<ServingStatus>) -> Mount {
        self.health = health;
        self
    }

    /// The same mount with a bound of its own on the messages it takes,
    /// instead of the configuration's; a larger one is RESOURCE_EXHAUSTED.
    pub fn with_largest_message(mut self, bytes: u64) -> Mount {
        self.largest_message = Some(bytes);
        self
    }

    fn new(
        name: &str,
        descriptors: &[u8],
        route: impl FnOnce(ServiceDescriptor) -> Box<dyn Route>,
    ) -> Result<Mount, Problem> {
        let unusable =
            |error: &dyn fmt::Display| Problem::new(format!("the descriptors of `{name}` cannot be used: {error}"));
        let raw = RawSet::decode(descriptors).map_err(|error| unusable(&error))?;
        let pool = DescriptorPool::decode(descriptors).map_err(|error| unusable(&error))?;
        let service = pool.get_service_by_name(name).ok_or_else(|| unusable(&"they declare no such service"))?;
        let mut wanted = HashSet::new();
        closure(&service.parent_file(), &mut wanted);
        let mut files = BTreeMap::new();
        for bytes in raw.file {
            let FileName { name } = FileName::decode(bytes.clone()).map_err(|error| unusable(&error))?;
            if wanted.contains(&name) {
                files.insert(name, bytes);
            }
        }
        Ok(Mount {
            route: route(service.clone()),
            service,
            files,
            health: watch::channel(ServingStatus::Serving).1,
            largest_message: None,
        })
    }
}

/// The one field of a `FileDescriptorProto` needed to sort files.
#[derive(Clone, PartialEq, prost::Message)]
struct FileName {
    #[prost(string, tag = "1")]
    name: String,
}

/// A file's name and the names of all it imports.
fn closure(file: &FileDescriptor, names: &mut HashSet<String>) {
    if names.insert(file.name().to_owned()) {
        for import in file.dependencies() {
            closure(&import, names);
        }
    }
}
