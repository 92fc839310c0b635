//! Who calls: a connection as its calls know it, and their places.
//!
//! Whatever all connections share is dear to touch from several cores, if only
//! to count who holds it. So calls hold their connection, which stays on one
//! core, and the connection holds the rest; shared counts are touched twice a
//! call.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::load::Full;
use super::{Call, Entrance, Inner, Progress};
use crate::config::{Limits, Serves};
use crate::host::Peer;
use crate::host::generation::{Generation, Hold};

/// One connection.
#[derive(Debug)]
pub(in crate::host) struct Caller {
    entrance: Entrance,
    entered: Mutex<Entered>,
    pub(in crate::host) peer: Peer,
    /// What is to be had where it came in.
    pub(super) serves: Serves,
    /// Its calls in flight, of any service.
    calls: AtomicUsize,
    /// All it ever made.
    begun: AtomicUsize,
    /// Calls of mounted services in flight from its address, where it has one.
    from_there: Option<Arc<AtomicUsize>>,
    /// Told when open calls are to end.
    pub(super) ending: CancellationToken,
}

impl Caller {
    pub(in crate::host) fn new(
        entrance: Entrance,
        peer: Peer,
        serves: Serves,
        from_there: Option<Arc<AtomicUsize>>,
    ) -> Caller {
        let entered = Mutex::new(Entered { current: entrance.0.current.clone(), hold: Weak::new() });
        let (calls, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ending = entrance.0.ending.child_token();
        Caller { entrance, entered, peer, serves, calls, begun, from_there, ending }
    }

    /// The generation that a call enters now.
    pub(super) fn enter(&self) -> Arc<Hold> {
        let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the host is gone, so is its last word.
        let changed = entered.current.has_changed().unwrap_or(false);
        match entered.hold.upgrade().filter(|_| !changed) {
            Some(hold) => hold,
            None => {
                let hold = Arc::new(Hold::new(entered.current.borrow_and_update().clone()));
                entered.hold = Arc::downgrade(&hold);
                hold
            }
        }
    }

    /// The same, who has shown who it is.
    pub(in crate::host) fn known_as(self, peer: Peer) -> Caller {
        Caller { peer, ..self }
    }

    /// How many of its calls are in flight.
    pub(in crate::host) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many it has made, those that were refused as well.
    pub(in crate::host) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Lets one of its calls in; `progress` follows the answer.
    pub(in crate::host) fn call<B>(caller: &Arc<Caller>, request: http::Request<B>, progress: Arc<Progress>) -> Call
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        caller.entrance.call(request, caller, progress)
    }

    pub(super) fn entrance(&self) -> &Inner {
        &self.entrance.0
    }
}

/// The generation that calls of a connection enter, held by those that are in
/// flight, and by none other: a quiet connection keeps nothing alive.
#[derive(Debug)]
struct Entered {
    current: watch::Receiver<Arc<Generation>>,
    hold: Weak<Hold>,
}

/// A call's places: on its connection, and for a mounted service's among all
/// and among those from its address. Given back when this drops.
#[derive(Debug)]
pub(super) struct Places {
    caller: Arc<Caller>,
    mounted: bool,
}

impl Places {
    /// A place on its connection, which HTTP/2 has seen to.
    pub(super) fn on(caller: &Arc<Caller>) -> Places {
        caller.begun.fetch_add(1, Ordering::Relaxed);
        caller.calls.fetch_add(1, Ordering::Relaxed);
        Places { caller: caller.clone(), mounted: false }
    }

    /// And among the calls of mounted services, if there is one.
    pub(super) fn among_all(&mut self, limits: &Limits) -> Result<(), Full> {
        let calls = &self.caller.entrance().calls;
        if !taken(calls, limits.calls) {
            return Err(Full::Host);
        }
        if self.caller.from_there.as_ref().is_some_and(|own| !taken(own, limits.calls_per_ip)) {
            calls.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Address);
        }
        self.mounted = true;
        Ok(())
    }
}

/// Counts one more unless there are as many as there may be.
fn taken(count: &AtomicUsize, most: NonZeroU32) -> bool {
    let free = count.fetch_add(1, Ordering::Relaxed) < most.get() as usize;
    if !free {
        count.fetch_sub(1, Ordering::Relaxed);
    }
    free
}

impl Drop for Places {
    fn drop(&mut self) {
        self.caller.calls.fetch_sub(1, Ordering::Relaxed);
        if self.mounted {
            self.caller.entrance().calls.fetch_sub(1, Ordering::Relaxed);
            if let Some(own) = &self.caller.from_there {
                own.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
