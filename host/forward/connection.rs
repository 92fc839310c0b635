//! One connection to a server: how many calls it carries, and whether its
//! other end still lives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use tokio::time::{sleep, sleep_until, timeout};

use super::heard::Last;
use super::options::Options;

/// Calls on one connection, however many more its peer would take: their
/// windows together are what the peer may make the host hold.
pub(super) const MOST_STREAMS: usize = 100;
/// A peer that was asked and lives, but says nothing more, is asked again after
/// so many times as long. Servers take it amiss to be asked more than twice in
/// five minutes about a stream on which nothing happens.
const SLOWER: u32 = 4;
const SLOWEST: u32 = SLOWER * SLOWER;

/// What a connection and those who call on it both know.
#[derive(Debug)]
struct Shared {
    /// What messages call its server: held here, as the target is shared by
    /// all cores and dear to touch.
    name: Arc<str>,
    calls: AtomicUsize,
    gone: AtomicBool,
}

/// A connection as calls find it; clones are one. It closes when the last is
/// dropped and its last call has ended.
#[derive(Clone)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
}

/// A call's place on its connection, until it drops.
#[derive(Debug)]
pub(super) struct Place(Arc<Shared>);

impl Place {
    /// What messages call the server.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Whether its peer has closed it, or said that it takes no more calls.
    pub(super) fn is_gone(&mut self) -> bool {
        // Nothing of ours waits to be opened on this handle, so it is ready or broken.
        self.shared.gone.load(Ordering::Relaxed)
            || matches!(self.sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }

    /// How many calls more it takes.
    pub(super) fn room(&self) -> usize {
        let most = self.sender.current_max_send_streams().min(MOST_STREAMS);
        most.saturating_sub(self.shared.calls.load(Ordering::Relaxed))
    }

    /// A place for one call, beyond its room if it must be: then it is opened
    /// when another ends.
    pub(super) fn place(&self) -> (SendRequest<Bytes>, Place) {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        (self.sender.clone(), Place(self.shared.clone()))
    }
}

/// A PING and its answer.
pub(super) async fn ping(pings: &mut PingPong) -> Result<(), h2::Error> {
    pings.ping(Ping::opaque()).await.map(drop)
}

type Driven = Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>;

/// Reads and writes until the connection ends.
pub(super) struct Driver {
    connection: Driven,
    alive: Alive,
}

impl Driver {
    /// A connection, and what drives it.
    pub(super) fn new(
        sender: SendRequest<Bytes>,
        connection: Driven,
        pings: PingPong,
        last: Last,
        options: &Options,
    ) -> (Connection, Driver) {
        let name = options.name.as_str().into();
        let shared = Arc::new(Shared { name, calls: AtomicUsize::new(0), gone: AtomicBool::new(false) });
        let alive = Alive { pings, last, shared: shared.clone(), answer: options.keepalive_answer };
        (Connection { sender, shared }, Driver { connection, alive })
    }

    /// Until the connection ends, or is given up; returns whether it was.
    pub(super) async fn run<F: Future<Output = ()>>(self, given_up: impl FnOnce(Alive) -> F) -> bool {
        let Driver { connection, alive } = self;
        let _gone = Gone(alive.shared.clone());
        // Frames wake the connection; what is kept in a set of its own is not
        // polled each time with it.
        let mut given_up = FuturesUnordered::from_iter([given_up(alive)]);
        tokio::select! {
            biased;
            _ = connection => false,
            Some(()) = given_up.next() => {
                tracing::debug!("a server has vanished");
                true
            }
        }
    }
}

/// Marks the connection however its driver ends.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

/// Whether a connection's other end lives.
pub(super) struct Alive {
    pings: PingPong,
    last: Last,
    shared: Arc<Shared>,
    answer: Duration,
}

impl Alive {
    /// Waits until it has not said a word for so long.
    pub(super) async fn silence(&self, long: Duration) {
        loop {
            let last = self.last.at();
            sleep_until(last + long).await;
            if self.last.at() == last {
                return;
            }
        }
    }

    /// Whether it says, in time, that it lives.
    pub(super) async fn answers(&mut self) -> bool {
        matches!(timeout(self.answer, ping(&mut self.pings)).await, Ok(Ok(())))
    }

    /// Ready when it does not, asked after so long without a word while calls
    /// wait, and ever more seldom as long as it says nothing else.
    pub(super) async fn lost(mut self, quiet: Duration) {
        let mut slower = 1;
        let mut last = self.last.at();
        loop {
            sleep_until(last + quiet * slower).await;
            let before = std::mem::replace(&mut last, self.last.at());
            if last != before {
                slower = 1;
            } else if self.shared.calls.load(Ordering::Relaxed) == 0 {
                sleep(quiet).await;
            } else if self.answers().await {
                last = self.last.at();
                slower = SLOWEST.min(slower * SLOWER);
            } else {
                return;
            }
        }
    }
}
