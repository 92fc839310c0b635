//! A target's connections, those of each worker by themselves.
//!
//! The host runs a runtime a core, and a connection that is driven on one and
//! called on from another costs a wake-up of the other core each way. So each
//! thread has its own part of the pool, and its lock is nobody else's to want.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::{Connection, Place};
use super::options::Resting;
use super::threads::PerThread;

/// Connections a thread opens to one server; calls beyond their room wait for
/// a stream to end.
const MOST_CONNECTIONS: usize = 16;

/// How an attempt to connect went; `None` while it lasts.
pub(super) type Attempt = watch::Receiver<Option<Result<(), Arc<str>>>>;

/// What a call gets that asks for a connection.
pub(super) enum Found {
    /// A place on one.
    Place(SendRequest<Bytes>, Place),
    /// One is being made; ask again then.
    Soon(Attempt),
    /// One is to be made, and this caller is to see to it.
    Make(watch::Sender<Option<Result<(), Arc<str>>>>, Attempt),
    /// None, and it is too soon to try again.
    Nothing(Arc<str>),
}

/// Every thread's part.
pub(super) struct Pool {
    parts: PerThread<Mutex<Part>>,
    rest: Mutex<Rest>,
    resting: Resting,
}

#[derive(Default)]
struct Part {
    connections: Vec<Connection>,
    attempt: Option<Attempt>,
}

/// How long the server is left alone after it could not be reached.
#[derive(Default)]
struct Rest {
    failures: u32,
    until: Option<(Instant, Arc<str>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    /// The first connection with room. What is gone before it is put out; what
    /// comes after it is not asked, as each has a lock of its own to take.
    fn free(&mut self) -> Option<&Connection> {
        let mut at = 0;
        while let Some(connection) = self.connections.get_mut(at) {
            if connection.is_gone() {
                self.connections.remove(at);
            } else if connection.room() > 0 {
                return self.connections.get(at);
            } else {
                at += 1;
            }
        }
        None
    }
}

impl Pool {
    pub(super) fn new(resting: Resting) -> Pool {
        Pool { parts: PerThread::default(), rest: Mutex::default(), resting }
    }

    /// This thread's part, by number.
    pub(super) fn part(&self) -> usize {
        self.parts.here()
    }

    /// A place on a connection of a part, or what there is instead. One that is
    /// `crowded` has waited for room, and takes a place wherever there is one.
    pub(super) fn find(&self, part: usize, crowded: bool) -> Found {
        let mut part = lock(&self.parts[part]);
        if let Some(connection) = part.free() {
            let (sender, place) = connection.place();
            return Found::Place(sender, place);
        }
        if (crowded || part.connections.len() >= MOST_CONNECTIONS)
            && let Some(connection) = part.connections.last()
        {
            let (sender, place) = connection.place();
            return Found::Place(sender, place);
        }
        if let Some(attempt) = part.attempt.as_ref().filter(|attempt| is_under_way(attempt)) {
            return Found::Soon(attempt.clone());
        }
        if let Some((until, why)) = &lock(&self.rest).until
            && Instant::now() < *until
        {
            return Found::Nothing(why.clone());
        }
        let (tell, attempt) = watch::channel(None);
        part.attempt = Some(attempt.clone());
        Found::Make(tell, attempt)
    }

    /// A connection more for a part.
    pub(super) fn add(&self, part: usize, connection: Connection) {
        let mut part = lock(&self.parts[part]);
        part.connections.retain_mut(|connection| !connection.is_gone());
        part.connections.push(connection);
        part.attempt = None;
    }

    /// The server was reached, so it may be tried at any time.
    pub(super) fn reached(&self) {
        *lock(&self.rest) = Rest::default();
    }

    /// The server could not be reached, and is left alone for a while.
    pub(super) fn failed(&self, why: Arc<str>) {
        let mut rest = lock(&self.rest);
        let until = Instant::now() + self.resting.after(rest.failures);
        *rest = Rest { failures: rest.failures.saturating_add(1), until: Some((until, why)) };
    }
}

/// Whether it still lasts; one whose runtime is gone does not.
fn is_under_way(attempt: &Attempt) -> bool {
    attempt.has_changed().is_ok() && attempt.borrow().is_none()
}
