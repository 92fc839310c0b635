//! A peer whose call was turned away for load is read from less often.
//!
//! Where a worker has more to do than it can, what it spends on turning calls
//! away is taken from those it answers, and most of that is reading and writing
//! each by itself. So it reads from such a peer again when nothing is left that
//! it could run, from one at a time, and until then seldom enough that calls
//! come several at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// How long a peer is not read from at most: a call that is turned away is to
/// be told so within 20 ms.
const REST: Duration = Duration::from_millis(15);

/// Tells when a worker has run all that it could; clones are of one worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle(Arc<Notify>);

impl Idle {
    /// All was run: the peer that has rested longest is read from.
    pub(super) fn tell(&self) {
        self.0.notify_one();
    }
}

/// The rest that is taken from one peer.
pub(super) struct Rest {
    idle: Idle,
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Rest {
    pub(super) fn new(idle: Idle) -> Rest {
        Rest { idle, over: None }
    }

    /// Begins, if it has not.
    pub(super) fn begin(&mut self) {
        let told = || Box::pin(self.idle.0.clone().notified_owned());
        self.over.get_or_insert_with(|| {
            let mut idle = told();
            if idle.as_mut().enable() {
                // That was told before, when nobody rested.
                idle = told();
                idle.as_mut().enable();
            }
            Box::pin(async {
                tokio::select! {
                    () = idle => {}
                    () = sleep(REST) => {}
                }
            })
        });
    }

    /// Ready when there is none, or no more.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(over) = &mut self.over {
            std::task::ready!(over.as_mut().poll(context));
            self.over = None;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn a_worker_with_nothing_to_do_reads_from_those_who_rest_one_after_the_other() {
        let idle = Idle::default();
        idle.tell();
        let [mut first, mut second] = [Rest::new(idle.clone()), Rest::new(idle.clone())];
        let rests = |rest: &mut Rest| rest.poll(&mut Context::from_waker(Waker::noop())).is_pending();
        assert!(!rests(&mut first), "who was not turned away does not rest");
        first.begin();
        second.begin();
        // No timer runs out meanwhile: nothing here waits, so none is looked at.
        assert!(rests(&mut first) && rests(&mut second));
        idle.tell();
        assert!(!rests(&mut first) && rests(&mut second));
        idle.tell();
        assert!(!rests(&mut second));
    }

    #[tokio::test]
    async fn a_worker_that_is_never_idle_reads_all_the_same() {
        let mut rest = Rest::new(Idle::default());
        rest.begin();
        poll_fn(|context| rest.poll(context)).await;
    }
}
