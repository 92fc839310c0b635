//! A connection's calls, as they are run beside it: each in a task of its own,
//! dropped when its peer takes nothing of its answer for too long.
//!
//! A call that is turned away for load is run by the connection itself, with
//! all that came with it: its answer is there, and must cost little, be written
//! with the others' in one go, and not wait behind the work that it is for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::host::entrance::{Call, Progress};

/// A peer that takes its answer is told in trailers that its deadline has
/// passed. One that has taken nothing this long after is not waited for.
const LAST_WORD: Duration = Duration::from_millis(50);

/// What hyper has the calls of one connection run by; clones are one.
///
/// It asks the service for a call's future and at once has the stream run, both
/// in the connection's own task, so what the service began last is the stream's.
#[derive(Clone)]
pub(super) struct Calls {
    stall: Duration,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    begun: Option<Begun>,
    shed: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// A call that the service was asked for, and whose stream is not run yet.
#[derive(Default)]
struct Begun {
    progress: Arc<Progress>,
    shed: bool,
}

impl Calls {
    /// Calls that may wait so long for their peer.
    pub(super) fn new(stall: Duration) -> Calls {
        Calls { stall, inner: Arc::default() }
    }

    /// Begins one, whose answer is followed.
    pub(super) fn begin(&self, call: impl FnOnce(Arc<Progress>) -> Call) -> Call {
        let progress = Arc::new(Progress::default());
        let call = call(progress.clone());
        self.inner().begun = Some(Begun { progress, shed: call.is_shed() });
        call
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what was turned away; whether there was any.
    fn run_shed(&self) -> bool {
        let shed = std::mem::take(&mut self.inner().shed);
        let any = !shed.is_empty();
        for mut stream in shed {
            if stream.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                tokio::spawn(stream);
            }
        }
        any
    }
}

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let mut inner = self.inner();
        let Begun { progress, shed } = inner.begun.take().unwrap_or_default();
        let stream = Watched { stream, stuck: Stuck { progress, stall: self.stall, timer: None } };
        if shed {
            inner.shed.push(Box::pin(stream));
        } else {
            tokio::spawn(stream);
        }
    }
}

pin_project! {
    /// A connection, and those of its calls that it runs itself.
    pub(super) struct Running<C> {
        #[pin]
        http2: C,
        calls: Calls,
    }
}

impl<C> Running<C> {
    pub(super) fn new(http2: C, calls: Calls) -> Running<C> {
        Running { http2, calls }
    }

    pub(super) fn http2(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().http2
    }
}

impl<C: Future> Future for Running<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let polled = this.http2.as_mut().poll(context);
            // Run even where the connection is over: they hold what runs them,
            // and are let go only so.
            let any = this.calls.run_shed();
            // Polled again, the connection writes what they came to.
            if polled.is_ready() || !any {
                return polled;
            }
        }
    }
}

pin_project! {
    /// A stream's work, dropped and so reset when its answer is stuck.
    struct Watched<F> {
        #[pin]
        stream: F,
        stuck: Stuck,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match this.stream.poll(context) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => this.stuck.poll(context),
        }
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
    /// When bytes that begin to wait now have waited long enough.
    fn timer(&self) -> Pin<Box<Sleep>> {
        let stalled = Instant::now() + self.stall;
        Box::pin(sleep_until(self.progress.due().map_or(stalled, |due| stalled.min(due + LAST_WORD))))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(writing) = self.progress.writing() else {
            self.timer = None;
            return Poll::Pending;
        };
        let waiting = self.timer.take().filter(|(since, _)| *since == writing);
        let (since, mut timer) = waiting.unwrap_or_else(|| (writing, self.timer()));
        let stuck = timer.as_mut().poll(context);
        self.timer = Some((since, timer));
        stuck
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use hyper::rt::Executor as _;

    use super::*;

    #[test]
    fn what_is_turned_away_as_its_connection_ends_is_let_go() {
        let calls = Calls::new(Duration::ZERO);
        let held = Arc::new(());
        let (executor, call) = (calls.clone(), held.clone());
        let mut connection = pin!(Running::new(
            poll_fn(move |_| {
                executor.inner().begun = Some(Begun { shed: true, ..Begun::default() });
                // As hyper's streams do, it holds its executor.
                let stream = (executor.clone(), call.clone());
                executor.execute(async move { drop(stream) });
                Poll::Ready(())
            }),
            calls.clone()
        ));
        assert!(connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(calls.inner().shed.is_empty());
        assert_eq!(Arc::strong_count(&held), 2, "the connection's, and ours");
    }
}
