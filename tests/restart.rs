//! One process after another on the same sockets, and what its clients notice.

mod load;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use prost::Message as _;

use crate::support::client::{Client, note, point};
use crate::support::tools::tool;
use crate::support::wire::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Wire, block, frame, framed};
use crate::support::{PATIENCE, Starter, ostler, start};
use load::Load;

const RESTARTS: usize = 20;

#[tokio::test]
async fn it_serves_the_socket_it_inherits_and_leaves_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inherited.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for (passed, name, listen, expected) in [
        (socket.try_clone().unwrap().into(), "grpc", "systemd", format!("unix:{}", path.display())),
        (std::os::fd::OwnedFd::from(socket), "grpc", "systemd:grpc", format!("unix:{}", path.display())),
        (tcp.try_clone().unwrap().into(), "", "systemd:unknown", tcp.local_addr().unwrap().to_string()),
    ] {
        let host = Starter::default().inherits(passed, name).start(&format!("listen: {listen}\n"));
        assert_eq!(host.addresses(), [expected]);
        let mut client = Client::connect(host.address()).await;
        assert_eq!(client.get_feature(point(515_083_333, -1_252_778)).await.unwrap().name, "London, GB");
        assert_eq!(host.stop().code(), Some(0));
        assert!(path.exists(), "the file is not this process's to remove");
    }
}

#[tokio::test]
async fn a_reload_keeps_what_is_inherited_and_may_let_go_of_it_and_take_it_again() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let host = Starter::default().inherits(tcp, "grpc").start("listen: systemd\n");
    let mut kept = Client::connect(&address).await;
    assert!(host.reload("listen: systemd\nservices: {}\n"));
    assert!(host.reload("listen: systemd\n"));
    assert!(kept.get_feature(point(0, 0)).await.is_ok(), "its connections live on");
    assert!(host.reload("listen: 127.0.0.1:0\n"));
    assert!(host.reload("listen: [systemd:grpc, 127.0.0.1:0]\n"));
    let mut again = Client::connect(&address).await;
    assert!(again.get_feature(point(0, 0)).await.is_ok());
    let mark = host.mark();
    assert!(!host.reload("services: {}\nlisten: [systemd:grpc, systemd:web]\n"));
    let words = host.wait_for(mark, "cannot listen on")["message"].as_str().unwrap().to_owned();
    assert!(words.contains("ostler.yaml:2:24") && words.contains("there is `systemd:grpc`"), "{words}");
}

#[test]
fn what_is_not_inherited_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, "listen: systemd\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(ostler(&["check", file]).status.code(), Some(0), "it may be there when it runs");
    let output = ostler(&["run", file]);
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    for word in ["cannot listen on systemd: it is not inherited", "ostler.yaml:1:9", "LISTEN_FDS"] {
        assert!(words.contains(word), "{words}");
    }
}

#[tokio::test]
async fn an_inherited_socket_others_can_reach_has_to_be_accepted_too() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let host = Starter::default().inherits(socket, "grpc").start("listen: 127.0.0.1:0\n");
    assert!(!host.reload("listen: systemd\n"));
    host.wait_for(0, "can be reached from other machines");
    assert!(host.reload("listen: { address: systemd, plaintext: true }\n"));
}

#[tokio::test]
async fn what_waits_in_the_queue_is_served_before_the_socket_closes() {
    // Nobody is accepted while a stopped process sleeps; then it is woken with its end.
    let host = start("");
    host.signal("STOP");
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let client = Client::connect(host.address()).await;
        waiting.push(tokio::spawn(async move { client.clone().get_feature(point(0, 0)).await }));
    }
    host.signal("TERM");
    host.signal("CONT");
    for call in waiting {
        call.await.unwrap().expect("a connection in the queue is a connection");
    }
    assert_eq!(host.exit().code(), Some(0));
}

