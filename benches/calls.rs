//! What a call costs, as a ratio within one run: this host against the same
//! service written the tutorial's way on tonic's own server.
//!
//! Each server runs in a process of its own, over the same 100 features; what
//! is compared is the CPU time the kernel counts for it, so a noisy machine
//! shifts both alike. `cargo bench --bench calls`; on Linux.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ostler::proto::routeguide::{Point, RouteNote};

#[allow(dead_code)]
#[path = "../tests/support/client.rs"]
mod client;
mod tutorial;

use client::{Client, note, point, world};

const ROUNDS: usize = 3;
/// How long one figure is measured.
const SPAN: Duration = Duration::from_secs(2);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime = |threads: bool| {
        let mut builder = if threads {
            tokio::runtime::Builder::new_multi_thread()
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        builder.enable_all().build().expect("a runtime")
    };
    if args.get(1).is_some_and(|arg| arg == "tutorial") {
        return runtime(true).block_on(tutorial::serve());
    }
    let ostler = std::env::var("OSTLER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ostler").to_owned());
    println!("server CPU, ns a unit, medians of {ROUNDS}; {ostler}");
    println!("{:34}{:>10}{:>10}{:>8}", "", "tutorial", "ostler", "ratio");
    for work in WORKS {
        let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| {
                let theirs = Server::tutorial().measure(&runtime(false), work);
                let ours = Server::ostler(&ostler).measure(&runtime(false), work);
                (theirs, ours)
            })
            .collect();
        rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        let (theirs, ours) = rounds[ROUNDS / 2];
        println!("{:34}{theirs:>10.0}{ours:>10.0}{:>8.2}", work.name, ours / theirs);
    }
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

struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn tutorial() -> Server {
        let own = std::env::current_exe().expect("the benchmark's own path");
        let mut command = Command::new(own);
        command.arg("tutorial");
        Server::start(command, tempfile::tempdir().expect("a folder"))
    }

    fn ostler(binary: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let entries: Vec<String> = tutorial::features()
            .into_iter()
            .map(|feature| {
                let Point { latitude, longitude } = feature.location.unwrap_or_default();
                format!(r#"{{"name":"{}","location":{{"latitude":{latitude},"longitude":{longitude}}}}}"#, feature.name)
            })
            .collect();
        std::fs::write(folder.path().join("db.json"), format!("[{}]", entries.join(","))).expect("written");
        let yaml = "listen: 127.0.0.1:0\nservices: { routeguide.RouteGuide: { handler: { route_guide: { profile: tonic, features: { file: db.json } } } } }\n";
        let file = folder.path().join("ostler.yaml");
        std::fs::write(&file, yaml).expect("written");
        let mut command = Command::new(binary);
        command.arg("run").arg(file);
        Server::start(command, folder)
    }

    /// Starts a server that says where it listens in its first line.
    fn start(mut command: Command, folder: tempfile::TempDir) -> Server {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("a first line");
        let at = line.find("127.0.0.1:").expect("an address");
        let address = line[at..].split(['"', ' ', '\n']).next().unwrap_or_default().to_owned();
        Server { child, address, _folder: folder }
    }

    /// Server CPU a unit, in nanoseconds.
    fn measure(self, runtime: &tokio::runtime::Runtime, work: Work) -> f64 {
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..work.connections {
                clients.push(Client::connect(&self.address).await);
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
            let before = self.cpu_ns();
            let calls: u64 = load(Instant::now() + SPAN).await.into_iter().sum();
            (self.cpu_ns() - before) / (calls * work.units) as f64
        })
    }

    /// What the kernel counts for every thread of the server, to the nanosecond.
    fn cpu_ns(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        let ran = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        ran.filter_map(|stat| stat.split(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
