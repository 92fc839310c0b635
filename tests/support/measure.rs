//! What a host takes of its machine, as the kernel counts it, and what a
//! neighbour notices while somebody else misbehaves.

use std::fmt;
use std::time::{Duration, Instant};

use super::Ostler;
use super::client::{Client, point};

/// Calls that a neighbour makes, one after another, before it has seen enough.
const CALLS: usize = 100;

impl Ostler {
    /// The time its threads have run.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let ran = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        Duration::from_nanos(ran.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// What it holds in memory now.
    pub fn resident_bytes(&self) -> u64 {
        self.kibibytes("VmRSS:") << 10
    }

    /// The most it has ever held.
    pub fn peak_bytes(&self) -> u64 {
        self.kibibytes("VmHWM:") << 10
    }

    fn kibibytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The sockets it has open.
    pub fn sockets(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }
}

/// How long calls took, the shortest first.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// What this share of the calls did not exceed.
    pub fn percentile(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1?} p99 {:.1?}", self.percentile(0.5), self.percentile(0.99))
    }
}

/// A neighbour's calls on a quiet host, each of which must succeed.
pub fn undisturbed(host: &Ostler) -> Latencies {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = Client::connect(host.address()).await;
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let begun = Instant::now();
            client.get_feature(point(0, 0)).await.expect("a neighbour's call");
            took.push(begun.elapsed());
        }
        took.sort();
        Latencies(took)
    })
}

/// A neighbour's calls while `trouble` is made again and again.
pub fn disturbed(host: &Ostler, mut trouble: impl FnMut()) -> Latencies {
    std::thread::scope(|scope| {
        let neighbour = scope.spawn(|| undisturbed(host));
        while !neighbour.is_finished() {
            trouble();
        }
        neighbour.join().expect("a neighbour is served")
    })
}
