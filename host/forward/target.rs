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
use http::header::CONTENT_LENGTH;
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

/// A call that has no answer. Where all of it is still there, the call can be
/// sent again.
#[derive(Debug)]
pub struct Refused {
    /// What its client is told, unless somebody else answers.
    pub status: Status,
    /// How it came to that.
    pub cause: Cause,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no connection: the server has not heard of it.
    Unsent,
    /// The server says that it has not looked at it: sending it once more, here
    /// or elsewhere, is as good as sending it once.
    Unprocessed,
    /// The server broke it off, or the connection was lost.
    Broken,
    /// The server did not answer in the time that the call gives it.
    Overdue,
    /// The request is not in order, or its time was up.
    Request,
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
    pub async fn send(self: &Arc<Self>, call: &mut Call) -> Result<Response, Refused> {
        let looked =
            if call.is_whole() { call.look().await } else { Err(Status::internal("the call was sent before")) };
        looked.map_err(|status| Refused { status, cause: Cause::Request })?;
        let connected = self.connection().await;
        let (sender, place) = connected.map_err(|status| Refused { status, cause: Cause::Unsent })?;
        self.send_on(sender, place, call).await
    }

    async fn send_on(
        self: &Arc<Self>,
        mut sender: SendRequest<Bytes>,
        place: Place,
        call: &mut Call,
    ) -> Result<Response, Refused> {
        let Some(request) = call.head(&self.address) else {
            let status = Status::deadline_exceeded("the deadline passed before the call was sent on");
            return Err(Refused { status, cause: Cause::Request });
        };
        let empty = matches!(&call.payload, Payload::Whole(bytes) if bytes.is_empty());
        let (mut answering, mut sending) = sender.send_request(request, empty).map_err(|error| {
            // It was never written.
            Refused { cause: Cause::Unprocessed, ..self.refused(&error) }
        })?;
        let upload = match call.payload.take() {
            Payload::Whole(bytes) if !empty => {
                // Where that fails, the answer says why.
                let _ = sending.send_data(bytes, true);
                None
            }
            Payload::Open(ahead, body) => Some(Upload::begin(ahead, body, sending)),
            Payload::Whole(_) | Payload::Sent => None,
        };
        let limit = call.limit.map(|limit| Box::pin(tokio::time::sleep_until(limit)));
        let mut held = Held { upload, limit, place, _kept: call.kept.clone() };
        let answered = poll_fn(|context| match Pin::new(&mut answering).poll(context) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => held.poll_ended(context).map(Err),
        });
        match answered.await {
            Ok(Ok(answer)) => {
                if let Some(upload) = &held.upload {
                    upload.settle();
                }
                Ok(self.pass(answer, held))
            }
            Ok(Err(error)) => {
                if let Some(payload) = held.upload.take().and_then(Upload::take_back) {
                    call.payload = payload;
                }
                Err(self.refused(&error))
            }
            Err(refused) => Err(refused),
        }
    }

    /// What an error on a stream means for its call.
    fn refused(&self, error: &h2::Error) -> Refused {
        let Fault { status, unprocessed } = Fault::of(error, self.name());
        Refused { status, cause: if unprocessed { Cause::Unprocessed } else { Cause::Broken } }
    }

    /// An answer as it is; what is no gRPC is told in gRPC.
    fn pass(&self, answer: http::Response<h2::RecvStream>, held: Held) -> Response {
        let (mut head, stream) = answer.into_parts();
        if let Some(status) = foreign(head.status, &head.headers, self.name()) {
            return status.into_http();
        }
        // An answer may still be cut short here.
        head.headers.remove(CONTENT_LENGTH);
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
