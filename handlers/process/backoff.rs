//! How long to wait before a command that keeps failing is started again.

use std::time::Duration;

use crate::host::forward::Resting;

const RESTING: Resting = Resting { first: Duration::from_millis(100), longest: Duration::from_secs(30) };
/// A command that was ready for this long has recovered.
pub(super) const GOOD_RUN: Duration = Duration::from_secs(10);

/// Longer with each failure, which a good run lets forget.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a run that was ready for so long.
    pub(super) fn after(&mut self, ready_for: Duration) -> Duration {
        if ready_for >= GOOD_RUN {
            self.failures = 0;
        }
        let wait = RESTING.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_its_bound_and_a_good_run_begins_anew() {
        let mut backoff = Backoff::default();
        let Resting { first, longest } = RESTING;
        let mut due = first;
        for _ in 0..100 {
            let wait = backoff.after(Duration::ZERO);
            assert!(wait >= due.mul_f64(0.75) && wait <= due.mul_f64(1.25), "{wait:?}, due {due:?}");
            due = (due * 2).min(longest);
        }
        assert!(backoff.after(GOOD_RUN) <= first.mul_f64(1.25));
    }
}
