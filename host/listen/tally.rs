//! What was turned away, counted by why, and told once a second at most: an
//! attack is news, and must not fill a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long what is counted waits to be told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Why a connection was turned away, or what else was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// There were as many connections as there may be.
    Full,
    /// There were as many from its address.
    FullForAddress,
    /// It could not agree on TLS.
    Tls,
    /// It did not get to the point in time: TLS, its settings, a call's headers.
    Late,
    /// It sent control frames and nothing else.
    ControlFlood,
    /// It opened calls to reset them.
    ResetFlood,
    /// It took nothing of what it was sent.
    Stalled,
    /// It was quiet, and did not say that it lives.
    Vanished,
    /// A call, for load; its connection lives.
    Call,
}

const REASONS: usize = Reason::Call as usize + 1;

#[derive(Debug, Default)]
struct Inner {
    counts: [AtomicU64; REASONS],
    to_tell: AtomicBool,
}

/// The count since the process began; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Inner>);

impl Tally {
    /// Counts one more, and sees to it that it is told.
    pub(super) fn count(&self, reason: Reason) {
        self.0.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // Read first: what is not written stays in every core's cache.
        if !self.0.to_tell.load(Ordering::Relaxed) && !self.0.to_tell.swap(true, Ordering::Relaxed) {
            let tally = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(TOLD_EVERY).await;
                tally.0.to_tell.store(false, Ordering::Relaxed);
                tally.tell();
            });
        }
    }

    fn tell(&self) {
        let of =
            |reason: Reason| Some(self.0.counts[reason as usize].load(Ordering::Relaxed)).filter(|count| *count > 0);
        tracing::warn!(
            full = of(Reason::Full),
            full_for_address = of(Reason::FullForAddress),
            tls = of(Reason::Tls),
            late = of(Reason::Late),
            control_flood = of(Reason::ControlFlood),
            reset_flood = of(Reason::ResetFlood),
            stalled = of(Reason::Stalled),
            vanished = of(Reason::Vanished),
            calls = of(Reason::Call),
            "connections or calls were turned away, in all so far"
        );
    }
}
