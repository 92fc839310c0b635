//! What the host itself costs, how it uses two cores, and what it does when
//! far more is asked of it than it can do. `cargo bench --bench host`, or one
//! part of it: `cargo bench --bench host -- layers`; on Linux.
//!
//! The tutorial's RouteGuide is served by tonic's own server and as a guest of
//! the host, so that all but the handler differs. CPU is what the kernel counts
//! for the server's process; figures are ratios of one run.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod load;
#[allow(dead_code, reason = "each benchmark starts some of them")]
mod servers;

use std::process::{Command, ExitCode};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use load::{Ended, Load, closed};
use servers::{Kind, Server};
use tokio::runtime::Runtime;

const ROUNDS: usize = 5;
/// How long one figure is measured.
const SPAN: Duration = Duration::from_secs(2);
/// Connections, and calls open on each.
const MULTIPLEXED: (usize, usize) = (4, 32);
const ONE_BY_ONE: (usize, usize) = (32, 1);

const PATH: &str = "/routeguide.RouteGuide/GetFeature";
/// The point 7, 7.
const POINT: &[u8] = &[0x08, 7, 0x10, 7];
/// That of the database's first feature but one: 1,000,003 and -700,001.
const FEATURE: &[u8] = &[0x08, 0xc3, 0x84, 0x3d, 0x10, 0x9f, 0xa3, 0xd5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

fn main() -> ExitCode {
    if let Some(code) = servers::serving() {
        return code;
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts = [
        ("layers", layers as fn()),
        ("cores", cores),
        ("overload", overload),
        ("upstream", upstream),
        ("kinds", kinds),
    ];
    for (name, part) in parts {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            part();
        }
    }
    ExitCode::SUCCESS
}

/// Keeps this process to some cores.
fn keep_to(cores: &str) {
    let own = std::process::id().to_string();
    let kept = Command::new("taskset").args(["-cp", cores, &own]).output().expect("taskset");
    assert!(kept.status.success(), "{kept:?}");
}

/// What one kind of load came to.
struct Figures {
    per_second: f64,
    ns_a_call: f64,
    /// The idlest of the threads that did at least a tenth of the work, as a share of the busiest.
    evenness: f64,
}

async fn connected(server: &Server, count: usize, message: &[u8]) -> Vec<Load> {
    let mut loads = Vec::new();
    for _ in 0..count {
        loads.push(Load::connect(&server.address, PATH, message).await);
    }
    loads
}

/// So many threads of this process load a server, each with its share of the connections.
fn measure(kind: Kind, cores: Option<&str>, (connections, streams): (usize, usize), threads: usize) -> Figures {
    measure_server(&Server::start(kind, cores), POINT, (connections, streams), threads)
}

fn measure_server(server: &Server, message: &[u8], (connections, streams): (usize, usize), threads: usize) -> Figures {
    let ready = Barrier::new(threads + 1);
    let load = || {
        runtime().block_on(async {
            let mut loads = connected(server, connections / threads, message).await;
            closed(&mut loads, streams, SPAN / 4).await;
            ready.wait();
            closed(&mut loads, streams, SPAN).await
        })
    };
    let (before, worked_before, since, calls) = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..threads).map(|_| scope.spawn(load)).collect();
        ready.wait();
        let (before, worked, since) = (server.cpu_ns(), server.threads_ns(), Instant::now());
        let calls: u64 = loads.into_iter().map(|load| load.join().expect("a load")).sum();
        (before, worked, since, calls as f64)
    });
    let (spent, took) = (server.cpu_ns() - before, since.elapsed().as_secs_f64());
    let worked = server.threads_ns().into_iter().zip(worked_before).map(|(after, before)| after - before);
    let worked: Vec<f64> = worked.filter(|ns| *ns >= spent / 10.0).collect();
    let least = worked.iter().copied().fold(f64::MAX, f64::min);
    let most = worked.iter().copied().fold(0.0, f64::max);
    Figures { per_second: calls / took, ns_a_call: spent / calls, evenness: least / most }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The host's layers: one thread, one core, the same handler.
