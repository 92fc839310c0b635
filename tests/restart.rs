//! One process after another on the same sockets, and what its clients notice.

mod load;

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use prost::Message as _;

use crate::support::client::{Client, point};
use crate::support::wire::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Wire, block, frame, framed};
use crate::support::{Starter, ostler, start};
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
