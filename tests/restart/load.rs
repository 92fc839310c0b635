//! Five hundred calls a second by clients that never try a call again.
//!
//! Half are made on connections that live until they are told to go, half on a
//! new connection each. A client that knows of a GOAWAY has not sent its call,
//! and opens another connection for it, as every client does; a call that was
//! sent counts, and must succeed. (tonic's channel is not the judge of that: it
//! fails a call that waits in its own queue when it learns of a GOAWAY.)

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior};

use crate::support::PATIENCE;
use crate::support::client::point;
use crate::support::wire::{call, framed};

/// Clients of either sort, and how often each calls.
const CLIENTS: u32 = 25;
const BETWEEN: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Count {
    done: AtomicUsize,
    moved: AtomicUsize,
    failed: Mutex<Vec<String>>,
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
        let since = Instant::now();
        let clients = (0..2 * CLIENTS)
            .map(|number| {
                let first = since + BETWEEN * number / (2 * CLIENTS);
                tokio::spawn(client(address.to_owned(), number % 2 == 0, first, count.clone()))
            })
            .collect();
        Load { count, clients, since }
    }

    /// Waits until as many calls more are done.
    pub async fn more(&self, calls: usize) {
        let enough = self.count.done.load(Ordering::Relaxed) + calls;
        let deadline = Instant::now() + PATIENCE;
        while self.count.done.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < deadline, "calls go on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends it; not one call may have failed.
    pub async fn end(self) {
        self.count.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let (done, moved) = (self.count.done.load(Ordering::Relaxed), self.count.moved.load(Ordering::Relaxed));
        let failed = self.count.failed.lock().unwrap();
        let seconds = self.since.elapsed().as_secs_f64();
        println!("{done} calls in {seconds:.1} s, {} failed; {moved} times a client moved on first", failed.len());
        assert!(moved > 0, "clients were told to go");
        assert!(failed.is_empty(), "{} of {done} calls failed: {:#?}", failed.len(), &failed[..failed.len().min(10)]);
    }
}

type Connection = SendRequest<Bytes>;

async fn client(address: String, lives_long: bool, first: Instant, count: Arc<Count>) {
    let mut tick = tokio::time::interval_at(first, BETWEEN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = None;
    while !count.over.load(Ordering::Relaxed) {
        tick.tick().await;
        match tokio::time::timeout(PATIENCE, one(&address, kept.take(), &count)).await {
            Ok(Ok(connection)) => kept = lives_long.then_some(connection),
            Ok(Err(error)) => count.failed.lock().unwrap().push(format!("long-lived {lives_long}: {error}")),
            Err(_) => count.failed.lock().unwrap().push("no answer".to_owned()),
        }
        count.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes one call, on the connection given while that takes any.
async fn one(address: &str, mut kept: Option<Connection>, count: &Count) -> Result<Connection, String> {
    loop {
        let connection = match kept.take() {
            Some(connection) => connection,
            None => open(address).await.map_err(|error| format!("no connection: {error}"))?,
        };
        let sent = async {
            let mut connection = connection.ready().await?;
            let (response, body) = connection.send_request(call("GetFeature").body(()).unwrap(), false)?;
            Ok::<_, h2::Error>((connection, response, body))
        };
        let Ok((connection, response, mut body)) = sent.await else {
            count.moved.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let answered = async {
            body.send_data(framed(0, &point(0, 0).encode_to_vec()), true)?;
            let mut body = response.await?.into_body();
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
            Ok::<_, h2::Error>(body.trailers().await?.unwrap_or_default())
        };
        return match answered.await {
            Ok(trailers) if trailers.get("grpc-status").is_some_and(|status| status == "0") => Ok(connection),
            Ok(trailers) => Err(format!("{trailers:?}")),
            Err(error) => Err(format!("{error:?}")),
        };
    }
}

async fn open(address: &str) -> Result<Connection, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(client)
}
