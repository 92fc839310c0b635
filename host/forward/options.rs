//! How a server is reached, and how soon again after it could not be.

use std::time::Duration;

use super::tls::Tls;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// What messages call it: the service that is behind it. They never name
    /// its address, which is nobody's business outside.
    pub name: String,
    /// How long a connection may take until it is known to speak HTTP/2.
    pub connect: Duration,
    /// After so long without a word from it, while calls wait, it is asked
    /// whether it lives.
    pub keepalive: Duration,
    /// How long it has to say so.
    pub keepalive_answer: Duration,
    /// What an `https` address is known by; without it, the system's authorities.
    pub tls: Option<Tls>,
}

impl Options {
    /// The usual ones, for the server of a service.
    pub fn new(name: impl Into<String>) -> Options {
        Options {
            name: name.into(),
            connect: Duration::from_secs(2),
            keepalive: Duration::from_secs(20),
            keepalive_answer: Duration::from_secs(5),
            tls: None,
        }
    }
}

/// How long what fails is left alone before it is tried again: twice as long
/// each time, and give or take a quarter, so that not all is tried at once.
#[derive(Clone, Copy, Debug)]
pub struct Resting {
    /// After the first failure.
    pub first: Duration,
    /// After any.
    pub longest: Duration,
}

impl Resting {
    /// How long to wait after a failure that so many in a row came before.
    pub fn after(self, failures: u32) -> Duration {
        use std::hash::{BuildHasher as _, RandomState};
        let long = self.first.saturating_mul(1 << failures.min(10)).min(self.longest);
        let share = RandomState::new().hash_one(failures) % 5_001;
        long.mul_f64(0.75 + share as f64 / 10_000.0)
    }
}
