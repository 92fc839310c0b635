//! Where calls come from: sockets bound, connections accepted, HTTP/2 spoken,
//! and all of it ended in order.
//!
//! The accept loop is ours, below tonic, so that every limit is ours to set;
//! sockets that a new configuration still names stay open through a reload.

mod admission;
mod connection;
mod inherited;
mod meter;
mod metered;
mod socket;
mod successor;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Entrance, Host, Phase};
use crate::config::{Address, Limits, Listen, Listener, Problem, Problems};
use admission::{Admission, Admitted};
pub use inherited::Inherited;
use socket::Socket;
pub(crate) use successor::{Predecessor, Succession, Successor};

/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Trouble that repeats is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// What to do about an address that cannot be bound.
const ANOTHER: &str = "choose another address, or stop what holds this one";
/// How long calls that were told to end may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// One open socket and its accept loop.
struct Open {
    listener: Listener,
    socket: Arc<Socket>,
    stop: CancellationToken,
}

/// Every open socket, and the connections that came from them.
pub struct Front {
    entrance: Entrance,
    inherited: Inherited,
    admission: Admission,
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
    /// No sockets yet, but those that were there before.
    pub fn new(host: &Host, inherited: Inherited) -> Front {
        let ending = CancellationToken::new();
        Front {
            entrance: Entrance::new(host, ending.clone()),
            inherited,
            admission: Admission::default(),
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
            let bound = self.bind(listener, base).await.map_err(|problem| problem.within(at).within("listen"));
            let bound = problems.take(bound).into_iter().flatten();
            prepared.0.extend(bound.map(|socket| (listener.clone(), socket)));
        }
        problems.or(prepared)
    }

    /// The sockets of one address: inherited where there are any, or a new one.
    async fn bind(&self, listener: &Listener, base: &Path) -> Result<Vec<Socket>, Problem> {
        let asked = socket::absolute(&listener.address, base);
        let inherited: io::Result<Vec<Socket>> =
            self.inherited.of(&asked).map(|socket| Socket::adopt(socket.try_clone()?)).collect();
        let sockets = match inherited {
            Ok(none) if none.is_empty() => Socket::bind(&asked).await.map(|socket| vec![socket]),
            inherited => inherited,
        };
        let sockets = sockets.map_err(|error| {
            let (what, help) = match asked {
                Address::Systemd(_) => (error.to_string(), self.inherited.words()),
                _ if error.kind() == io::ErrorKind::AddrInUse => ("it is in use".to_owned(), ANOTHER.to_owned()),
                _ => (error.to_string(), ANOTHER.to_owned()),
            };
            Problem::new(format!("cannot listen on {}: {what}", listener.address)).label("cannot be bound").help(help)
        })?;
        for socket in &sockets {
            listener
                .accepts(socket.address())
                .map_err(|(message, help)| Problem::new(message).label("not encrypted").help(help))?;
        }
        Ok(sockets)
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
            let socket = Arc::new(socket);
            let accepting = Accepting {
                socket: socket.clone(),
                entrance: self.entrance.clone(),
                admission: self.admission.clone(),
                connections: self.connections.clone(),
                stop: stop.clone(),
            };
            self.connections.spawn(accepting.run());
            self.open.push(Open { listener, socket, stop });
        }
    }

    /// What was there before this process, and is.
    pub(crate) fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// Gives a successor every socket. When it serves, this process has only to
    /// drain; when it fails, nothing has changed.
    pub(crate) async fn hand_over(&self, succession: &Succession, to: Successor) -> io::Result<()> {
        let managers = self.inherited.managers().map(|(address, socket)| Ok((address.clone(), socket.try_clone()?)));
        let managers = managers.collect::<io::Result<Vec<_>>>()?;
        let own = self.open.iter().filter(|open| !matches!(open.listener.address, Address::Systemd(_)));
        succession.hand_over(to, managers, own.map(|open| open.socket.clone()).collect()).await
    }

    /// What a predecessor handed over is this process's own, now that it goes.
    pub(crate) fn own(&mut self, succession: Option<&Succession>) {
        for open in self.open.iter().filter(|open| !matches!(open.listener.address, Address::Systemd(_))) {
            open.socket.share(false);
        }
        succession.inspect(|succession| succession.own());
        self.inherited.keep_managers();
    }

    /// Where it can be reached, ports as the system chose them.
    pub fn addresses(&self) -> Vec<Address> {
        self.open.iter().map(|open| open.socket.address().clone()).collect()
    }

    /// Stops: says NOT_SERVING, keeps answering for a while, then takes no more
    /// and lets calls in flight end. Those that have not within `limit` are told
    /// to; returns whether none had to be.
    pub async fn drain(mut self, host: &Host, lame_duck: Duration, limit: Duration) -> bool {
        host.enter(Phase::LameDuck);
        tokio::time::sleep(lame_duck).await;
        host.enter(Phase::Closing);
        self.drain.cancel();
        self.open.clear();
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
    socket: Arc<Socket>,
    entrance: Entrance,
    admission: Admission,
    connections: TaskTracker,
    stop: CancellationToken,
}

impl Accepting {
    /// Accepts until told to stop, and then what has been waiting: to its
    /// client, a connection in the queue is a connection.
    async fn run(self) {
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
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
        while let Some(stream) = self.socket.queued() {
            self.take(stream);
        }
    }

    /// Serves a connection, or closes it at once where there are too many.
    fn take(&self, stream: socket::Stream) {
        let limits = self.entrance.current().document.shape.limits.clone();
        let Some(admitted) = self.admission.admit(stream.peer(), &limits) else {
            tracing::debug!("a connection over the limit was closed");
            return;
        };
        let (entrance, stop) = (self.entrance.clone(), self.stop.clone());
        match stream {
            socket::Stream::Tcp(stream) => {
                // Small frames go out when they are written; nothing here profits from waiting.
                let _ = stream.set_nodelay(true);
                self.serve(stream, entrance, limits, stop, admitted);
            }
            socket::Stream::Unix(stream) => self.serve(stream, entrance, limits, stop, admitted),
        }
    }

    fn serve(
        &self,
        stream: impl metered::Stream,
        entrance: Entrance,
        limits: Limits,
        stop: CancellationToken,
        admitted: Admitted,
    ) {
        self.connections.spawn(async move {
            connection::serve(stream, entrance, limits, stop).await;
            drop(admitted);
        });
    }
}
