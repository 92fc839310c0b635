//! A server that fails again and again is left alone for a while; then one
//! call at a time tries it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One server's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row that open it.
    most: u32,
    open: Duration,
    failures: AtomicU32,
    /// When it lets one call through, in milliseconds of the process; 0 while it is closed.
    until: AtomicU64,
}

impl Breaker {
    pub(super) fn new(most: u32, open: Duration) -> Breaker {
        Breaker { most, open, failures: AtomicU32::new(0), until: AtomicU64::new(0) }
    }

    /// Whether a call may go to the server. Where it is the one that tries it
    /// again, the next has to wait as long as all did.
    pub(super) fn lets_through(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = now();
        now >= until
            && self.until.compare_exchange(until, self.later(now), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Until when the server counts as one that takes no calls; `None` where it
    /// takes them. Twice as long as it is left alone: by then a call has tried
    /// it, if any came.
    pub(super) fn open_until(&self) -> Option<Instant> {
        let until = self.until.load(Ordering::Relaxed);
        let until = (until != 0).then(|| *BEGUN + Duration::from_millis(self.later(until) - 1))?;
        (Instant::now() < until).then_some(until)
    }

    /// The server has answered; returns whether that closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        // Read first: what is not written stays in every core's cache.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        self.until.load(Ordering::Relaxed) != 0 && self.until.swap(0, Ordering::Relaxed) != 0
    }

    /// The server has failed; returns whether that opened the breaker. Once it
    /// is open this moves nothing: a call sent before that says nothing new,
    /// and for the one that tries it again `lets_through` has.
    pub(super) fn failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let opens = || self.until.compare_exchange(0, self.later(now()), Ordering::Relaxed, Ordering::Relaxed);
        failures >= self.most && opens().is_ok()
    }

    fn later(&self, now: u64) -> u64 {
        now.saturating_add(u64::try_from(self.open.as_millis()).unwrap_or(u64::MAX))
    }
}

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked, from 1 up.
fn now() -> u64 {
    1 + u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_not_before() {
        let breaker = Breaker::new(3, Duration::from_secs(3600));
        for _ in 0..2 {
            assert!(!breaker.failed() && !breaker.failed() && breaker.lets_through());
            breaker.succeeded();
        }
        assert!(!breaker.failed() && !breaker.failed());
        assert!(breaker.failed(), "the third in a row");
        assert!(!breaker.lets_through() && breaker.open_until().is_some());
        assert!(!breaker.failed(), "it is open already");
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_keep_it_open() {
        let breaker = Breaker::new(1, Duration::from_secs(3600));
        assert!(breaker.failed());
        breaker.until.store(1, Ordering::Relaxed);
        assert!(!breaker.failed(), "it is open already");
        assert!(breaker.lets_through(), "the time is over all the same");
        assert!(!breaker.failed() && !breaker.lets_through(), "the call that tried it has failed");
        assert!(breaker.open_until().is_some());
    }

    #[test]
    fn one_call_tries_it_and_a_success_closes_it() {
        let breaker = Breaker::new(1, Duration::ZERO);
        assert!(breaker.failed() && breaker.lets_through());
        assert!(breaker.open_until().is_none(), "its time is over");
        assert!(breaker.succeeded() && !breaker.succeeded(), "it closes once");
        let slow = Breaker { open: Duration::from_secs(3600), ..breaker };
        assert!(slow.failed());
        slow.until.store(1, Ordering::Relaxed);
        assert!(slow.lets_through(), "the time is over");
        assert!(!slow.lets_through(), "and one is enough to find out");
        slow.succeeded();
        assert!(slow.lets_through() && slow.open_until().is_none());
    }
}
