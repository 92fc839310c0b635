//! What a plugin hands back: a service that can be called, described and asked
//! how it is.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;
use prost_reflect::ServiceDescriptor;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tower_service::Service;

use super::dynamic::{Behaved, Dynamic};
use super::entrance::Deadline;
use super::schema::Schema;
use super::unary::Unary;
use crate::config::Problem;

/// A call as it reaches a service.
pub type Request = http::Request<Body>;
/// An answer as it leaves one.
pub type Response = http::Response<Body>;

/// A service at work on one call: one box a call.
pub(super) type Work = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Where calls go: any tower service over HTTP requests.
pub(super) trait Route: Send + Sync {
    /// Has a call answered that must be over when it is `due`; the entrance sees
    /// to that, and who sends the call on says so.
    fn call(&self, request: Request, due: Option<Instant>) -> Work;
}

/// Every tower service whose only failure is in its answer is a route.
struct Tower<S>(S);

impl<S> Route for Tower<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn call(&self, request: Request, _: Option<Instant>) -> Work {
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

/// A function that answers: what it waits for is boxed once.
struct Forwarded<F>(F);

impl<F, W> Route for Forwarded<F>
where
    F: Fn(Request) -> W + Send + Sync,
    W: Future<Output = Response> + Send + 'static,
{
    fn call(&self, mut request: Request, due: Option<Instant>) -> Work {
        if let Some(due) = due {
            request.extensions_mut().insert(Deadline(due));
        }
        Box::pin((self.0)(request))
    }
}

/// A service ready to be served, with everything a caller can ask about it.
pub struct Mount {
    pub(super) service: ServiceDescriptor,
    /// What it and its messages are.
    pub(super) schema: Schema,
    pub(super) route: Arc<dyn Route>,
    /// Methods that are answered otherwise than by it.
    pub(super) own: Vec<(String, Box<dyn Route>)>,
    pub(super) health: watch::Receiver<ServingStatus>,
    pub(super) largest_message: Option<u64>,
    /// Files of its schema that callers need and its service need not import.
    pub(super) packed: BTreeSet<String>,
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
        Mount::new(&Schema::decode(descriptors)?, S::NAME, |_| Box::new(Tower(server)))
    }

    /// A service known only by its schema, and how it behaves.
    pub fn dynamic(schema: &Schema, service: &str, behaviour: impl Dynamic) -> Result<Mount, Problem> {
        Mount::new(schema, service, |service| Box::new(Behaved::new(service, behaviour)))
    }

    /// A service known only by its schema, whose calls go elsewhere as the bytes
    /// they are: `send` is given each, and answers it.
    pub fn forwarded<F, W>(schema: &Schema, service: &str, send: F) -> Result<Mount, Problem>
    where
        F: Fn(Request) -> W + Send + Sync + 'static,
        W: Future<Output = Response> + Send + 'static,
    {
        Mount::new(schema, service, |_| Box::new(Forwarded(send)))
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

    /// The same mount with messages that it puts in an `Any`, such as the details
    /// of failures: by their full names, so that reflection finds them though
    /// its service's file does not import them. A name that its schema does
    /// not have is passed over.
    pub fn with_packed<'a>(mut self, messages: impl IntoIterator<Item = &'a str>) -> Mount {
        let pool = self.schema.pool();
        let found = messages.into_iter().filter_map(|name| pool.get_message_by_name(name));
        self.packed.extend(found.map(|message| message.parent_file().name().to_owned()));
        self
    }

    /// The same mount with a unary method that is answered straight from its
    /// message: for compiled services, half of a small call's work is its codec's.
    /// `answer` is what the service's own server would call.
    pub fn with_unary<M, R, F, W>(mut self, method: &str, answer: F) -> Mount
    where
        M: prost::Message + Default + 'static,
        R: prost::Message + 'static,
        F: Fn(tonic::Request<M>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send + 'static,
    {
        let route = Unary::<F, M, R>::new(answer, self.route.clone());
        self.own.push((method.to_owned(), Box::new(route)));
        self
    }

    fn new(
        schema: &Schema,
        service: &str,
        route: impl FnOnce(ServiceDescriptor) -> Box<dyn Route>,
    ) -> Result<Mount, Problem> {
        let service = schema.service(service)?;
        Ok(Mount {
            route: route(service.clone()).into(),
            own: Vec::new(),
            schema: schema.clone(),
            service,
            health: watch::channel(ServingStatus::Serving).1,
            largest_message: None,
            packed: BTreeSet::new(),
        })
    }
}
