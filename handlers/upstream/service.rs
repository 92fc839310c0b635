//! A call's way: let in, sent to one of the servers, and to another where that
//! is safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use rustc_hash::FxHashMap;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status};

use super::member::Member;
use super::record::{self, Tap};
use super::retry::{Budget, Verdict, verdict};
use super::settings::Config;
use crate::config::units::Period;
use crate::host::forward::{Call, Cause, Refused, Turns};
use crate::host::{Request, Response, overloaded};

/// How many servers a service may have.
pub(super) const MOST_SERVERS: usize = 64;

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
    turns: Turns,
    methods: FxHashMap<String, Method>,
    timeout: Option<Period>,
    attempts: u32,
    budget: Budget,
    calls: AtomicUsize,
    most_calls: usize,
    recorder: Option<Recorder>,
}

/// Who writes calls down, and which: those of these methods.
#[derive(Debug)]
struct Recorder {
    to: Arc<record::Recorder>,
    /// How many rules there may be.
    most: usize,
    methods: FxHashMap<String, MethodDescriptor>,
}

/// A call's place among those in flight, until it drops.
struct Place(Arc<Service>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service {
    pub(super) fn new(
        config: &Config,
        name: &str,
        methods: &ServiceDescriptor,
        members: Vec<Arc<Member>>,
        recorder: Option<Arc<record::Recorder>>,
    ) -> Service {
        let most = config.record.as_ref().map_or(0, |record| record.calls.get() as usize);
        let recorder = recorder.map(|to| {
            let recorded = methods.methods().filter(record::is_recorded);
            Recorder { to, most, methods: recorded.map(|method| (method.name().to_owned(), method)).collect() }
        });
        Service {
            name: name.to_owned(),
            members,
            turns: Turns::default(),
            methods: methods.methods().map(|method| (method.name().to_owned(), Method::of(&method))).collect(),
            timeout: config.timeout,
            attempts: config.retry.attempts.get(),
            budget: Budget::new(config.retry.budget.get()),
            calls: AtomicUsize::new(0),
            most_calls: config.calls.get() as usize,
            recorder,
        }
    }

    /// Answers one call.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        let is_one_too_many = self.calls.fetch_add(1, Ordering::Relaxed) >= self.most_calls;
        let place = Arc::new(Place(self));
        let service = &place.0;
        if is_one_too_many {
            return overloaded(&format!("as many calls of {} are in flight as may be", service.name)).into_http();
        }
        let (request, tap) = service.tap(request);
        let call = Call::new(request).keeping(place.clone());
        match (service.send(call).await, tap) {
            (Ok(answer), Some(tap)) => tap.answer(answer),
            (Ok(answer), None) => answer,
            // What no server said is nothing to record.
            (Err(status), _) => status.into_http(),
        }
    }

    /// The same request, and what copies the call where it is to be recorded.
    fn tap(&self, request: Request) -> (Request, Option<Tap>) {
        let Some(recorder) = &self.recorder else { return (request, None) };
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let Some(method) = recorder.methods.get(name) else {
            recorder.to.pass(name);
            return (request, None);
        };
        let (request, tap) = recorder.to.tap(method, recorder.most, request);
        (request, Some(tap))
    }

    /// Has it answered within the time that it may take, whatever it waits for.
    async fn send(&self, call: Call) -> Result<Response, Status> {
        let method = self.methods.get(call.method()).copied().unwrap_or_default();
        let Some(timeout) = self.timeout.filter(|_| method.unary) else {
            return self.try_servers(call, method, &mut None).await;
        };
        let limit = Instant::now() + timeout.0;
        // Who had it when its time was up.
        let mut asked = None;
        let answered = timeout_at(limit, self.try_servers(call.by(limit), method, &mut asked)).await;
        answered.unwrap_or_else(|_| {
            if let Some(member) = asked {
                member.failed(&self.name);
            }
            let name = &self.name;
            Err(Status::deadline_exceeded(format!("a call of {name} may take {timeout}, and this one took longer")))
        })
    }

    /// Sends it to one server after the other while that is safe; `asked` is the
    /// one that is to answer.
    async fn try_servers<'a>(
        &'a self,
        mut call: Call,
        method: Method,
        asked: &mut Option<&'a Member>,
    ) -> Result<Response, Status> {
        if !method.client_streams {
            call.gather().await?;
        }
        let mut tried = Tried::default();
        // How often a server has had it.
        let mut sent = 0;
        // Why the last one was not sent at all: then only others are tried.
        let mut unsent = None;
        loop {
            let Some((at, member)) = self.choose(&tried, unsent.is_none()) else {
                return Err(unsent.unwrap_or_else(|| self.down()));
            };
            tried.add(at);
            unsent = None;
            *asked = Some(member);
            let answer = member.target.send(&mut call).await;
            *asked = None;
            match answer {
                Ok(answer) => {
                    let told = verdict(answer.headers());
                    if told == Verdict::Answered {
                        member.succeeded();
                        if sent == 0 {
                            self.budget.earn();
                        }
                        return Ok(answer);
                    }
                    member.failed(&self.name);
                    sent += 1;
                    if told == Verdict::Never || !method.idempotent || !self.may_go_on(&call, sent) {
                        return Ok(answer);
                    }
                    if let Verdict::After(pause) = told {
                        sleep(pause).await;
                    }
                }
                Err(Refused { status, cause: Cause::Request }) => return Err(status),
                Err(refused) => {
                    if has_failed(&refused) {
                        member.failed(&self.name);
                    }
                    let Refused { status, cause } = refused;
                    if cause == Cause::Unsent {
                        unsent = Some(status);
                        continue;
                    }
                    sent += 1;
                    let safe = method.idempotent && status.code() == Code::Unavailable;
                    if !(safe || cause == Cause::Unprocessed) || !self.may_go_on(&call, sent) {
                        return Err(status);
                    }
                }
            }
            call.mark(sent);
        }
    }

    /// Whether a call that a server has had so often may be sent once more.
    fn may_go_on(&self, call: &Call, sent: u32) -> bool {
        sent < self.attempts && call.is_whole() && self.budget.spend()
    }

    /// The next server in turn that takes calls, rather one that was not tried
    /// yet; another only where it may be asked `again`.
    fn choose(&self, tried: &Tried, again: bool) -> Option<(usize, &Member)> {
        let count = self.members.len();
        let turn = self.turns.take();
        let in_turn = |at: usize| (turn.wrapping_add(at)) % count;
        let takes = |at: &usize| self.members[*at].takes_call();
        let fresh = (0..count).map(in_turn).filter(|at| !tried.has(*at)).find(takes);
        let at = fresh.or_else(|| (0..count).map(in_turn).filter(|at| again && tried.has(*at)).find(takes))?;
        Some((at, &*self.members[at]))
    }

    /// What is told where no server takes calls.
    fn down(&self) -> Status {
        Status::unavailable(match self.members.len() {
            1 => format!("the server of {} is down", self.name),
            count => format!("all {count} servers of {} are down", self.name),
        })
    }
}

/// Whether a call without an answer is held against its server. One that turns
/// it away unseen, as who stops in order does, has not failed it.
fn has_failed(refused: &Refused) -> bool {
    match refused.cause {
        Cause::Unsent | Cause::Overdue => true,
        Cause::Broken => refused.status.code() == Code::Unavailable,
        Cause::Unprocessed | Cause::Request => false,
    }
}

/// Servers that a call was sent to.
#[derive(Debug, Default)]
struct Tried(
    /// A bit for each; the settings name no more than there are bits.
    u64,
);

impl Tried {
    fn add(&mut self, at: usize) {
        self.0 |= 1 << (at % MOST_SERVERS);
    }

    fn has(&self, at: usize) -> bool {
        self.0 >> (at % MOST_SERVERS) & 1 == 1
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
