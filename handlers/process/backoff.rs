//! How long to wait before a command that keeps failing is started again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// A command that was ready for this long has recovered.
pub(super) const GOOD_RUN: Duration = Duration::from_secs(10);

/// Doubles with each failure, and forgets them after a good run.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a run that was ready for so long: within a quarter of
    /// what is due, so that many do not come back at one time.
    pub(super) fn after(&mut self, ready_for: Duration) -> Duration {
        if ready_for >= GOOD_RUN {
            self.failures = 0;
        }
        let due = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        // A hasher is keyed anew each time, which is random enough.
        let random = RandomState::new().build_hasher().finish();
        due.mul_f64(0.75 + 0.5 * (random as f64 / u64::MAX as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_its_bound_and_a_good_run_begins_anew() {
        let mut backoff = Backoff::default();
        let mut due = FIRST;
        for _ in 0..100 {
            let wait = backoff.after(Duration::ZERO);
            assert!(wait >= due.mul_f64(0.75) && wait <= due.mul_f64(1.25), "{wait:?}, due {due:?}");
            due = (due * 2).min(LONGEST);
        }
        assert!(backoff.after(GOOD_RUN) <= FIRST.mul_f64(1.25));
    }
}
