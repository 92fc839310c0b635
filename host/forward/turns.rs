//! Whose turn it is among several that could answer a call.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::threads::PerThread;

/// Turns among the servers of one service: each thread takes its own.
#[derive(Debug, Default)]
pub struct Turns(PerThread<Turn>);

/// Alone in its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Turn(AtomicUsize);

impl Turns {
    /// A number, one more each time; to be taken modulo how many there are.
    pub fn take(&self) -> usize {
        self.0[self.0.here()].0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_turns_of_its_own() {
        let (one, other) = (Turns::default(), Turns::default());
        for number in 0..4 {
            assert_eq!((one.take(), other.take()), (number, number));
        }
    }
}