fn layers() {
    println!("layers: server CPU, ns a call, on one core; medians of {ROUNDS} pairs");
    println!("{:34}{:>10}{:>10}{:>8}", "", "tonic", "hosted", "ratio");
    keep_to("1");
    for (name, shape) in [("4 connections x 32", MULTIPLEXED), ("32 connections x 1", ONE_BY_ONE)] {
        let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let tonic = measure(Kind::TonicOneThread, Some("0"), shape, 1).ns_a_call;
            let hosted = measure(Kind::HOSTED, Some("0"), shape, 1).ns_a_call;
            theirs.push(tonic);
            ours.push(hosted);
            ratios.push(hosted / tonic);
        }
        println!("{name:34}{:>10.0}{:>10.0}{:>8.3}", median(theirs), median(ours), median(ratios));
    }
    keep_to("0,1");
}

/// What it costs to send calls on: a relay by hand on one thread, and the host
/// on as many cores, before the same server.
fn upstream() {
    println!("upstream: CPU of what is in front, ns a call, on one core; medians of {ROUNDS} pairs");
    println!("{:34}{:>10}{:>10}{:>8}", "", "relay", "upstream", "ratio");
    keep_to("1");
    let behind = Server::start(Kind::Ostler, Some("1"));
    for (name, shape) in [("4 connections x 32", MULTIPLEXED), ("32 connections x 1", ONE_BY_ONE)] {
        let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let front = |kind| Server::start_before(&behind.address, kind, Some("0"));
            let relay = measure_server(&front(Kind::Relay), POINT, shape, 1).ns_a_call;
            let upstream = measure_server(&front(Kind::Upstream), POINT, shape, 1).ns_a_call;
            theirs.push(relay);
            ours.push(upstream);
            ratios.push(upstream / relay);
        }
        println!("{name:34}{:>10.0}{:>10.0}{:>8.3}", median(theirs), median(ours), median(ratios));
    }
    keep_to("0,1");
}

/// What each kind of handler costs for one GetFeature, against what it is to be held to.
fn kinds() {
    println!("kinds: CPU of the first server, ns a call, on one core; medians of {ROUNDS} rounds");
    println!("{:34}{:>12}{:>10}{:>10}  of", "", "", "ns", "ratio");
    keep_to("1");
    let behind = Server::start(Kind::Ostler, Some("1"));
    let process = servers::has("process").then_some(("process", Kind::Process, 2));
    let kinds = [
        ("typed", Kind::Ostler, 0),
        ("rules", Kind::Rules, 0),
        ("relay", Kind::Relay, 2),
        ("upstream", Kind::Upstream, 2),
        ("tonic proxy", Kind::Proxy, 2),
    ];
    let kinds: Vec<_> = kinds.into_iter().chain(process).collect();
    for (name, shape) in [("4 connections x 32", MULTIPLEXED), ("32 connections x 1", ONE_BY_ONE)] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let one = |kind| {
                let server = Server::start_before(&behind.address, kind, Some("0"));
                measure_server(&server, FEATURE, shape, 1).ns_a_call
            };
            rounds.push(kinds.iter().map(|(_, kind, _)| one(*kind)).collect::<Vec<_>>());
        }
        for (at, (kind, _, base)) in kinds.iter().enumerate() {
            let ns = median(rounds.iter().map(|round| round[at]).collect());
            let ratio = median(rounds.iter().map(|round| round[at] / round[*base]).collect());
            println!("{name:34}{kind:>12}{ns:>10.0}{ratio:>10.3}  {}", kinds[*base].0);
        }
    }
    keep_to("0,1");
}

