//! What a call costs, as a ratio within one run: this host against the same
//! service written the tutorial's way on tonic's own server.
//!
//! Each server runs in a process of its own, over the same 100 features; what
//! is compared is the CPU time the kernel counts for it, so a noisy machine
//! shifts both alike. `cargo bench --bench calls`; on Linux.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ostler::proto::routeguide::RouteNote;

#[allow(dead_code, reason = "the tests' client does more")]
#[path = "../tests/support/client.rs"]
mod client;
#[allow(dead_code, reason = "each benchmark starts some of them")]
mod servers;

use client::{Client, note, point, world};
use servers::{Kind, Server};

const ROUNDS: usize = 3;
/// How long one figure is measured.
const SPAN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if let Some(code) = servers::serving() {
        return code;
    }
    println!("server CPU, ns a unit, medians of {ROUNDS}");
    println!("{:34}{:>10}{:>10}{:>8}", "", "tutorial", "ostler", "ratio");
    for work in WORKS {
        let round =
            |_| (measure(Server::start(Kind::Tonic, None), work), measure(Server::start(Kind::Ostler, None), work));
        let mut rounds: Vec<(f64, f64)> = (0..ROUNDS).map(round).collect();
        rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (theirs, ours) = rounds[ROUNDS / 2];
        println!("{:34}{theirs:>10.0}{ours:>10.0}{:>8.2}", work.name, ours / theirs);
    }
    ExitCode::SUCCESS
}

/// One kind of load.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    connections: usize,
    streams: usize,
    call: Call,
    /// Units one call is worth.
    units: u64,
}

#[derive(Clone, Copy)]
enum Call {
    GetFeature,
    ListFeatures,
    RecordRoute,
    RouteChat,
}

const WORKS: [Work; 6] = [
    Work { name: "GetFeature, 4 connections x 32", connections: 4, streams: 32, call: Call::GetFeature, units: 1 },
    Work { name: "GetFeature, 32 connections x 1", connections: 32, streams: 1, call: Call::GetFeature, units: 1 },
    Work { name: "a listed feature, 100 a call", connections: 4, streams: 8, call: Call::ListFeatures, units: 100 },
    Work { name: "a recorded point, 1000 a call", connections: 4, streams: 8, call: Call::RecordRoute, units: 1_000 },
    Work { name: "a chat note, 100 a call", connections: 4, streams: 8, call: Call::RouteChat, units: 100 },
    Work { name: "a short chat, 1 note", connections: 4, streams: 8, call: Call::RouteChat, units: 1 },
];

/// Server CPU a unit, in nanoseconds.
fn measure(server: Server, work: Work) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..work.connections {
            clients.push(Client::connect(&server.address).await);
        }
        let load = |until: Instant| {
            join_all(clients.iter().flat_map(|client| {
                (0..work.streams).map(|_| {
                    let mut client = client.clone();
                    async move {
                        let mut calls = 0u64;
                        while Instant::now() < until {
                            call(&mut client, work).await;
                            calls += 1;
                        }
                        calls
                    }
                })
            }))
        };
        load(Instant::now() + SPAN / 8).await;
        let before = server.cpu_ns();
        let calls: u64 = load(Instant::now() + SPAN).await.into_iter().sum();
        (server.cpu_ns() - before) / (calls * work.units) as f64
    })
}

async fn call(client: &mut Client, work: Work) {
    match work.call {
        Call::GetFeature => {
            client.get_feature(point(7, 7)).await.expect("an answer");
        }
        Call::ListFeatures => {
            let features = client.list_features(world()).await.expect("an answer");
            assert_eq!(features.len() as u64, work.units);
        }
        Call::RecordRoute => {
            let route = (0..work.units).map(|at| point(at as i32, 7)).collect();
            client.record_route(route).await.expect("an answer");
        }
        Call::RouteChat => {
            let notes: Vec<RouteNote> = (0..work.units).map(|at| note(at as i32, 1, "a note of some length")).collect();
            client.chat(notes).await.expect("an answer");
        }
    }
}
