//! One connection: HTTP/2 with every limit set, its calls handed to the
//! entrance, and its end brought about in order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::calls::{Calls, Running};
use super::metered::{Aside, Metered, Stream};
use super::pace::Idle;
use super::tally::{Reason, Tally};
use crate::config::Limits;
use crate::host::entrance::Caller;

/// h2 charges a small DATA frame 256 bytes against half the *connection*
/// window until its handler reads it. A stream window of 64 KiB beside a
/// connection window of 16 MiB keeps a correct client that streams tiny
/// messages to a stalled handler below that bound.
const STREAM_WINDOW_BYTES: u32 = 65_535;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// What is buffered of one answer that its client does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Always set: to hyper, `None` means no limit for the first, and its own for the second.
const LOCAL_ERROR_RESETS: usize = 1024;
const PENDING_RESETS: usize = 20;
/// How long calls are met as ever that a peer may have sent before it learned
/// that it is to go: more than most roads take. Idle peers close meanwhile.
const CROSSING: Duration = Duration::from_millis(500);
/// A connection that is to end ends by itself once its peer has acknowledged
/// the GOAWAY and its calls are done. One whose peer acknowledges nothing is
/// given this long after its last call: more than any road takes, so that a call
/// that crossed the GOAWAY is met.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often a quiet peer is looked at in the time it has: reads are counted
/// and not timed, as a clock that is read for every frame is a cost of every call.
const LOOKS: u32 = 16;

/// A connection as it was taken in.
pub(super) struct Visit {
    pub(super) caller: Caller,
    pub(super) tally: Tally,
    pub(super) limits: Limits,
    /// Of the worker that serves it.
    pub(super) idle: Idle,
    /// When its first settings are due.
    pub(super) deadline: Instant,
    pub(super) stop: CancellationToken,
}

/// Speaks HTTP/2 with one peer until it goes, grows old, or is told to stop.
pub(super) async fn serve(stream: impl Stream, visit: Visit) {
    let Visit { caller, tally, limits, idle, deadline, stop } = visit;
    let caller = Arc::new(caller);
    let (aside, calls) = (Arc::new(Aside::default()), Calls::new(limits.write_stall.0));
    let (calling, begun, said, counted) = (caller.clone(), calls.clone(), aside.clone(), tally.clone());
    let service = service_fn(move |request: http::Request<Incoming>| {
        let call = begun.begin(|progress| Caller::call(&calling, request, progress));
        if call.is_shed() {
            said.rest();
            counted.count(Reason::Call);
        }
        call
    });
    let io = Metered::new(stream, limits.handshake.0, deadline, aside.clone(), idle, tally.clone());
    let bytes = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(calls.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.calls_per_connection.get())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(bytes(limits.headers.0))
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_local_error_reset_streams(LOCAL_ERROR_RESETS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .serve_connection(TokioIo::new(io), service);
    let to_its_end = async {
        let since = Instant::now();
        let mut connection = std::pin::pin!(Running::new(connection, calls));
        let over = async {
            tokio::select! {
                // How long calls may take is the drain's to say.
                () = stop.cancelled() => None,
                () = sleep(jittered(limits.age.0)) => Some(limits.age_grace.0),
                () = quiet(&caller, limits.idle.0) => None,
            }
        };
        let mut over = FuturesUnordered::from_iter([over]);
        let grace = tokio::select! {
            biased;
            ended = connection.as_mut() => return tell(ended),
            grace = over.next() => grace.flatten(),
        };
        tokio::select! {
            ended = connection.as_mut() => return tell(ended),
            () = first_call(&caller, since) => aside.farewell(),
        }
        tokio::select! {
            ended = connection.as_mut() => return tell(ended),
            () = sleep(CROSSING) => connection.as_mut().http2().graceful_shutdown(),
        }
        tokio::select! {
            ended = connection => tell(ended),
            () = quiet(&caller, FAREWELL) => {}
            () = expired(grace) => {}
        }
    };
    // Frames wake the connection; what is kept in a set of its own is not
    // polled each time with it.
    let mut vanished = FuturesUnordered::from_iter([vanished(&aside, &limits)]);
    tokio::select! {
        biased;
        () = to_its_end => {}
        Some(()) = vanished.next() => tally.count(Reason::Vanished),
    }
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        tracing::debug!(%error, cause, "a connection ended early");
    }
}

/// A connection that was only just opened has had its first call: it was opened
/// for it, and a client told to go before it can send it may well give it up.
async fn first_call(caller: &Caller, since: Instant) {
    while caller.begun() == 0 && since.elapsed() < CROSSING {
        sleep(CROSSING / 32).await;
    }
}

/// A connection has had no calls for so long, not even ones too short to be seen.
async fn quiet(caller: &Caller, long: Duration) {
    let mut quiet = (caller.begun(), Instant::now());
    loop {
        let now = caller.begun();
        if caller.calls() > 0 || now != quiet.0 {
            quiet = (now, Instant::now());
        } else if quiet.1.elapsed() >= long {
            return;
        }
        sleep(long / 8).await;
    }
}

/// A peer that was quiet does not say that it lives. It is asked no later than
/// `keepalive` after its last word, and may have spoken just after it was looked at.
async fn vanished(aside: &Aside, limits: &Limits) {
    loop {
        let heard = aside.heard();
        if silent(aside, heard, limits.keepalive.0 * (LOOKS - 1) / LOOKS).await {
            aside.ping();
            // So that the connection is polled, and says it.
            tokio::task::yield_now().await;
            if silent(aside, heard, limits.keepalive_answer.0).await {
                return;
            }
        }
    }
}

/// Whether nothing more is heard for so long.
async fn silent(aside: &Aside, heard: u64, long: Duration) -> bool {
    for _ in 0..LOOKS {
        sleep(long / LOOKS).await;
        if aside.heard() != heard {
            return false;
        }
    }
    true
}

async fn expired(grace: Option<Duration>) {
    match grace {
        Some(grace) => sleep(grace).await,
        None => std::future::pending().await,
    }
}

/// Give or take a tenth, so that connections opened together do not end together.
fn jittered(age: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let share = RandomState::new().hash_one(0) % 2_001;
    age.mul_f64(0.9 + share as f64 / 10_000.0)
}
