//! What each worker has by itself, and no other wants at the same time: what all
//! cores share is dear to touch.

use std::ops::Index;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One of something for each thread, by the thread's number.
#[derive(Debug)]
pub(super) struct PerThread<T>(Box<[T]>);

impl<T: Default> Default for PerThread<T> {
    fn default() -> Self {
        // One a worker, and one for the thread that started them.
        let count = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        PerThread((0..count).map(|_| T::default()).collect())
    }
}

impl<T> PerThread<T> {
    /// The number of this thread's. Where there are more threads than expected, some share one.
    pub(super) fn here(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static HERE: usize = NEXT.fetch_add(1, Ordering::Relaxed));
        HERE.with(|here| *here) % self.0.len()
    }
}

impl<T> Index<usize> for PerThread<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.0[at]
    }
}
