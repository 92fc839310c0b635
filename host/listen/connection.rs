//! One connection: HTTP/2 with every limit set, its calls handed to the
//! entrance, and its end brought about in order.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::metered::{Metered, Stream};
use crate::config::{Limits, Serves};
use crate::host::entrance::{Counted, Progress};
use crate::host::{Entrance, Peer};

/// h2 charges a small DATA frame 256 bytes against half the *connection*
/// window until its handler reads it. A stream window of 64 KiB beside a
/// connection window of 16 MiB keeps a correct client that streams tiny
/// messages to a stalled handler below that bound.
const STREAM_WINDOW_BYTES: u32 = 65_535;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// What is buffered of one answer that its client does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// `None` means no limit to hyper, so these two are always set.
const LOCAL_ERROR_RESETS: usize = 1024;
const PENDING_RESETS: usize = 20;
/// A connection that is to end and has no calls is given this long to take its
/// GOAWAY; a peer that is not there never acknowledges it.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection as it was taken in.
pub(super) struct Visit {
    pub(super) entrance: Entrance,
    pub(super) peer: Peer,
    /// What is to be had where it came in.
    pub(super) serves: Serves,
    pub(super) limits: Limits,
    /// When its first settings are due.
    pub(super) deadline: Instant,
    pub(super) stop: CancellationToken,
}

/// Speaks HTTP/2 with one peer until it goes, grows old, or is told to stop.
pub(super) async fn serve(stream: impl Stream, visit: Visit) {
    let Visit { entrance, peer, serves, limits, deadline, stop } = visit;
    let calls = Arc::new(AtomicUsize::new(0));
    let executor = Calls { stall: limits.write_stall.0, next: Arc::default() };
    let next = executor.next.clone();
    let count = calls.clone();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let progress = Arc::new(Progress::default());
        *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.clone());
        let call = entrance.clone().call(request, serves, Counted::one(&count), progress);
        async move { Ok::<_, Infallible>(call.await) }
    });
    let io = Metered::new(stream, limits.handshake.0, deadline);
    let bytes = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.calls_per_connection.get())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(bytes(limits.headers.0))
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_local_error_reset_streams(LOCAL_ERROR_RESETS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .keep_alive_interval(limits.keepalive.0)
        .keep_alive_timeout(limits.keepalive_answer.0)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let grace = tokio::select! {
        ended = connection.as_mut() => return tell(ended),
        // How long calls may take is the drain's to say.
        () = stop.cancelled() => None,
        () = sleep(jittered(limits.age.0)) => Some(limits.age_grace.0),
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => tell(ended),
        () = forsaken(&calls) => {}
        () = expired(grace) => {}
    }
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        tracing::debug!(%error, cause, "a connection ended early");
    }
}

/// A connection has had no calls for as long as a farewell takes.
async fn forsaken(calls: &AtomicUsize) {
    let mut idle_since = None;
    loop {
        if calls.load(Ordering::Relaxed) > 0 {
            idle_since = None;
        } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= FAREWELL {
            return;
        }
        sleep(FAREWELL / 4).await;
    }
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

/// Runs calls, and drops one whose peer takes nothing of its answer.
///
/// hyper asks the service for a call's future and at once has the stream run,
/// both in the connection's own task, so the progress that the service left
/// behind is the stream's.
#[derive(Clone)]
struct Calls {
    stall: Duration,
    next: Arc<Mutex<Option<Arc<Progress>>>>,
}

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let progress = self.next.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let stall = self.stall;
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut stuck = Stuck { progress, stall, timer: None };
            // Dropped, and so reset, when its answer is stuck.
            poll_fn(|context| match stream.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => stuck.poll(context),
            })
            .await;
        });
    }
}

/// Ready when an answer waits too long for its peer.
struct Stuck {
    progress: Arc<Progress>,
    stall: Duration,
    /// Runs while the same bytes wait.
    timer: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Stuck {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(writing) = self.progress.writing() else {
            self.timer = None;
            return Poll::Pending;
        };
        let (mut since, mut timer) = self.timer.take().unwrap_or_else(|| (writing, Box::pin(sleep(self.stall))));
        if since != writing {
            (since, timer) = (writing, Box::pin(sleep(self.stall)));
        }
        let stuck = timer.as_mut().poll(context);
        self.timer = Some((since, timer));
        stuck
    }
}
