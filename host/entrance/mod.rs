//! Every call comes in here: looked over, given its bounds, handed to the
//! service its path names, and held until the answer's last byte.
//!
//! ```text
//! guard ─ admitted ─ route ─▶ service ─▶ Answer: pin, place, deadline
//!             └ Incoming: framing, message bounds, cardinality ┘
//! ```

mod answer;
mod deadline;
pub(crate) mod framing;
pub(crate) mod guard;
mod incoming;

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tower_service::Service as _;

use super::generation::{Generation, Hold, Mounted};
use super::health::Health;
use super::mount::{Request, Response};
use super::reflection::Reflection;
use super::{HEALTH, Host, REFLECTION, REFLECTION_ALPHA};
use crate::config::Serves;
use crate::proto::health::health_server::HealthServer;
use answer::{Bound, Held};
use framing::{Cardinality, Framing};
use guard::{Refusal, admit};
use incoming::Incoming;

pub(super) use answer::{Answer, Counted, Progress};

/// What a client that is turned away for load is asked to wait.
const PUSHBACK_MS: &str = "100";
/// The methods of the host's own services.
const HEALTH_METHODS: [&str; 3] = ["Check", "List", "Watch"];
const REFLECTION_METHOD: &str = "ServerReflectionInfo";
/// The largest question health and reflection take.
const OWN_MESSAGE_BYTES: u64 = 64 << 10;

/// Where calls are answered; clones are one entrance.
#[derive(Clone)]
pub(crate) struct Entrance(Arc<Inner>);

struct Inner {
    current: watch::Receiver<Arc<Generation>>,
    health: HealthServer<Health>,
    reflection: ServerReflectionServer<Reflection>,
    /// Calls in flight on every connection, the host's own services left out.
    calls: Arc<AtomicUsize>,
    /// Told when open calls are to end. Behind an `Arc` of its own because a
    /// token takes a lock to be cloned.
    ending: Arc<CancellationToken>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entrance")
    }
}

/// Where a call goes, and what it may take.
struct Way<'a> {
    to: To<'a>,
    cardinality: Cardinality,
    largest: u64,
    /// How long it may take, whatever its client says.
    cap: Option<Duration>,
}

enum To<'a> {
    Health,
    /// Both versions have the same messages, so one engine answers both.
    Reflection,
    Mounted(&'a Mounted),
}

impl Entrance {
    /// The entrance of a host; calls still open when `ending` is told end UNAVAILABLE.
    pub(super) fn new(host: &Host, ending: CancellationToken) -> Entrance {
        let (current, phase) = (host.current.subscribe(), host.phase.subscribe());
        Entrance(Arc::new(Inner {
            health: HealthServer::new(Health::new(current.clone(), phase.clone())),
            reflection: ServerReflectionServer::new(Reflection::new(current.clone(), phase)),
            current,
            calls: Arc::default(),
            ending: Arc::new(ending),
        }))
    }

    /// The generation that calls enter now.
    pub(super) fn current(&self) -> Arc<Generation> {
        self.0.current.borrow().clone()
    }