/// One core and two, against tonic's own server on as many. Each core has its
/// share of the clients too, so that one is to two as it looks.
fn cores() {
    println!("cores: calls a second, clients on the same cores; medians of {ROUNDS}");
    println!("{:20}{:>16}{:>12}{:>12}{:>8}{:>10}", "", "", "one", "two", "ratio", "evenness");
    for (name, shape) in [("4 connections x 32", MULTIPLEXED), ("32 connections x 1", ONE_BY_ONE)] {
        let mut twos = Vec::new();
        for (server, kind) in [("tonic", Kind::Tonic), ("hosted", Kind::HOSTED), ("ostler", Kind::Ostler)] {
            let (mut one, mut two, mut even, mut ratio) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                keep_to("0");
                let alone = measure(kind, Some("0"), shape, 1);
                keep_to("0,1");
                let both = measure(kind, Some("0,1"), shape, 2);
                one.push(alone.per_second);
                two.push(both.per_second);
                even.push(both.evenness);
                ratio.push(both.per_second / alone.per_second);
            }
            let (one, two, even, ratio) = (median(one), median(two), median(even), median(ratio));
            println!("{name:20}{server:>16}{one:>12.0}{two:>12.0}{ratio:>8.2}{even:>10.2}");
            twos.push(two);
        }
        println!("{name:20}{:>16}{:>24.2}", "hosted / tonic", twos[1] / twos[0]);
        println!("{name:20}{:>16}{:>24.2}", "ostler / tonic", twos[2] / twos[0]);
    }
}

/// Five times what can be done, whether or not anything of it is answered.
fn overload() {
    println!("overload: calls arrive at their own pace, on 64 connections");
    println!(
        "{:24}{:>10}{:>12}{:>12}{:>10}{:>12}{:>12}",
        "", "offered/s", "answered/s", "of peak", "refused/s", "median ms", "p99 ms"
    );
    let guests = [("10 ms of waiting", 10, 0, 64), ("1 ms of work", 0, 1_000, 8), ("200 us of work", 0, 200, 8)];
    keep_to("1");
    for (name, waits_ms, works_us, calls) in guests {
        let server = Server::start(Kind::Hosted { waits_ms, works_us, calls }, Some("0"));
        let (peak, told) = runtime().block_on(async {
            // As many as there are places: nothing is refused, and none is empty.
            let mut few = connected(&server, 8, POINT).await;
            let since = Instant::now();
            let peak = closed(&mut few, calls as usize / 8, SPAN).await as f64 / since.elapsed().as_secs_f64();
            drop(few);
            (peak, open(connected(&server, 64, POINT).await, peak * 5.0, SPAN * 2).await)
        });
        println!(
            "{name:24}{:>10.0}{:>12.0}{:>12.3}{:>10.0}{:>12.2}{:>12.2}",
            told.offered,
            told.answered,
            told.answered / peak,
            told.refused,
            told.median_ms,
            told.p99_ms
        );
    }
    keep_to("0,1");
}

/// What became of calls that arrived at their own pace.
struct Told {
    offered: f64,
    answered: f64,
    refused: f64,
    /// From when a call was due to its refusal.
    median_ms: f64,
    p99_ms: f64,
}

/// Opens calls when they are due, however many are open.
async fn open(loads: Vec<Load>, per_second: f64, span: Duration) -> Told {
    let start = Instant::now();
    let (until, count) = (start + span, loads.len());
    let each = loads.into_iter().enumerate().map(|(number, mut load)| async move {
        let gap = Duration::from_secs_f64(count as f64 / per_second);
        let mut due = start + gap.mul_f64(number as f64 / count as f64);
        let mut dues = std::collections::HashMap::new();
        let (mut answered, mut refused) = (0u64, Vec::new());
        while Instant::now() < until {
            while due <= Instant::now() {
                dues.insert(load.call(), due);
                due += gap;
            }
            load.turn(due.min(until), |call, how| {
                let due = dues.remove(&call).expect("an open call");
                match how {
                    Ended::Answered => answered += 1,
                    Ended::Refused => refused.push(due.elapsed().as_secs_f64() * 1e3),
                }
            })
            .await;
        }
        (answered, refused, dues.len())
    });
    let all = futures_util::future::join_all(each).await;
    let took = start.elapsed().as_secs_f64();
    let answered: u64 = all.iter().map(|(answered, ..)| answered).sum();
    let left: usize = all.iter().map(|(.., left)| left).sum();
    let mut refused: Vec<f64> = all.into_iter().flat_map(|(_, refused, _)| refused).collect();
    refused.sort_by(f64::total_cmp);
    let at = |share: f64| refused.get((refused.len() as f64 * share) as usize).copied().unwrap_or_default();
    Told {
        offered: (answered as f64 + refused.len() as f64 + left as f64) / took,
        answered: answered as f64 / took,
        refused: refused.len() as f64 / took,
        median_ms: at(0.5),
        p99_ms: at(0.99),
    }
}
