//! What may be sent again, and how often: an outage is not to be multiplied by
//! everyone who waits for its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

/// What a further try costs, in what a call earns that needs none.
const COST: u32 = 5;
/// A server that wants longer is not waited for.
const LONGEST_PUSHBACK: Duration = Duration::from_secs(10);

/// Further tries there may be.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicU32,
    most: u32,
}

impl Budget {
    pub(super) fn new(tries: u32) -> Budget {
        let most = tries.saturating_mul(COST);
        Budget { left: AtomicU32::new(most), most }
    }

    /// A call went well the first time.
    pub(super) fn earn(&self) {
        // Read first: a full one is not written by every call.
        let left = self.left.load(Ordering::Relaxed);
        if left < self.most {
            // One that is lost to another call is not worth a second look.
            let _ = self.left.compare_exchange(left, left + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Pays for a further try, if there is one to be had.
    pub(super) fn spend(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(COST)).is_ok()
    }
}

/// What an answer's head says about trying again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is an answer.
    Answered,
    /// It is none, and another server, or the same a little later, may have one.
    Unavailable,
    /// The same, and the server says when.
    After(Duration),
    /// The same, and the server does not want to be asked again.
    Never,
}

/// Reads the head of an answer: only one that is all there is has a status.
pub(super) fn verdict(headers: &HeaderMap) -> Verdict {
    match headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes())) {
        Some(Code::Unavailable) => pushback(headers),
        _ => Verdict::Answered,
    }
}

fn pushback(headers: &HeaderMap) -> Verdict {
    let Some(wanted) = headers.get("grpc-retry-pushback-ms") else { return Verdict::Unavailable };
    let wanted = wanted.to_str().ok().and_then(|wanted| wanted.parse().ok()).map(Duration::from_millis);
    wanted.filter(|wanted| *wanted <= LONGEST_PUSHBACK).map_or(Verdict::Never, Verdict::After)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_earned_back() {
        let budget = Budget::new(2);
        assert!(budget.spend() && budget.spend() && !budget.spend());
        for _ in 0..COST - 1 {
            budget.earn();
        }
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
        for _ in 0..100 {
            budget.earn();
        }
        assert!(budget.spend() && budget.spend() && !budget.spend(), "no more than there was");
    }

    #[test]
    fn a_server_says_whether_and_when_to_ask_again() {
        let head = |fields: &[(&'static str, &str)]| {
            verdict(&fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
        };
        assert_eq!(head(&[]), Verdict::Answered, "the status comes later");
        assert_eq!(head(&[("grpc-status", "0")]), Verdict::Answered);
        assert_eq!(head(&[("grpc-status", "13")]), Verdict::Answered);
        assert_eq!(head(&[("grpc-status", "14")]), Verdict::Unavailable);
        let pushed = |wanted| head(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", wanted)]);
        assert_eq!(pushed("250"), Verdict::After(Duration::from_millis(250)));
        assert_eq!(pushed("0"), Verdict::After(Duration::ZERO));
        for never in ["-1", "soon", "", "10001"] {
            assert_eq!(pushed(never), Verdict::Never, "{never}");
        }
    }
}
