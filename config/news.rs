//! What is no file and may change all the same: somebody looks after it, and
//! says here what it is by now.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The hash of what was said last; clones are one. Whoever
/// [heard](super::Sources::hear) something else builds anew.
#[derive(Clone, Debug, Default)]
pub struct News(Arc<AtomicU64>);

impl News {
    /// Says what it is by now.
    pub fn tell(&self, what: &impl Hash) {
        self.0.store(hash(what), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
