//! A server that calls are sent on to.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;

use super::address::Address;
use super::answer::{Answer, Held};
use super::call::{Call, Payload};
use super::connection::{Connection, Place};
use super::dial::dial;
use super::fault::{Fault, foreign};
use super::pool::{Found, Pool};
use super::tls::Tls;
use super::upload::Upload;
use crate::host::mount::Response;

/// How many connections a call waits for that others fill before it, or that
/// close at once.
const MOST_ROUNDS: u32 = 4;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// What messages call it: the service that is behind it. They never name
    /// its address, which is nobody's business outside.
    pub name: String,
    /// How long a connection may take until it is known to speak HTTP/2.
    pub connect: Duration,
    /// After so long without a word from it, while calls wait, it is asked
    /// whether it lives.
    pub keepalive: Duration,
    /// How long it has to say so.
    pub keepalive_answer: Duration,
    /// What an `https` address is known by.
    pub tls: Option<Tls>,
}

impl Options {
    /// The usual ones, for the server of a service.
    pub fn new(name: impl Into<String>) -> Options {
        Options {
            name: name.into(),
            connect: Duration::from_secs(2),
            keepalive: Duration::from_secs(20),
            keepalive_answer: Duration::from_secs(5),
            tls: None,
        }
    }
}

/// Whether a server can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no connection, and nothing wrong.
    Idle,
    /// There is one.
    Connected,
    /// There is none, as the last was lost or could not be made.
    Down,
}

/// A call that has no answer.
#[derive(Debug)]
pub struct Refused {
    /// What its client is told, unless somebody else answers.
    pub status: Status,
    /// Whether the server may have done something about it. If not, sending it
    /// elsewhere is as good as sending it once.
    pub reached: bool,
    /// The call, where it can be sent again.
    pub call: Option<Box<Call>>,
}

/// One server, and the connections to it, which are made when they are first
/// wanted and close with this.
pub struct Target {
    pub(super) address: Address,
    pub(super) options: Options,
    pool: Pool,
    /// Connections there are.
    connections: AtomicUsize,
    state: watch::Sender<State>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Target {
    /// A server that is not connected to yet.
    pub fn new(address: Address, options: Options) -> Arc<Target> {
        let state = watch::Sender::new(State::Idle);
        Arc::new(Target { address, options, pool: Pool::new(), connections: AtomicUsize::new(0), state })
    }

    /// Whether it can be reached, as it is now and as it changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Where it is: for logs, and not for clients.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        &self.options.name
    }

    /// Sends a call on, and gives back the head of its answer, with a body that
    /// follows. Dropped, before or after, the call is cancelled there as well.
    pub async fn send(self: &Arc<Self>, mut call: Call) -> Result<Response, Refused> {
        call.look().await.map_err(|status| Refused { status, reached: true, call: None })?;
        let (sender, place) = match self.connection().await {
            Ok(found) => found,
            Err(status) => return Err(Refused { status, reached: false, call: Some(Box::new(call)) }),
        };
        self.send_on(sender, place, call).await
    }

