//! A call's way: let in, sent to one of the servers, and to another where that
//! is safe.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::member::Member;
use super::retry::{Budget, Verdict, verdict};
use super::settings::Config;
use crate::config::units::Period;
use crate::host::forward::{Call, Refused};
use crate::host::{Request, Response};

/// What a client that is turned away for load is asked to wait.
const PUSHBACK_MS: &str = "100";

/// What matters here of a method.
#[derive(Clone, Copy, Debug, Default)]
struct Method {
    client_streams: bool,
    unary: bool,
    /// Whether it may be asked twice.
    idempotent: bool,
}

/// One mounted service.
#[derive(Debug)]
pub(super) struct Service {
    name: String,
    members: Vec<Arc<Member>>,
    methods: FxHashMap<String, Method>,
    timeout: Option<Period>,
    attempts: u32,
    budget: Budget,
    calls: Arc<AtomicUsize>,
    most_calls: usize,
}

/// A call's place among those in flight, until it drops.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service {
    pub(super) fn new(config: &Config, name: &str, methods: &ServiceDescriptor, members: Vec<Arc<Member>>) -> Service {
        Service {
            name: name.to_owned(),
            members,
            methods: methods.methods().map(|method| (method.name().to_owned(), Method::of(&method))).collect(),
            timeout: config.timeout,
            attempts: config.retry.attempts.get(),
            budget: Budget::new(config.retry.budget.get()),
            calls: Arc::default(),
            most_calls: config.calls.get() as usize,
        }
    }

    /// Answers one call.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        let Some(place) = self.place() else {
            return overloaded(&self.name).into_http();
        };
        let call = Call::new(request).keeping(Arc::new(place));
        self.send(call).await.unwrap_or_else(Status::into_http)
    }

    fn place(&self) -> Option<Place> {
        let place = Place(self.calls.clone());
        (self.calls.fetch_add(1, Ordering::Relaxed) < self.most_calls).then_some(place)
    }

    async fn send(&self, mut call: Call) -> Result<Response, Status> {
        let method = self.methods.get(call.method()).copied().unwrap_or_default();
        if method.unary
            && let Some(timeout) = self.timeout
        {
            call = call.by(Instant::now() + timeout.0);
        }
        if !method.client_streams {
            call.gather().await?;
        }
        let mut tried = Tried::default();
        let mut spare = None;
        loop {
            let member = self.choose(&tried)?;
            let last = tried.count + 1 >= self.attempts;
            if method.idempotent && !last {
                spare = call.copy();
            }
            tried.add(member.0);
            let member = member.1;
            let (status, next) = match member.target.send(call).await {
                Ok(answer) => match verdict(answer.headers()) {
                    Verdict::Answered => {
                        member.breaker().succeeded();
                        if tried.count == 1 {
                            self.budget.earn();
                        }
                        return Ok(answer);
                    }
                    told => {
                        self.failed(member);
                        let Some(next) = spare.take() else { return Ok(answer) };
                        if told == Verdict::Never || !self.budget.spend() {
                            return Ok(answer);
                        }
                        if let Verdict::After(pause) = told {
                            sleep(pause).await;
                        }
                        call = next.again(tried.count);
                        continue;
                    }
                },
                Err(Refused { status, reached, call }) => {
                    if status.code() == Code::Unavailable || (reached && status.code() == Code::DeadlineExceeded) {
                        self.failed(member);
                    }
                    let again = !reached || (method.idempotent && status.code() == Code::Unavailable);
                    (status, call.filter(|_| again && !last).map(|call| (*call, reached)))
                }
            };
            match next {
                Some((next, reached)) if !reached || self.budget.spend() => call = next.again(tried.count),
                _ => return Err(status),
            }
        }
    }

    fn failed(&self, member: &Member) {
        if member.breaker().failed() {
            tracing::warn!(service = self.name, server = %member.target.address(), "a server fails, and is left alone");
        }
    }

    /// The next server in turn that takes calls, and rather one that was not
    /// tried yet.
    fn choose(&self, tried: &Tried) -> Result<(usize, &Member), Status> {
        let count = self.members.len();
        let turn = turn();
        let in_turn = |at: usize| (turn.wrapping_add(at)) % count;
        let takes = |at: &usize| self.members[*at].is_up() && self.members[*at].breaker().lets_through();
        let fresh = (0..count).map(in_turn).filter(|at| !tried.has(*at)).find(takes);
        let at = fresh.or_else(|| (0..count).map(in_turn).filter(|at| tried.has(*at)).find(takes));
        at.map(|at| (at, &*self.members[at])).ok_or_else(|| {
            let words = match count {
                1 => format!("the server of {} is down", self.name),
                _ => format!("all {count} servers of {} are down", self.name),
            };
            Status::unavailable(words)
        })
    }
}

/// Servers that a call was sent to.
#[derive(Debug, Default)]
struct Tried {
    count: u32,
    /// A bit for each of the first 64; those beyond may be tried again.
    which: u64,
}

impl Tried {
    fn add(&mut self, at: usize) {
        self.count += 1;
        self.which |= 1u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    fn has(&self, at: usize) -> bool {
        at < 64 && self.which >> at & 1 == 1
    }
}

impl Method {
    fn of(method: &MethodDescriptor) -> Method {
        use prost_reflect::prost_types::method_options::IdempotencyLevel;
        let (client, server) = (method.is_client_streaming(), method.is_server_streaming());
        let descriptor = method.method_descriptor_proto();
        let level = descriptor
            .options
            .as_ref()
            .map_or(IdempotencyLevel::IdempotencyUnknown, |options| options.idempotency_level());
        Method {
            client_streams: client,
            unary: !client && !server,
            idempotent: !client && level != IdempotencyLevel::IdempotencyUnknown,
        }
    }
}

/// Each thread takes its own turns: a number that all share is dear to touch.
fn turn() -> usize {
    thread_local!(static TURN: Cell<usize> = const { Cell::new(0) });
    TURN.with(|turn| turn.replace(turn.get().wrapping_add(1)))
}

fn overloaded(name: &str) -> Status {
    let mut status = Status::resource_exhausted(format!("as many calls of {name} are in flight as may be"));
    status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from_static(PUSHBACK_MS));
    status
}
