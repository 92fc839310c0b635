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
use h2::PingPong;
use h2::client::SendRequest;
use tokio::time::{sleep, timeout};

use super::dial::ping;
use super::heard::Count;
use super::target::Options;

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

/// A connection as calls find it. It closes when this is dropped and its last
/// call has ended.
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
    pub(super) fn new(sender: SendRequest<Bytes>, driver: &Driver) -> Connection {
        Connection { sender, shared: driver.shared.clone() }
    }

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

/// Reads and writes until the connection ends.
pub(super) struct Driver {
    connection: Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>,
    pings: PingPong,
    heard: Count,
    shared: Arc<Shared>,
    keepalive: Duration,
    keepalive_answer: Duration,
}

impl Driver {
    pub(super) fn new(
        connection: Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>,
        pings: PingPong,
        heard: Count,
        options: &Options,
    ) -> Driver {
        let Options { keepalive, keepalive_answer, .. } = *options;
        let name = options.name.as_str().into();
        let shared = Arc::new(Shared { name, calls: AtomicUsize::new(0), gone: AtomicBool::new(false) });
        Driver { connection, pings, heard, shared, keepalive, keepalive_answer }
    }

    /// Whether it ended in order.
    pub(super) async fn run(self) -> bool {
        let Driver { connection, mut pings, heard, shared, keepalive, keepalive_answer } = self;
        let _gone = Gone(shared.clone());
        let vanished = async {
            let mut slower = 1;
            loop {
                let before = heard.now();
                sleep(keepalive * slower).await;
                if heard.now() != before {
                    slower = 1;
                } else if shared.calls.load(Ordering::Relaxed) > 0 {
                    if !matches!(timeout(keepalive_answer, ping(&mut pings)).await, Ok(Ok(()))) {
                        return;
                    }
                    slower = SLOWEST.min(slower * SLOWER);
                }
            }
        };
        // Frames wake the connection; what is kept in a set of its own is not
        // polled each time with it.
        let mut vanished = FuturesUnordered::from_iter([vanished]);
        tokio::select! {
            biased;
            ended = connection => ended.is_ok(),
            Some(()) = vanished.next() => {
                tracing::debug!("a server that calls are sent on to has vanished");
                false
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