    /// Answers one call of a connection, which says what is to be had there,
    /// counts it by `in_flight` and follows its answer by `progress`.
    pub(super) async fn call<B>(
        self,
        request: http::Request<B>,
        serves: Serves,
        in_flight: Counted,
        progress: Arc<Progress>,
    ) -> http::Response<Answer>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let hold = Hold::new(self.current());
        let largest = hold.generation().document.shape.limits.answer.0;
        let mut held = Held { in_flight, place: None, hold: None };
        let mut bound = Bound::new(self.0.ending.clone());
        let answered = self.answer(request, serves, hold.generation(), &mut held, &mut bound).await;
        let framing = answered.is_ok().then(|| Framing::new(Cardinality::Many, largest));
        let response = answered.unwrap_or_else(Refusal::into_response);
        // Only a mounted service's answer holds the generation: a Watch that
        // stays open for weeks does not.
        held.hold = held.place.is_some().then_some(hold);
        response.map(|body| Answer::new(body, held, bound, framing, progress))
    }

    async fn answer<B>(
        self,
        request: http::Request<B>,
        serves: Serves,
        generation: &Generation,
        held: &mut Held,
        bound: &mut Bound,
    ) -> Result<Response, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let arrived = Instant::now();
        let limits = &generation.document.shape.limits;
        let admitted = match admit(&request) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                // HTTP's own faults may be in what is still to come.
                let rest = drain(request.into_body());
                let _ = tokio::time::timeout(limits.unary_message.0, rest).await;
                return Err(refusal);
            }
        };
        let (service, method) = admitted.names();
        let Way { to, cardinality, largest, cap } = find(generation, serves, service, method)?;
        if matches!(to, To::Mounted(_)) {
            let place = Counted::one_of(&self.0.calls, limits.calls.get() as usize);
            held.place = Some(place.ok_or_else(|| Refusal::Grpc(overloaded()))?);
        }
        let timeout = admitted.timeout;
        if timeout == Some(Duration::ZERO) {
            return Err(Refusal::Grpc(Status::deadline_exceeded("the deadline had passed when the call came")));
        }
        bound.until(arrived, timeout.into_iter().chain(cap).min());
        let patience = limits.unary_message.0;
        let request = request.map(|body| Body::new(Incoming::new(body, cardinality, largest, patience)));
        let work = AssertUnwindSafe(self.hand_over(to, method, request)).catch_unwind();
        let mut work = pin!(work);
        let answered = poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Pending => bound.poll(context).map(Err),
            Poll::Ready(answered) => Poll::Ready(answered.map_err(|_| panicked())),
        });
        answered.await.map_err(Refusal::Grpc)
    }

    /// Calls the service. A handler that panics fails its call, and only that.
    async fn hand_over(self, to: To<'_>, method: &str, mut request: Request) -> Response {
        match to {
            To::Mounted(mounted) => mounted.route.call(request).await,
            To::Health => self.0.health.clone().call(request).await.unwrap_or_else(|never| match never {}),
            To::Reflection => match format!("/{REFLECTION}/{method}").parse() {
                Ok(one) => {
                    *request.uri_mut() = one;
                    self.0.reflection.clone().call(request).await.unwrap_or_else(|never| match never {})
                }
                Err(_) => no_such_method(REFLECTION, method).into_http(),
            },
        }
    }
}

/// Reads a body to its end, or as far as anyone cares.
async fn drain<B: http_body::Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = OWN_MESSAGE_BYTES;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Where a call goes.
fn find<'a>(generation: &'a Generation, serves: Serves, service: &str, method: &str) -> Result<Way<'a>, Refusal> {
    let own = |to, cardinality| Way { to, cardinality, largest: OWN_MESSAGE_BYTES, cap: None };
    match service {
        HEALTH if HEALTH_METHODS.contains(&method) => Ok(own(To::Health, Cardinality::One)),
        HEALTH => Err(Refusal::Grpc(no_such_method(service, method))),
        _ if serves == Serves::Health => Err(Refusal::Grpc(no_such_service(service))),
        REFLECTION | REFLECTION_ALPHA if generation.reflects() => match method {
            REFLECTION_METHOD => Ok(own(To::Reflection, Cardinality::Many)),
            _ => Err(Refusal::Grpc(no_such_method(service, method))),
        },
        _ => {
            let mounted = generation.service(service).ok_or_else(|| Refusal::Grpc(no_such_service(service)))?;
            let kind = mounted.methods.get(method).ok_or_else(|| Refusal::Grpc(no_such_method(service, method)))?;
            let limits = &generation.document.shape.limits;
            Ok(Way {
                to: To::Mounted(mounted),
                cardinality: if kind.client_streams { Cardinality::Many } else { Cardinality::One },
                largest: mounted.largest_message.unwrap_or(limits.message.0),
                cap: (!kind.client_streams && !kind.server_streams).then_some(limits.unary.0),
            })
        }
    }
}

/// A name from the wire, short enough to be sent back.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

fn no_such_service(service: &str) -> Status {
    Status::unimplemented(format!("unknown service {}", shown(service)))
}

fn no_such_method(service: &str, method: &str) -> Status {
    Status::unimplemented(format!("unknown method {} of service {}", shown(method), shown(service)))
}

/// What a caller learns of a panic.
fn panicked() -> Status {
    Status::internal("internal error")
}

/// What a caller learns where there is no place for its call.
fn overloaded() -> Status {
    let mut status = Status::resource_exhausted("the host has as many calls as it takes");
    status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from_static(PUSHBACK_MS));
    status
}
