//! Every call comes in here: looked over, given its bounds, handed to the
//! service its path names, and held until the answer's last byte.
//!
//! ```text
//! guard ─ admitted ─ route ─▶ service ─▶ Answer: pin, place, deadline
//!             └ Incoming: framing, message bounds, cardinality ┘
//! ```

mod answer;
mod caller;
mod deadline;
pub(crate) mod framing;
pub(crate) mod guard;
mod incoming;
mod load;
mod room;

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tower_service::Service as _;

use super::generation::Generation;
use super::health::Health;
use super::mount::{Request, Response, Route, Work};
use super::reflection::Reflection;
use super::{HEALTH, Host, REFLECTION, REFLECTION_ALPHA};
use crate::config::Serves;
use crate::proto::health::health_server::HealthServer;
use answer::{Bound, Bounds, Held};
use caller::Places;
use framing::{Cardinality, Framing};
use guard::admit;
use incoming::Incoming;
use room::Budget;

pub(super) use answer::{Answer, Progress};
pub(super) use caller::Caller;
pub(super) use deadline::Deadline;

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
    calls: AtomicUsize,
    /// What they make the host hold on to.
    budget: Budget,
    /// Told when open calls are to end.
    ending: CancellationToken,
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
    Mounted(&'a dyn Route),
}

impl Entrance {
    /// The entrance of a host; calls still open when `ending` is told end UNAVAILABLE.
    pub(super) fn new(host: &Host, ending: CancellationToken) -> Entrance {
        let (current, phase) = (host.current.subscribe(), host.phase.subscribe());
        Entrance(Arc::new(Inner {
            health: HealthServer::new(Health::new(current.clone(), phase.clone())),
            reflection: ServerReflectionServer::new(Reflection::new(current.clone(), phase)),
            current,
            calls: AtomicUsize::new(0),
            budget: Budget::default(),
            ending,
        }))
    }

    /// The generation that calls enter now.
    pub(super) fn current(&self) -> Arc<Generation> {
        self.0.current.borrow().clone()
    }

    /// Lets one call of a connection in, and follows its answer by `progress`.
    ///
    /// All that is to be found out about a call is found out here and now, so
    /// that what waits is small: futures are moved more than once on their way.
    fn call<B>(&self, request: http::Request<B>, caller: &Arc<Caller>, progress: Arc<Progress>) -> Call
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let mut held = Held { places: Places::on(caller), hold: None };
        let mut bound = Bound::new(caller.clone());
        let Met { work, bounds, shed } = self.meet(request, caller, &mut held, &mut bound);
        Call { work, shed, answer: Some(Answer::new(held, bound, bounds, progress)) }
    }

    /// What answers a call: its service, or a refusal.
    fn meet<B>(&self, mut request: http::Request<B>, caller: &Arc<Caller>, held: &mut Held, bound: &mut Bound) -> Met
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let arrived = Instant::now();
        let hold = caller.enter();
        let generation = hold.generation();
        let limits = &generation.document.shape.limits;
        let admitted = match admit(&request) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                // HTTP's own faults may be in what is still to come.
                let rest = tokio::time::timeout(limits.unary_message.0, drain(request.into_body()));
                return refused(async move {
                    let _ = rest.await;
                    refusal.into_response()
                });
            }
        };
        let (service, method) = admitted.names();
        let Way { to, cardinality, largest, cap } = match find(generation, caller.serves, service, method) {
            Ok(way) => way,
            Err(status) => return refused(ready(status.into_http())),
        };
        let mounted = matches!(to, To::Mounted(_));
        if mounted && let Err(full) = held.places.among_all(limits) {
            return Met { shed: true, ..refused(ready(full.answer())) };
        }
        if admitted.timeout == Some(Duration::ZERO) {
            let status = Status::deadline_exceeded("the deadline had passed when the call came");
            return refused(ready(status.into_http()));
        }
        let due = bound.until(arrived, admitted.timeout.into_iter().chain(cap).min());
        let most = limits.buffered.0;
        let bounds = incoming::Bounds { cardinality, largest, patience: limits.unary_message.0, most };
        request.extensions_mut().insert(caller.peer.clone());
        let request = request.map(|body| Body::new(Incoming::new(body, bounds, caller.clone())));
        let work = self.hand_over(to, method, request, due);
        let bounds = Bounds { framing: Framing::new(Cardinality::Many, limits.answer.0), most };
        // Only a mounted service's answer holds the generation: a Watch that
        // stays open for weeks does not.
        held.hold = mounted.then_some(hold);
        Met { work, bounds: Some(bounds), shed: false }
    }

    /// Asks the service; `None` if it panics.
    fn hand_over(&self, to: To<'_>, method: &str, mut request: Request, due: Option<Instant>) -> Option<Work> {
        match to {
            To::Mounted(route) => catch_unwind(AssertUnwindSafe(|| route.call(request, due))).ok(),
            To::Health => {
                let mut health = self.0.health.clone();
                Some(Box::pin(async move { health.call(request).await.unwrap_or_else(|never| match never {}) }))
            }
            To::Reflection => {
                let mut reflection = self.0.reflection.clone();
                let path = format!("/{REFLECTION}/{method}");
                Some(Box::pin(async move {
                    let Ok(one) = path.parse() else { return no_such_method(REFLECTION, &path).into_http() };
                    *request.uri_mut() = one;
                    reflection.call(request).await.unwrap_or_else(|never| match never {})
                }))
            }
        }
    }
}