#[test]
fn a_call_that_crosses_the_farewell_is_met() {
    // h2 by itself refuses a call that comes right behind the answer to its ping.
    let host = start("");
    let mut wire = Wire::open(host.address());
    host.signal("TERM");
    let goaway = std::iter::from_fn(|| wire.next()).find(|(kind, ..)| *kind == GOAWAY).unwrap();
    assert_eq!(goaway.3, [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], "no error, and no call is refused yet");
    let message = framed(0, &point(515_083_333, -1_252_778).encode_to_vec());
    assert!(wire.send(&frame(HEADERS, END_HEADERS, 1, &block("/routeguide.RouteGuide/GetFeature"))));
    assert!(wire.send(&frame(DATA, END_STREAM, 1, &message)));
    let data = std::iter::from_fn(|| wire.next()).find(|(kind, _, stream, _)| (*kind, *stream) == (DATA, 1)).unwrap();
    assert!(String::from_utf8_lossy(&data.3).contains("London, GB"));
    drop(wire);
    assert_eq!(host.exit().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_restarts_on_an_inherited_socket_lose_no_call() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = || {
        Starter::default()
            .inherits(socket.try_clone().unwrap(), "grpc")
            .start("listen: systemd\nlimits: { connections_per_ip: 1024 }\n")
    };
    let mut host = begin();
    let load = Load::start(host.address());
    for _ in 0..RESTARTS {
        load.more(100).await;
        // The service manager's way: the old one ends, then the next begins.
        assert_eq!(host.stop().code(), Some(0));
        host = begin();
    }
    load.more(100).await;
    load.end().await;
}

/// A port that is free, and a path where sockets are handed over, as YAML.
fn place(folder: &Path) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = folder.join("next.sock");
    format!(
        "listen: [{free}, \"unix:{}\"]\nlimits: {{ connections_per_ip: 1024 }}\nshutdown: {{ hand_over: \"{}\" }}\n",
        folder.join("ostler.sock").display(),
        path.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_hand_overs_lose_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = place(folder.path());
    let mut host = start(&yaml);
    let load = Load::start(host.address());
    for _ in 0..RESTARTS {
        load.more(100).await;
        let next = start(&yaml);
        assert_eq!(host.exit().code(), Some(0), "the old one has gone by itself");
        host = next;
    }
    load.more(100).await;
    load.end().await;
}

#[test]
fn a_real_client_notices_nothing_of_five_hand_overs() {
    let Some(ghz) = tool("GHZ") else { return };
    let folder = tempfile::tempdir().unwrap();
    let yaml = place(folder.path());
    let mut host = start(&yaml);
    let told = folder.path().join("told.json");
    let mut client = Command::new(ghz)
        .args(["--insecure", "--call", "routeguide.RouteGuide/GetFeature", "-d", "{}", "-O", "json"])
        .args(["--rps", "500", "-n", "1500", "-c", "20", "--connections", "10", "-o"])
        .args([&told, Path::new(host.address())])
        .spawn()
        .unwrap();
    let mut restarts = 0;
    let deadline = Instant::now() + PATIENCE;
    while client.try_wait().unwrap().is_none() {
        let next = start(&yaml);
        assert_eq!(host.exit().code(), Some(0));
        host = next;
        restarts += 1;
        assert!(Instant::now() < deadline, "the client comes to its end");
    }
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    // It makes exactly so many calls, and counts attempts: one that met a closing
    // connection unprocessed is made again by grpc-go itself, and no call failed for it.
    assert_eq!(report["statusCodeDistribution"]["OK"], 1500, "{}", report["statusCodeDistribution"]);
    assert!(restarts >= 5, "{restarts}");
}

#[tokio::test]
async fn calls_in_flight_end_where_they_began_and_the_rest_is_the_successors() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = place(folder.path());
    let old = start(&yaml);
    let mode = std::fs::metadata(folder.path().join("next.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "sockets are not for everybody");
    let mut client = Client::connect(old.address()).await;
    let (sender, mut replies) = client.route_chat().await.unwrap();
    sender.send(note(1, 1, "before")).await.unwrap();
    sender.send(note(1, 1, "again")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().message, "before");

    let new = start(&format!("{yaml}services: {{}}\n"));
    assert_eq!(new.addresses(), old.addresses());
    old.wait_for(0, "stopping");
    let deadline = Instant::now() + PATIENCE;
    for address in new.addresses() {
        // The old one may still have taken a connection on its last way out.
        let status = loop {
            match Client::connect(address).await.get_feature(point(0, 0)).await {
                Ok(_) => assert!(Instant::now() < deadline, "{address}: the old one takes no more"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), tonic::Code::Unimplemented, "{address}: the new one answers");
    }
    sender.send(note(1, 1, "after")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().message, "before");
    assert_eq!(replies.message().await.unwrap().unwrap().message, "again");
    drop((sender, replies, client));
    assert_eq!(old.exit().code(), Some(0));
    assert!(Client::connect(&new.addresses()[1]).await.get_feature(point(0, 0)).await.is_err());
    assert_eq!(new.stop().code(), Some(0));
    for socket in ["ostler.sock", "next.sock"] {
        assert!(!folder.path().join(socket).exists(), "{socket} goes with the last");
    }
}

#[tokio::test]
async fn a_successor_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = place(folder.path());
    let host = start(&yaml);
    let refused = |yaml: String, words: &str| {
        let file = folder.path().join("refused.yaml");
        std::fs::write(&file, yaml).unwrap();
        let output = ostler(&["run", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(words), "{told}");
    };
    // One that never comes to ask, one that asks and cannot serve, and one that dies.
    let mark = host.mark();
    refused(format!("{yaml}services: 1\n"), "services");
    refused(yaml.replace("listen: [", "listen: [\"unix:/no/such/folder/x\", "), "cannot listen on");
    host.wait_for(mark, "a successor did not come to serve");
    let mark = host.mark();
    drop(std::os::unix::net::UnixStream::connect(folder.path().join("next.sock")).unwrap());
    host.wait_for(mark, "a successor did not come to serve");

    for address in host.addresses() {
        assert!(Client::connect(address).await.get_feature(point(0, 0)).await.is_ok(), "{address}");
    }
    assert_eq!(host.stop().code(), Some(0));
    assert!(!folder.path().join("ostler.sock").exists(), "its files are still its own");
}

#[tokio::test]
async fn what_a_service_manager_passed_is_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = format!("listen: systemd:grpc\nshutdown: {{ hand_over: \"{}/next.sock\" }}\n", folder.path().display());
    let first = Starter::default().inherits(socket, "grpc").start(&yaml);
    let second = start(&yaml);
    assert_eq!(second.addresses(), first.addresses());
    assert_eq!(first.exit().code(), Some(0));
    let third = start(&yaml);
    assert_eq!(second.exit().code(), Some(0));
    assert!(Client::connect(third.address()).await.get_feature(point(0, 0)).await.is_ok());
}
