//! The process: how it starts, where it can be reached, and how it ends.

mod signals;

use std::process::Command;

use crate::support::client::{Client, note, point};
use crate::support::{PATIENCE, Starter, binary, ostler, start};

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_several_sockets_and_takes_its_own_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ostler.sock");
    // What a killed process leaves behind does not stand in the way.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let yaml = format!("listen: [127.0.0.1:0, \"[::1]:0\", \"unix:{}\"]\n", socket.display());
    let host = start(&yaml);
    assert_eq!(host.addresses().len(), 3);
    for address in host.addresses() {
        let mut client = Client::connect(address).await;
        let london = client.get_feature(point(515083333, -1252778)).await.unwrap();
        assert_eq!(london.name, "London, GB", "{address}");
    }
    assert_eq!(host.stop().code(), Some(0));
    assert!(!socket.exists(), "the socket's file goes with it");
}

#[test]
fn a_socket_file_in_use_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ostler.sock");
    let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, format!("listen: \"unix:{}\"\n", socket.display())).unwrap();
    let output = ostler(&["run", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("it is in use") && words.contains("ostler.yaml:1:9"), "{words}");
    assert!(socket.exists());
}

#[test]
fn a_socket_file_that_another_process_has_put_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("ostler.sock").display());
    let yaml = format!("listen: \"{address}\"\n");
    let first = start(&yaml);
    std::fs::remove_file(folder.path().join("ostler.sock")).unwrap();
    let _second = start(&yaml);
    assert_eq!(first.stop().code(), Some(0));
    assert_eq!(ostler(&["probe", &address]).status.code(), Some(0), "the second is still to be reached");
}

#[test]
fn a_port_that_changes_its_address_is_told_what_holds_it() {
    let host = start("");
    let port = host.address().rsplit_once(':').unwrap().1.to_owned();
    let mark = host.mark();
    assert!(!host.reload(&format!("listen: {{ address: \"0.0.0.0:{port}\", plaintext: true }}\n")));
    let words = host.wait_for(mark, "cannot listen on")["message"].as_str().unwrap().to_owned();
    assert!(words.contains(&format!("127.0.0.1:{port} of this very process holds it")), "{words}");
}

#[test]
fn what_waits_for_the_next_start_is_told() {
    let host = start("");
    let mark = host.mark();
    assert!(host.reload("log: { level: debug }\n"));
    host.wait_for(mark, "waits for the next start");
}

#[tokio::test]
async fn a_reload_moves_the_sockets_and_keeps_those_that_stay() {
    let host = start("listen: [127.0.0.1:0]\n");
    let first = host.address().to_owned();
    let mut kept = Client::connect(&first).await;
    let folder = host.folder().join("second.sock");
    let mark = host.mark();
    assert!(host.reload(&format!("listen: [127.0.0.1:0, \"unix:{}\"]\n", folder.display())));
    let addresses = host.wait_for(mark, "reloaded")["addresses"].as_str().unwrap().to_owned();
    assert!(addresses.starts_with(&first), "{addresses}: the socket that stays is the same socket");
    let mut other = Client::connect(&format!("unix:{}", folder.display())).await;
    assert!(other.get_feature(point(0, 0)).await.is_ok());
    assert!(kept.get_feature(point(0, 0)).await.is_ok(), "and its connections live on");
    assert!(host.reload(&format!("listen: \"unix:{}\"\n", folder.display())));
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(&first).is_ok() {
        assert!(std::time::Instant::now() < deadline, "what is no longer asked for is closed");
    }
    assert!(other.get_feature(point(0, 0)).await.is_ok());
}

#[tokio::test]
async fn a_port_in_use_refuses_the_reload_and_the_start() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let host = start("");
    let mark = host.mark();
    assert!(!host.reload(&format!("services: {{}}\nlisten: [127.0.0.1:0, {taken}]\n")));
    let words = host.wait_for(mark, "cannot listen on")["message"].as_str().unwrap().to_owned();
    assert!(
        words.contains("it is in use") && words.contains("ostler.yaml:2:23") && words.contains("listen[1]"),
        "{words}"
    );
    let mut client = Client::connect(host.address()).await;
    assert_eq!(client.get_feature(point(515083333, -1252778)).await.unwrap().name, "London, GB", "nothing was applied");
}

#[tokio::test]
async fn sigterm_lets_calls_in_flight_end() {
    let host = start("");
    let mut client = Client::connect(host.address()).await;
    let (sender, mut replies) = client.route_chat().await.unwrap();
    sender.send(note(1, 1, "before")).await.unwrap();
    sender.send(note(1, 1, "again")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().message, "before");
    let mark = host.mark();
    host.signal("TERM");
    host.wait_for(mark, "stopping");
    sender.send(note(1, 1, "after")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().message, "before");
    assert_eq!(replies.message().await.unwrap().unwrap().message, "again");
    drop(sender);
    assert_eq!(replies.message().await.unwrap(), None);
    drop((replies, client));
    assert_eq!(host.exit().code(), Some(0));
}

#[tokio::test]
async fn the_drain_has_a_bound() {
    let host = start("shutdown: { drain: 200ms }\n");
    let mut client = Client::connect(host.address()).await;
    let (_sender, _replies) = client.route_chat().await.unwrap();
    let mark = host.mark();
    host.signal("TERM");
    host.wait_for(mark, "calls cut off");
    assert_eq!(host.exit().code(), Some(0));
}

#[test]
fn probe_has_the_exit_codes_of_grpc_health_probe() {
    let host = start("shutdown: { lame_duck: 1h }\n");
    let code = |args: &[&str]| ostler(args).status.code();
    assert_eq!(code(&["probe", host.address()]), Some(0));
    assert_eq!(code(&["probe", host.address(), "--service", "routeguide.RouteGuide"]), Some(0));
    assert_eq!(code(&["probe", host.address(), "--service", "no.such.Service"]), Some(3));
    assert_eq!(code(&["probe", "--no-such-flag"]), Some(2));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(code(&["probe", &nobody.to_string()]), Some(2));
    let mark = host.mark();
    host.signal("TERM");
    host.wait_for(mark, "stopping");
    assert_eq!(code(&["probe", host.address()]), Some(4));
}

#[test]
fn without_a_file_it_takes_the_one_that_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ostler.yaml"), "listen: 127.0.0.1:0\nservices: {}\n").unwrap();
    let checked = Command::new(binary()).arg("check").current_dir(folder.path()).output().unwrap();
    assert_eq!(checked.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&checked.stderr), "ostler.yaml: ok, 0 services\n");
    let empty = tempfile::tempdir().unwrap();
    let built_in = Command::new(binary()).arg("check").current_dir(empty.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&built_in.stderr), "<built-in>: ok, 1 service\n");
}

#[tokio::test]
async fn a_stranger_protocol_harms_nobody() {
    use std::io::{Read as _, Write as _};
    let host = Starter::default().start("");
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff",
    ] {
        let mut stream = std::net::TcpStream::connect(host.address()).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    let mut client = Client::connect(host.address()).await;
    assert!(client.get_feature(point(0, 0)).await.is_ok());
}