/// What a call is met with.
struct Met {
    /// `None` where the service has panicked.
    work: Option<Work>,
    /// What the answer is held to; the host's own is held to nothing.
    bounds: Option<Bounds>,
    /// Whether it is turned away for load.
    shed: bool,
}

/// The host's own answer.
fn refused(answer: impl Future<Output = Response> + Send + 'static) -> Met {
    Met { work: Some(Box::pin(answer)), bounds: None, shed: false }
}

/// One call until its answer begins.
pub(crate) struct Call {
    work: Option<Work>,
    shed: bool,
    /// The answer but for its body; taken when that is there.
    answer: Option<Answer>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl Call {
    /// Whether it is turned away for load, with an answer that waits for nothing.
    pub(super) fn is_shed(&self) -> bool {
        self.shed
    }

    /// What the service answers, or the status that takes its place. A handler
    /// that panics fails its call, and only that.
    fn worked(&mut self, context: &mut Context<'_>) -> Poll<Response> {
        let Some(work) = &mut self.work else { return Poll::Ready(panicked().into_http()) };
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Ready(answer)) => Poll::Ready(answer),
            Ok(Poll::Pending) => {
                let ended = self.answer.as_mut().map_or(Poll::Pending, |answer| answer.bound.poll(context));
                ended.map(Status::into_http)
            }
            Err(_) => Poll::Ready(panicked().into_http()),
        }
    }
}

impl Future for Call {
    type Output = Result<http::Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (head, body) = std::task::ready!(this.worked(context)).into_parts();
        let answer = this.answer.take().unwrap_or_else(|| unreachable!("a call is answered once"));
        Poll::Ready(Ok(http::Response::from_parts(head, answer.with(body))))
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
fn find<'a>(generation: &'a Generation, serves: Serves, service: &str, method: &str) -> Result<Way<'a>, Status> {
    let own = |to, cardinality| Way { to, cardinality, largest: OWN_MESSAGE_BYTES, cap: None };
    match service {
        HEALTH if HEALTH_METHODS.contains(&method) => Ok(own(To::Health, Cardinality::One)),
        HEALTH => Err(no_such_method(service, method)),
        _ if serves == Serves::Health => Err(no_such_service(service)),
        REFLECTION | REFLECTION_ALPHA if generation.reflects() => match method {
            REFLECTION_METHOD => Ok(own(To::Reflection, Cardinality::Many)),
            _ => Err(no_such_method(service, method)),
        },
        _ => {
            let mounted = generation.service(service).ok_or_else(|| no_such_service(service))?;
            let kind = mounted.methods.get(method).ok_or_else(|| no_such_method(service, method))?;
            let (route, largest) = mounted.route(kind);
            let limits = &generation.document.shape.limits;
            Ok(Way {
                to: To::Mounted(route),
                cardinality: if kind.client_streams { Cardinality::Many } else { Cardinality::One },
                largest: largest.unwrap_or(limits.message.0),
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
