//! Signals, in whatever state they find the process: SIGTERM ends it in time,
//! a second one at once, and nobody who stalls can hold either up.

use std::io::{PipeReader, PipeWriter, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prost::Message as _;
use tonic_health::pb::HealthCheckRequest;

use crate::frames::{greedy, large};
use crate::support::authority::Authority;
use crate::support::client::{Client, note, point};
use crate::support::wire::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Wire, block, call, exchange, frame, framed,
};
use crate::support::{Ostler, PATIENCE, Starter, binary, ostler, start, wait};

const UNAVAILABLE: u8 = 14;
const DRAIN: &str = "shutdown: { drain: 300ms }\n";
/// Features that are read from a pipe, and so for as long as a test likes.
const FROM_A_PIPE: &str =
    "services: { routeguide.RouteGuide: { handler: { route_guide: { features: { file: /dev/stdin } } } } }\n";
/// More than a pipe holds: who has written it has a reader.
static MORE_THAN_A_PIPE: [u8; 512 << 10] = [b'\n'; 512 << 10];

/// SIGTERM, and the code and time of the end.
fn ends(host: Ostler, state: &str) {
    let since = Instant::now();
    assert_eq!(host.stop().code(), Some(0), "{state}");
    println!("{state}: ended after {} ms", since.elapsed().as_millis());
}

