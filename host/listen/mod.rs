//! Where calls come from: sockets bound, connections accepted, HTTP/2 spoken,
//! and all of it ended in order.
//!
//! The accept loop is ours, below tonic, so that every limit is ours to set;
//! sockets that a new configuration still names stay open through a reload.

mod admission;
mod clock;
mod connection;
mod meter;
mod metered;
mod socket;
pub(super) mod tls;
mod workers;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Entrance, Host, Peer, Phase};
use crate::config::{Address, Listen, Listener, Problem, Problems};
use admission::Admission;
use clock::Stall;
use connection::{Visit, serve};
use socket::{Socket, Stream};

pub use workers::Workers;

/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Trouble that repeats is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How long calls that were told to end may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which listener a socket is for: its address, and its number among those of
/// that address. How it is served is the current generation's to say.
type Which = (Address, usize);

/// One open socket and its accept loop.
struct Open {
    which: Which,
    bound: Address,
    stop: CancellationToken,
}

/// Every open socket, and the connections that came from them.
pub struct Front {
    entrance: Entrance,
    admission: Admission,
    workers: Arc<Workers>,
    open: Vec<Open>,
    connections: TaskTracker,
    /// Connections finish the calls they have and take no more.
    drain: CancellationToken,
    /// Calls still open end UNAVAILABLE.
    ending: CancellationToken,
}

/// Sockets bound for a configuration that is not installed yet.
#[derive(Debug, Default)]
pub struct Prepared(Vec<(Which, Socket)>);

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.addresses()).finish()
    }
}

impl Front {
    /// No sockets yet; connections will be served by these workers.
    pub fn new(host: &Host, workers: Workers) -> Front {
        let ending = CancellationToken::new();
        Front {
            entrance: Entrance::new(host, ending.clone()),
            admission: Admission::default(),
            workers: Arc::new(workers),
            open: Vec::new(),
            connections: TaskTracker::new(),
            drain: CancellationToken::new(),
            ending,
        }
    }

    /// Binds what is asked for and not open yet. Nothing is accepted, and
    /// nothing that is open is touched, before [`commit`](Self::commit).
    pub async fn prepare(&self, listen: &Listen, base: &Path) -> Result<Prepared, Problems> {
        let mut problems = Problems::default();
        let mut prepared = Prepared::default();
        for (at, (listener, number)) in listen.numbered().enumerate() {
            let which = (listener.address.clone(), number);
            if self.open.iter().any(|open| open.which == which) {
                continue;
            }
            let bound = Socket::bind(&listener.address, base).await.map_err(|error| {
                let what = if error.kind() == io::ErrorKind::AddrInUse {
                    "it is in use".to_owned()
                } else {
                    error.to_string()
                };
                Problem::new(format!("cannot listen on {}: {what}", listener.address))
                    .label("cannot be bound")
                    .help("choose another address, or stop what holds this one")
                    .within(at)
                    .within("listen")
            });
            prepared.0.extend(problems.take(bound).map(|socket| (which, socket)));
        }
        problems.or(prepared)
    }

    /// Accepts on what was prepared, and stops accepting on what is no longer
    /// asked for; connections that came from there finish their calls.
    pub fn commit(&mut self, listen: &Listen, prepared: Prepared) {
        self.open.retain(|open| {
            let (address, number) = &open.which;
            let wanted = listen.find(address, *number).is_some();
            if !wanted {
                open.stop.cancel();
            }
            wanted
        });
        for (which, socket) in prepared.0 {
            let stop = self.drain.child_token();
            let bound = socket.address();
            let accepting = Accepting {
                which: which.clone(),
                socket,
                entrance: self.entrance.clone(),
                admission: self.admission.clone(),
                workers: self.workers.clone(),
                connections: self.connections.clone(),
                stop: stop.clone(),
            };
            self.connections.spawn(accepting.run());
            self.open.push(Open { which, bound, stop });
        }
    }

    /// Where it can be reached, ports as the system chose them.
    pub fn addresses(&self) -> Vec<Address> {
        self.open.iter().map(|open| open.bound.clone()).collect()
    }

    /// As [`addresses`](Self::addresses), each with the listener that asked for it.
    pub(super) fn listeners<'a>(&'a self, listen: &'a Listen) -> impl Iterator<Item = (&'a Address, &'a Listener)> {
        self.open.iter().filter_map(|Open { which: (address, number), bound, .. }| {
            listen.find(address, *number).map(|listener| (bound, listener))
        })
    }

    /// Stops: says NOT_SERVING, keeps answering for a while, then takes no more
    /// and lets calls in flight end. Those that have not within `limit` are told
    /// to; returns whether none had to be.
    pub async fn drain(self, host: &Host, lame_duck: Duration, limit: Duration) -> bool {
        host.enter(Phase::LameDuck);
        tokio::time::sleep(lame_duck).await;
        host.enter(Phase::Closing);
        self.drain.cancel();
        self.connections.close();
        let whole = tokio::time::timeout(limit, self.connections.wait()).await.is_ok();
        if !whole {
            self.ending.cancel();
            // What does not end now ends with the process.
            let _ = tokio::time::timeout(LAST_WORDS, self.connections.wait()).await;
        }
        whole
    }
}

/// One socket's accept loop.
struct Accepting {
    which: Which,
    socket: Socket,
    entrance: Entrance,
    admission: Admission,
    workers: Arc<Workers>,
    connections: TaskTracker,
    stop: CancellationToken,
}

impl Accepting {
    /// Accepts until told to stop.
    async fn run(self) {
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok(stream) => self.take(stream),
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                        told = Some(Instant::now());
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Serves a connection, or closes it at once where there are too many.
    fn take(&self, stream: Stream) {
        let generation = self.entrance.current();
        let (address, number) = &self.which;
        // The socket of a listener that has just been given up is about to close.
        let Some(listener) = generation.document.shape.listen.find(address, *number) else { return };
        let limits = &generation.document.shape.limits;
        let peer = stream.peer();
        let Some(admitted) = self.admission.admit(peer.map(|peer| peer.ip()), limits) else {
            tracing::debug!("a connection over the limit was closed");
            return;
        };
        let Some((runtime, place)) = self.workers.deal() else { return };
        let Ok(stream) = stream.leave() else { return };
        let visit = Visit {
            entrance: self.entrance.clone(),
            peer: Peer::new(peer, []),
            serves: listener.serves,
            limits: limits.clone(),
            deadline: Instant::now() + limits.handshake.0,
            stop: self.stop.clone(),
        };
        let encryption = generation.encryption().filter(|_| listener.is_encrypted()).cloned();
        let served = async move {
            let stall = visit.limits.write_stall.0;
            match stream.enter() {
                Ok(Stream::Tcp(stream)) => {
                    let stream = Stall::new(stream, stall);
                    match encryption {
                        Some(encryption) => encrypted(stream, encryption, visit).await,
                        None => serve(stream, visit).await,
                    }
                }
                Ok(Stream::Unix(stream)) => serve(Stall::new(stream, stall), visit).await,
                Err(error) => tracing::warn!(%error, "a connection could not be handed to its worker"),
            }
            drop((admitted, place));
        };
        self.connections.spawn_on(served, &runtime);
    }
}

/// Serves a connection once hands are shaken, if that comes about in time.
async fn encrypted(stream: impl metered::Stream, encryption: Arc<ServerConfig>, visit: Visit) {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout_at(visit.deadline, tls::accept(stream, encryption)) => shaken,
        () = visit.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let peer = Peer::new(visit.peer.address(), tls::certificates(&stream));
            serve(stream, Visit { peer, ..visit }).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}