    async fn send_on(
        self: &Arc<Self>,
        mut sender: SendRequest<Bytes>,
        place: Place,
        call: Call,
    ) -> Result<Response, Refused> {
        let copy = call.copy().map(Box::new);
        let kept = call.kept.clone();
        let limit = call.limit.map(|limit| Box::pin(tokio::time::sleep_until(limit)));
        let Some((request, payload)) = call.into_request(&self.address) else {
            let status = Status::deadline_exceeded("the deadline passed before the call was sent on");
            return Err(Refused { status, reached: true, call: None });
        };
        let refused = |error: &h2::Error, copy| {
            let Fault { status, unprocessed } = Fault::of(error, self.name());
            Refused { status, reached: !unprocessed, call: copy }
        };
        let empty = matches!(&payload, Payload::Whole(bytes) if bytes.is_empty());
        let (mut answering, mut sending) = match sender.send_request(request, empty) {
            Ok(sent) => sent,
            // It was never written.
            Err(error) => return Err(Refused { reached: false, ..refused(&error, copy) }),
        };
        let upload = match payload {
            Payload::Whole(_) if empty => None,
            Payload::Whole(bytes) => {
                // Where that fails, the answer says why.
                let _ = sending.send_data(bytes, true);
                None
            }
            Payload::Open(ahead, body) => Some(Upload::begin(ahead, body, sending)),
        };
        let mut held = Held { target: self.clone(), upload, limit, _place: place, _kept: kept };
        let answered = poll_fn(|context| match Pin::new(&mut answering).poll(context) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => held.poll_ended(context).map(Err),
        });
        match answered.await {
            Ok(Ok(answer)) => Ok(self.pass(answer, held)),
            Ok(Err(error)) => Err(refused(&error, copy)),
            Err(status) => Err(Refused { status, reached: true, call: None }),
        }
    }

    /// An answer as it is; what is no gRPC is told in gRPC.
    fn pass(&self, answer: http::Response<h2::RecvStream>, held: Held) -> Response {
        let (head, stream) = answer.into_parts();
        if let Some(status) = foreign(head.status, &head.headers, self.name()) {
            return status.into_http();
        }
        let body = if stream.is_end_stream() { Body::empty() } else { Body::new(Answer::new(stream, held)) };
        Response::from_parts(head, body)
    }

    /// A place for a call on a connection of this thread's.
    async fn connection(self: &Arc<Self>) -> Result<(SendRequest<Bytes>, Place), Status> {
        let part = self.pool.part();
        for round in 0..MOST_ROUNDS {
            let mut attempt = match self.pool.find(part, round + 1 == MOST_ROUNDS) {
                Found::Place(sender, place) => return Ok((sender, place)),
                Found::Nothing(why) => return Err(self.unreachable(&why)),
                Found::Soon(attempt) => attempt,
                Found::Make(tell, attempt) => {
                    let target = self.clone();
                    // Not the caller's to cancel: others wait for it as well.
                    tokio::spawn(async move {
                        let made = target.connect(part).await;
                        tell.send_replace(Some(made));
                    });
                    attempt
                }
            };
            let outcome = attempt.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match outcome {
                Some(Ok(())) => {}
                Some(Err(why)) => return Err(self.unreachable(&why)),
                None => return Err(self.unreachable("the host is stopping")),
            }
        }
        Err(self.unreachable("it closes every connection"))
    }

    fn unreachable(&self, why: &str) -> Status {
        Status::unavailable(format!("the server of {} cannot be reached: {why}", self.name()))
    }

    /// Makes a connection for a part of the pool.
    async fn connect(self: &Arc<Self>, part: usize) -> Result<(), Arc<str>> {
        let (sender, driver) = self.dial().await?;
        self.pool.add(part, Connection::new(sender, &driver));
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.state.send_if_modified(|state| std::mem::replace(state, State::Connected) != State::Connected);
        let target = Arc::downgrade(self);
        tokio::spawn(async move {
            let in_order = driver.run().await;
            let Some(target) = target.upgrade() else { return };
            if target.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
                target.state.send_replace(if in_order { State::Idle } else { State::Down });
            }
        });
        Ok(())
    }

    /// A connection that is in no pool; how it goes is taken note of.
    pub(super) async fn dial(&self) -> Result<super::dial::Dialled, Arc<str>> {
        match dial(&self.address, &self.options).await {
            Ok(dialled) => {
                if self.pool.reached() {
                    tracing::info!(service = self.name(), server = %self.address, "a server can be reached again");
                }
                Ok(dialled)
            }
            Err(why) => {
                let why: Arc<str> = why.into();
                if self.pool.failed(why.clone()) {
                    tracing::warn!(service = self.name(), server = %self.address, %why, "a server cannot be reached");
                }
                if self.connections.load(Ordering::Relaxed) == 0 {
                    self.state.send_replace(State::Down);
                }
                Err(why)
            }
        }
    }
}
