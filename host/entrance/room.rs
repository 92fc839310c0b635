//! Room for what calls make the host hold on to: messages that are still
//! arriving, and answers that their clients have not taken yet.
//!
//! Each call alone is bounded by the size of a message and by HTTP/2's windows,
//! but thousands of them are not: all share one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Less than this of an answer is not worth counting: a stream's own
/// bookkeeping is of that size.
const COUNTED_FROM: usize = 1 << 10;

/// The budget; clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicU64>);

/// A part of it, given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    budget: Budget,
    bytes: u64,
}

/// A piece of an answer, and its room.
struct Kept {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Budget {
    /// Room for so many bytes, unless there would be more than `most` in all.
    pub(super) fn room(&self, bytes: u64, most: u64) -> Option<Room> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { budget: self.clone(), bytes };
        (before.saturating_add(bytes) <= most).then_some(room)
    }

    /// A piece of an answer that takes up room until the last of it is let go,
    /// which is when it was written or its stream is no more.
    pub(super) fn keep(&self, bytes: Bytes, most: u64) -> Option<Bytes> {
        if bytes.len() < COUNTED_FROM {
            return Some(bytes);
        }
        let room = self.room(bytes.len() as u64, most)?;
        Some(Bytes::from_owner(Kept { bytes, _room: room }))
    }
}

impl Room {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_with_the_last_of_the_bytes() {
        let budget = Budget::default();
        let first = budget.room(60, 100);
        assert!(first.is_some());
        assert!(budget.room(41, 100).is_none(), "one byte too many");
        assert!(budget.room(40, 100).is_some(), "what was refused takes up nothing");
        drop(first);

        let answer = Bytes::from(vec![7; COUNTED_FROM]);
        let most = COUNTED_FROM as u64;
        let mut kept = budget.keep(answer.clone(), most).unwrap();
        let part = kept.split_to(10);
        drop(kept);
        assert!(budget.keep(answer.clone(), most).is_none(), "ten bytes keep all of it");
        drop(part);
        assert_eq!(budget.keep(answer.clone(), most), Some(answer));
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
