//! Where calls come from: sockets bound, connections accepted, HTTP/2 spoken,
//! and all of it ended in order.
//!
//! The accept loop is ours, below tonic, so that every limit is ours to set;
//! sockets that a new configuration still names stay open through a reload.

mod admission;
mod connection;
mod meter;
mod metered;
mod socket;
mod workers;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Entrance, Host, Phase};
use crate::config::{Address, Listen, Listener, Problem, Problems};
use admission::Admission;
use socket::Socket;

pub use workers::Workers;

/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Trouble that repeats is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How long calls that were told to end may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// One open socket and its accept loop.
struct Open {
    listener: Listener,
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
pub struct Prepared(Vec<(Listener, Socket)>);

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
        for (at, listener) in listen.0.iter().enumerate() {
            if self.open.iter().any(|open| open.listener.address == listener.address) {
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
            prepared.0.extend(problems.take(bound).map(|socket| (listener.clone(), socket)));
        }
        problems.or(prepared)
    }

    /// Accepts on what was prepared, and stops accepting on what is no longer
    /// asked for; connections that came from there finish their calls.
    pub fn commit(&mut self, listen: &Listen, prepared: Prepared) {
        self.open.retain(|open| {
            let wanted = listen.0.iter().any(|listener| listener.address == open.listener.address);
            if !wanted {
                open.stop.cancel();
            }
            wanted
        });
        for (listener, socket) in prepared.0 {
            let stop = self.drain.child_token();
            let bound = socket.address();
            let accepting = Accepting {
                socket,
                entrance: self.entrance.clone(),
                admission: self.admission.clone(),
                workers: self.workers.clone(),
                connections: self.connections.clone(),
                stop: stop.clone(),
            };
            self.connections.spawn(accepting.run());
            self.open.push(Open { listener, bound, stop });
        }
    }

    /// Where it can be reached, ports as the system chose them.
    pub fn addresses(&self) -> Vec<Address> {
        self.open.iter().map(|open| open.bound.clone()).collect()
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
    fn take(&self, stream: socket::Stream) {
        let limits = self.entrance.current().document.shape.limits.clone();
        let Some(admitted) = self.admission.admit(stream.peer(), &limits) else {
            tracing::debug!("a connection over the limit was closed");
            return;
        };
        let Some((runtime, place)) = self.workers.deal() else { return };
        let Ok(stream) = stream.leave() else { return };
        let (entrance, stop) = (self.entrance.clone(), self.stop.clone());
        let served = async move {
            match stream.enter() {
                Ok(socket::Stream::Tcp(stream)) => connection::serve(stream, entrance, limits, stop).await,
                Ok(socket::Stream::Unix(stream)) => connection::serve(stream, entrance, limits, stop).await,
                Err(error) => tracing::warn!(%error, "a connection could not be handed to its worker"),
            }
            drop((admitted, place));
        };
        self.connections.spawn_on(served, &runtime);
    }
}
