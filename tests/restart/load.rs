//! Five hundred calls a second by clients that never try a call again.
//!
//! Half are made on connections that live until they are told to go, half on a
//! new connection each. A client that was told GOAWAY before it sent its call
//! opens another connection; a call that was sent counts, and must succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::support::PATIENCE;
use crate::support::client::{Client, point};

pub const YAML_SYSTEMD: &str = "listen: systemd\nlimits: { connections_per_ip: 1024 }\n";

/// Clients of either sort, and how often each calls.
const CLIENTS: usize = 25;
const BETWEEN: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Count {
    done: AtomicUsize,
    failed: std::sync::Mutex<Vec<String>>,
    over: AtomicBool,
}

pub struct Load {
    count: Arc<Count>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    since: Instant,
}

impl Load {
    pub fn start(address: &str) -> Load {
        let count = Arc::new(Count::default());
        let clients = (0..2 * CLIENTS)
            .map(|number| tokio::spawn(client(address.to_owned(), number % 2 == 0, count.clone())))
            .collect();
        Load { count, clients, since: Instant::now() }
    }

    /// Waits until as many calls more are done.
    pub async fn more(&self, calls: usize) {
        let enough = self.count.done.load(Ordering::Relaxed) + calls;
        let deadline = Instant::now() + PATIENCE;
        while self.count.done.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < deadline, "calls go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it; not one call may have failed.
    pub async fn end(self) {
        self.count.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let done = self.count.done.load(Ordering::Relaxed);
        let failed = self.count.failed.lock().unwrap();
        let seconds = self.since.elapsed().as_secs_f64();
        println!("{done} calls in {seconds:.1} s, {} failed", failed.len());
        assert!(failed.is_empty(), "{} of {done} calls failed: {:#?}", failed.len(), &failed[..failed.len().min(10)]);
    }
}

async fn client(address: String, lives_long: bool, count: Arc<Count>) {
    let mut tick = tokio::time::interval(BETWEEN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = Client::connect(&address).await;
    while !count.over.load(Ordering::Relaxed) {
        tick.tick().await;
        if !lives_long {
            client = Client::connect(&address).await;
        }
        if let Err(status) = client.get_feature(point(0, 0)).await {
            count.failed.lock().unwrap().push(format!("long-lived: {lives_long}: {status:?}"));
        }
        count.done.fetch_add(1, Ordering::Relaxed);
    }
}