/// Signals until one is taken for the second: it may not come on the heels of the first.
fn stopped_twice(host: Ostler, state: &str) {
    let mark = host.mark();
    host.signal("TERM");
    host.wait_for(mark, "stopping");
    let since = Instant::now();
    while !host.log().contains("second signal") {
        host.signal("INT");
        assert!(since.elapsed() < PATIENCE, "{state}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(host.exit().code(), Some(1), "{state}");
    println!("{state}, a second signal: ended {} ms after the first", since.elapsed().as_millis());
}

fn health_watch(wire: &mut Wire) {
    let question = framed(0, &HealthCheckRequest { service: String::new() }.encode_to_vec());
    let head = frame(HEADERS, END_HEADERS, 1, &block("/grpc.health.v1.Health/Watch"));
    assert!(wire.send(&[head, frame(DATA, END_STREAM, 1, &question)].concat()));
    assert!(std::iter::from_fn(|| wire.next()).any(|(kind, ..)| kind == DATA), "it watches");
}

#[test]
fn sigterm_ends_it_whatever_its_peers_do() {
    ends(start(DRAIN), "idle");

    let host = start(DRAIN);
    let _silent = Wire::connect(host.address());
    ends(host, "a silent peer");

    let authority = Authority::new("one");
    let host = crate::tls::host(&authority, &format!("{}{DRAIN}", crate::tls::TLS));
    let mut stalled = TcpStream::connect(host.address()).unwrap();
    stalled.write_all(&[22, 3, 1, 1]).unwrap();
    ends(host, "half a TLS handshake");

    let host = start(DRAIN);
    let mut deaf = Wire::open(host.address());
    assert!(deaf.next().is_some());
    ends(host, "a peer that acknowledges nothing");

    let host = start(DRAIN);
    let mut watching = Wire::open(host.address());
    health_watch(&mut watching);
    ends(host, "an open Watch, and no ping answered");

    let host = large(Starter::default(), DRAIN);
    let mut greedy_one = Wire::connect(host.address());
    assert!(greedy_one.send(&greedy()));
    assert!(greedy_one.next().is_some());
    ends(host, "a peer that reads nothing of twenty answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_tells_calls_that_do_not_end() {
    let stuck = start(DRAIN);
    let waiting = exchange(stuck.address(), call("GetFeature"), &[], false);
    let stopping = async {
        let mut client = Client::connect(stuck.address()).await;
        client.get_feature(point(0, 0)).await.unwrap();
        stuck.signal("TERM");
        Instant::now()
    };
    let (outcome, since) = tokio::join!(waiting, stopping);
    assert_eq!(outcome.status(), Some(UNAVAILABLE), "a unary call whose message never comes");
    assert_eq!(stuck.exit().code(), Some(0));
    println!("a stuck unary call: ended after {} ms", since.elapsed().as_millis());

    let busy = start(&format!("limits: {{ calls_per_connection: 1000 }}\n{DRAIN}"));
    let mut client = Client::connect(busy.address()).await;
    let mut chats = Vec::new();
    for _ in 0..1_000 {
        chats.push(client.route_chat().await.unwrap());
    }
    let since = Instant::now();
    busy.signal("TERM");
    for (_, replies) in &mut chats {
        assert_eq!(replies.message().await.unwrap_err().code(), tonic::Code::Unavailable, "a thousand chats");
    }
    drop((chats, client));
    assert_eq!(busy.exit().code(), Some(0));
    println!("a thousand chats: ended after {} ms", since.elapsed().as_millis());
}

/// A configuration in a folder of its own.
fn written(yaml: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, yaml).unwrap();
    (folder, file)
}

fn spawn(file: &Path, stdin: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Child {
    let mut command = Command::new(binary());
    command.arg("run").arg(file).stdin(stdin).stdout(Stdio::null()).stderr(stderr);
    command.spawn().expect("the binary starts")
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn sigterm_ends_a_start_that_is_not_done() {
    let (stdin, mut slow) = std::io::pipe().unwrap();
    let (_folder, file) = written(&format!("listen: 127.0.0.1:0\n{FROM_A_PIPE}"));
    let mut building = spawn(&file, stdin, Stdio::null());
    slow.write_all(&MORE_THAN_A_PIPE).unwrap();
    let since = Instant::now();
    signal(&building, "TERM");
    assert_eq!(wait(&mut building).code(), Some(0));
    println!("while it builds: ended after {} ms", since.elapsed().as_millis());

    let (stdin, mut slow) = std::io::pipe().unwrap();
    let mut reading = spawn(Path::new("/dev/stdin"), stdin, Stdio::null());
    slow.write_all(&MORE_THAN_A_PIPE).unwrap();
    let since = Instant::now();
    signal(&reading, "TERM");
    assert_eq!(wait(&mut reading).code(), Some(0));
    println!("while it reads its configuration: ended after {} ms", since.elapsed().as_millis());
}

/// A host in the middle of a reload, for as long as the pipe is open.
fn reloading(yaml: &str) -> (Ostler, PipeWriter) {
    let (stdin, mut slow) = std::io::pipe().unwrap();
    let host = Starter::default().stdin(stdin).start(yaml);
    host.write(&format!("{yaml}{FROM_A_PIPE}"));
    host.signal("HUP");
    slow.write_all(&MORE_THAN_A_PIPE).unwrap();
    (host, slow)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_takes_its_time_keeps_nobody_waiting() {
    let (host, slow) = reloading(DRAIN);
    let mut client = Client::connect(host.address()).await;
    assert_eq!(client.get_feature(point(515_083_333, -1_252_778)).await.unwrap().name, "London, GB");
    drop(client);
    ends(host, "during a reload");
    drop(slow);

    let (host, slow) = reloading("shutdown: { drain: 1h }\n");
    let mut client = Client::connect(host.address()).await;
    let _chat = client.route_chat().await.unwrap();
    stopped_twice(host, "during a reload");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    stopped_twice(start("shutdown: { lame_duck: 1h }\n"), "a lame duck");

    let stuck = start("shutdown: { drain: 1h }\n");
    let mut client = Client::connect(stuck.address()).await;
    let _chat = client.route_chat().await.unwrap();
    stopped_twice(stuck, "a chat that does not end");

    let deaf = start("shutdown: { drain: 1h }\n");
    let mut wire = Wire::open(deaf.address());
    let chat = frame(HEADERS, END_HEADERS, 1, &block("/routeguide.RouteGuide/RouteChat"));
    assert!(wire.send(&[chat, frame(DATA, 0, 1, &framed(0, &note(1, 1, "a").encode_to_vec()))].concat()));
    assert!(wire.next().is_some_and(|(kind, ..)| kind != GOAWAY));
    stopped_twice(deaf, "a peer that acknowledges nothing");
}

/// A pipe nobody reads, full but for so many bytes.
fn full_pipe(free: usize) -> (PipeReader, PipeWriter) {
    let (unread, mut into) = std::io::pipe().unwrap();
    into.write_all(&vec![b'\n'; PIPE_BYTES - free]).unwrap();
    (unread, into)
}

/// What a pipe holds on Linux, unless it was told otherwise.
const PIPE_BYTES: usize = 65_536;

#[test]
fn a_reader_of_the_log_that_stalls_stalls_nothing() {
    for format in ["json", "human"] {
        let sockets = tempfile::tempdir().unwrap();
        let address = format!("unix:{}", sockets.path().join("sock").display());
        let (_folder, file) = written(&format!("listen: \"{address}\"\nlog: {{ format: {format} }}\n"));
        // Full to the last byte before the host writes its first.
        let (_unread, stderr) = full_pipe(0);
        let stdout = stderr.try_clone().unwrap();
        let mut child =
            Command::new(binary()).arg(&file).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while ostler(&["probe", &address]).status.code() != Some(0) {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "{format}: it runs");
        }
        for _ in 0..20 {
            signal(&child, "HUP");
            assert_eq!(ostler(&["probe", &address]).status.code(), Some(0), "{format}: it still answers");
        }
        let since = Instant::now();
        signal(&child, "TERM");
        assert_eq!(wait(&mut child).code(), Some(0), "{format}");
        println!("stdout and stderr full, {format}: ended after {} ms", since.elapsed().as_millis());
    }
}

#[test]
fn a_refusal_nobody_reads_does_not_keep_it_from_being_stopped() {
    const FREE: usize = 4_096;
    let (unread, stderr) = full_pipe(FREE);
    let faults: String = (0..100).map(|number| format!("no_such_key_{number}: 1\n")).collect();
    let (_folder, file) = written(&faults);
    let mut refused = spawn(&file, Stdio::null(), stderr);
    let deadline = Instant::now() + PATIENCE;
    while rustix::io::ioctl_fionread(&unread).unwrap() < PIPE_BYTES as u64 {
        assert!(refused.try_wait().unwrap().is_none() && Instant::now() < deadline, "it has more to say than fits");
        std::thread::yield_now();
    }
    signal(&refused, "TERM");
    assert_eq!(wait(&mut refused).code(), Some(78));
}
