//! One runtime a core, and connections dealt between them.
//!
//! A call that hops between threads pays for each wake-up; on a runtime of its
//! own thread it pays nothing. A connection stays where it was dealt, and goes
//! to the worker that has fewest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::pace::Idle;

/// One connection counted, until it drops.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// Counts one more.
    pub(super) fn one(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One thread with its runtime.
#[derive(Debug)]
struct Worker {
    runtime: Handle,
    idle: Idle,
    connections: Arc<AtomicUsize>,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

/// Every worker; they end with this.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

impl Workers {
    /// Starts as many as there are cores for this process.
    pub fn start() -> io::Result<Workers> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        (0..count).map(Worker::start).collect::<io::Result<Vec<_>>>().map(Workers)
    }

    /// The runtime for one connection more, when that has run all it could, and its place there.
    pub(super) fn deal(&self) -> Option<(Handle, Idle, Counted)> {
        let fewest = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))?;
        Some((fewest.runtime.clone(), fewest.idle.clone(), Counted::one(&fewest.connections)))
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Worker> {
        let idle = Idle::default();
        let parks = idle.clone();
        let runtime = Builder::new_current_thread().enable_all().on_thread_park(move || parks.tell()).build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            // Ends when the sender drops, which is all it is for.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Worker { runtime: handle, idle, connections: Arc::default(), _stop: stop })
    }
}
