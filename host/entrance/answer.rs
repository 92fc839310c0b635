//! An answer's body, and everything that lasts as long as it: the hold on its
//! generation, its place among the calls in flight, its deadline.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tonic::body::Body;

use super::caller::{Caller, Places};
use super::framing::Framing;
use super::load::no_room;
use super::panicked;
use super::room::Budget;
use crate::host::generation::Hold;

/// How many frames an answer may give without a pause before its bound is
/// looked at all the same: one that never waits would never learn of its end.
const UNBROKEN_FRAMES: u8 = 8;

/// Whether a call waits for its peer to take what it wrote: the connection
/// looks at this to tell a slow handler from a peer that reads nothing.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Odd while bytes are with the connection, even while the handler is asked
    /// for more; a number that stays odd is an answer that is stuck.
    turns: AtomicU64,
    due: OnceLock<Instant>,
}

impl Progress {
    /// The number, if the peer is what is waited for.
    pub(crate) fn writing(&self) -> Option<u64> {
        let number = self.turns.load(Ordering::Relaxed);
        (number % 2 == 1).then_some(number)
    }

    /// When the call must be over, whether or not its peer takes its answer.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.get().copied()
    }

    fn advance(&self, writing: bool) {
        let number = self.turns.load(Ordering::Relaxed);
        if (number % 2 == 1) != writing {
            self.turns.store(number + 1, Ordering::Relaxed);
        }
    }
}

/// When a call must be over, or the host wants it to be. Timers are made when
/// they are first waited for: most calls never wait.
pub(super) struct Bound {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    caller: Arc<Caller>,
    ended: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Bound {
    /// Bound by the host alone.
    pub(super) fn new(caller: Arc<Caller>) -> Bound {
        Bound { at: None, timer: None, caller, ended: None }
    }

    /// Bound by a deadline too, and when that is; one too far away to be told is none.
    pub(super) fn until(&mut self, arrived: Instant, limit: Option<Duration>) -> Option<Instant> {
        self.at = limit.and_then(|limit| arrived.checked_add(limit));
        self.at
    }

    /// Ready with the status the call ends with.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if let Some(at) = self.at {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Status::deadline_exceeded("the deadline passed"));
            }
        }
        let ending = || Box::pin(self.caller.ending.clone().cancelled_owned());
        let ended = self.ended.get_or_insert_with(ending);
        ended.as_mut().poll(context).map(|()| Status::unavailable("the host is stopping"))
    }
}

/// What a call has while it lasts; each gives back what it took when it drops.
pub(super) struct Held {
    pub(super) places: Places,
    /// Its generation, where it is a mounted service's.
    pub(super) hold: Option<Arc<Hold>>,
}

/// What a service's answer is held to.
pub(super) struct Bounds {
    pub(super) framing: Framing,
    /// How many bytes clients may leave with the host, this one's and all others'.
    pub(super) most: u64,
}

impl Bounds {
    fn pass(&mut self, frame: Frame<Bytes>, budget: &Budget) -> Result<Frame<Bytes>, Status> {
        match frame.into_data() {
            Ok(data) => {
                self.framing.pass(&data)?;
                budget.keep(data, self.most).map(Frame::data).ok_or_else(no_room)
            }
            Err(trailers) => Ok(trailers),
        }
    }
}

/// The answer of one call.
pub(crate) struct Answer {
    body: Body,
    /// Gone with the last byte, even where the body itself is kept.
    held: Option<Held>,
    pub(super) bound: Bound,
    /// What it is held to, where it is a service's.
    bounds: Option<Bounds>,
    progress: Arc<Progress>,
    /// Frames given since the body last waited.
    unbroken: u8,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("ended", &self.held.is_none()).finish_non_exhaustive()
    }
}

impl Answer {
    /// One without a body yet.
    pub(super) fn new(held: Held, bound: Bound, bounds: Option<Bounds>, progress: Arc<Progress>) -> Answer {
        Answer { body: Body::empty(), held: Some(held), bound, bounds, progress, unbroken: 0 }
    }

    pub(super) fn with(self, body: Body) -> Answer {
        if let Some(at) = self.bound.at {
            let _ = self.progress.due.set(at);
        }
        Answer { body, ..self }
    }

    /// The next frame, or the status that takes its place.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.unbroken == UNBROKEN_FRAMES {
            self.unbroken = 0;
            if let Poll::Ready(status) = self.bound.poll(context) {
                return Poll::Ready(Some(Err(status)));
            }
        }
        self.unbroken += 1;
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(context)));
        match polled.unwrap_or_else(|_| Poll::Ready(Some(Err(panicked())))) {
            Poll::Pending => {
                self.unbroken = 0;
                self.bound.poll(context).map(|status| Some(Err(status)))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(match &mut self.bounds {
                Some(bounds) => bounds.pass(frame, &self.bound.caller.entrance().budget),
                None => Ok(frame),
            })),
            ended => ended,
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.held.is_none() {
            return Poll::Ready(None);
        }
        this.progress.advance(false);
        let frame = std::task::ready!(this.next(context));
        this.progress.advance(true);
        // A status on the way is told as gRPC tells it, not as a broken stream.
        let frame = frame.map(|frame| frame.unwrap_or_else(|status| trailers(&status)));
        let last = frame.as_ref().is_none_or(|frame| frame.is_trailers() || this.body.is_end_stream());
        if last {
            this.body = Body::empty();
            this.held = None;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A status as the last frame of a stream.
fn trailers(status: &Status) -> Frame<Bytes> {
    Frame::trailers(status.clone().into_http::<Body>().into_parts().0.headers)
}
