//! Where calls come from: sockets bound, connections accepted, HTTP/2 spoken,
//! and all of it ended in order.
//!
//! The accept loop is ours, below tonic, so that every limit is ours to set;
//! sockets that a new configuration still names stay open through a reload.

mod accept;
mod admission;
mod calls;
mod clock;
mod connection;
mod inherited;
pub(crate) mod meter;
mod metered;
mod pace;
mod socket;
mod successor;
mod tally;
pub(super) mod tls;
mod workers;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Entrance, Host, Phase};
use crate::config::{Address, Listen, Listener, Problem, Problems, Shape};
use accept::Accepting;
use admission::Admission;
use socket::Socket;
use tally::Tally;

pub use inherited::Inherited;
pub(crate) use successor::{Predecessor, Succession, Successor};
pub use workers::Workers;

/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// What to do about an address that cannot be bound.
const ANOTHER: &str = "choose another address, or stop what holds this one";
/// How long calls that were told to end may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which listener a socket is for: its address, and its number among those of
/// that address. How it is served is the current generation's to say.
type Which = (Address, usize);

/// One open socket and its accept loop.
struct Open {
    which: Which,
    socket: Arc<Socket>,
    stop: CancellationToken,
}

/// Every open socket, and the connections that came from them.
pub struct Front {
    entrance: Entrance,
    inherited: Inherited,
    admission: Admission,
    tally: Tally,
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
pub struct Prepared(Vec<(Which, Listener, Socket)>);

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.addresses()).finish()
    }
}

impl Front {
    /// No sockets yet but those that were there before; connections will be
    /// served by these workers.
    pub fn new(host: &Host, workers: Workers, inherited: Inherited) -> Front {
        let ending = CancellationToken::new();
        Front {
            entrance: Entrance::new(host, ending.clone()),
            inherited,
            admission: Admission::default(),
            tally: Tally::default(),
            workers: Arc::new(workers),
            open: Vec::new(),
            connections: TaskTracker::new(),
            drain: CancellationToken::new(),
            ending,
        }
    }

    /// Binds what is asked for and not open yet. Nothing is accepted, and
    /// nothing that is open is touched, before [`commit`](Self::commit).
    pub async fn prepare(&self, shape: &Shape, base: &Path) -> Result<Prepared, Problems> {
        let mut problems = Problems::default();
        let mut prepared = Prepared::default();
        for (at, (listener, number)) in shape.listen.numbered().enumerate() {
            let which = (listener.address.clone(), number);
            if self.open.iter().any(|open| open.which == which) {
                continue;
            }
            let encrypted = shape.tls.is_some();
            let bound = self.bind(listener, base, encrypted).await;
            let bound = bound.map_err(|problem| problem.within(at).within("listen"));
            let bound = problems.take(bound).into_iter().flatten();
            prepared.0.extend(bound.map(|socket| (which.clone(), listener.clone(), socket)));
        }
        problems.or(prepared)
    }

    /// The sockets of one address: inherited where there are any, or a new one.
    async fn bind(&self, listener: &Listener, base: &Path, encrypted: bool) -> Result<Vec<Socket>, Problem> {
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
                Address::Unix(ref path) if error.kind() == io::ErrorKind::AddrInUse && !socket::is_socket(path) => {
                    ("a file that is no socket is there".to_owned(), "choose another path".to_owned())
                }
                _ if error.kind() == io::ErrorKind::AddrInUse => ("it is in use".to_owned(), self.in_the_way(&asked)),
                _ => (error.to_string(), "choose another address".to_owned()),
            };
            Problem::new(format!("cannot listen on {}: {what}", listener.address)).label("cannot be bound").help(help)
        })?;
        match sockets.iter().find_map(|socket| listener.exposed(socket.address())) {
            Some(problem) if !encrypted => Err(problem.label("not encrypted")),
            _ => Ok(sockets),
        }
    }

    /// What may be done about an address in use.
    fn in_the_way(&self, asked: &Address) -> String {
        let port = |address: &Address| if let Address::Tcp(address) = address { Some(address.port()) } else { None };
        let own = self
            .open
            .iter()
            .map(|open| open.socket.address())
            .find(|own| port(asked).is_some() && port(own) == port(asked));
        match own {
            Some(own) => format!("{own} of this very process holds it: a port changes its address by a restart"),
            None => ANOTHER.to_owned(),
        }
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
        for (which, listener, socket) in prepared.0 {
            let stop = self.drain.child_token();
            let socket = Arc::new(socket);
            let accepting = Accepting {
                which: which.clone(),
                listener,
                socket: socket.clone(),
                entrance: self.entrance.clone(),
                admission: self.admission.clone(),
                tally: self.tally.clone(),
                workers: self.workers.clone(),
                connections: self.connections.clone(),
                stop: stop.clone(),
            };
            self.connections.spawn(accepting.run());
            self.open.push(Open { which, socket, stop });
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
        let own = self.open.iter().filter(|open| !matches!(open.which.0, Address::Systemd(_)));
        succession.hand_over(to, managers, own.map(|open| open.socket.clone()).collect()).await
    }

    /// What a predecessor handed over is this process's own, now that it goes.
    pub(crate) fn own(&mut self, succession: Option<&Succession>) {
        for open in self.open.iter().filter(|open| !matches!(open.which.0, Address::Systemd(_))) {
            open.socket.share(false);
        }
        succession.inspect(|succession| succession.own());
        self.inherited.keep_managers();
    }

    /// Where it can be reached, ports as the system chose them.
    pub fn addresses(&self) -> Vec<Address> {
        self.open.iter().map(|open| open.socket.address().clone()).collect()
    }

    /// As [`addresses`](Self::addresses), each with the listener that asked for it.
    pub(super) fn listeners<'a>(&'a self, listen: &'a Listen) -> impl Iterator<Item = (&'a Address, &'a Listener)> {
        self.open.iter().filter_map(|Open { which: (address, number), socket, .. }| {
            listen.find(address, *number).map(|listener| (socket.address(), listener))
        })
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
