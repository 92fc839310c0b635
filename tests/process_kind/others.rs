//! Sockets of processes that somebody else starts, in any order.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::net::{TcpStream, UnixListener};
use tokio::sync::watch;

use super::{CHILD, DRAIN, SERVICE, answers, probe, until};
use crate::support::client::{Client, point};
use crate::support::wire::{Upload, call, framed};
use crate::support::{Ostler, Starter, binary};
use crate::upstream_kind::behind::{Call, SERVING, behind_saying};

/// A process of somebody else's, which serves RouteGuide there.
struct Other(Child);

impl Other {
    fn at(folder: &Path, socket: &str, yaml: &str) -> Other {
        let file = folder.join(format!("{socket}.yaml"));
        std::fs::write(&file, yaml).unwrap();
        let listen = format!("unix:{}", folder.join(socket).display());
        let mut command = Command::new(binary());
        command.arg("run").arg(file).env("OSTLER_LISTEN", listen).stdout(Stdio::null()).stderr(Stdio::null());
        Other(command.spawn().unwrap())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn host(at: &str) -> Ostler {
    let proto = std::fs::read_to_string(crate::support::project().join("proto/routeguide/route_guide.proto")).unwrap();
    let yaml = format!(
        "services:\n  {SERVICE}:\n    schema: route_guide.proto\n    handler:\n      process: {{ {at} }}\n{DRAIN}"
    );
    Starter::default().file("route_guide.proto", &proto).start(&yaml)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_may_be_there_before_or_after_and_come_again() {
    let sockets = tempfile::tempdir().unwrap();
    let host = host(&format!("socket: {}", sockets.path().join("a").display()));
    assert_eq!(probe(&host), Some(4), "nobody is there yet");
    let mut client = Client::connect(host.address()).await;
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    for round in ["first", "second"] {
        let other = Other::at(sockets.path(), "a", CHILD);
        until("the socket is there", || sockets.path().join("a").exists());
        let took = until("it is picked up", || probe(&host) == Some(0));
        println!("{round}: picked up {} ms after its socket was there", took.as_millis());
        answers(&mut client).await;
        // Who is there can be asked what the service is.
        let at = sockets.path().join("a");
        let asked =
            format!("services: {{ {SERVICE}: {{ handler: {{ process: {{ socket: {} }} }} }} }}\n{DRAIN}", at.display());
        assert_eq!(probe(&crate::support::start(&asked)), Some(0));
        drop(other);
        until("its end is noticed", || probe(&host) == Some(4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_folder_those_are_used_that_know_the_service() {
    let sockets = tempfile::tempdir().unwrap();
    let _stranger = Other::at(sockets.path(), "a", "listen: \"${OSTLER_LISTEN}\"\nservices: {}\n");
    until("the stranger is there", || sockets.path().join("a").exists());
    let host = host(&format!("sockets: {}", sockets.path().display()));
    assert_eq!(probe(&host), Some(4), "a stranger does not know it");
    let mut client = Client::connect(host.address()).await;

    let one = Other::at(sockets.path(), "b", CHILD);
    until("the first is found", || probe(&host) == Some(0));
    let two = Other::at(sockets.path(), "c", CHILD);
    until("the second is there", || sockets.path().join("c").exists());
    answers(&mut client).await;
    drop(one);
    until("the second takes over", || probe(&host) == Some(0));
    answers(&mut client).await;
    drop(two);
    until("nobody is left", || probe(&host) == Some(4));
}

/// A socket that leads to a server, as long as the test lasts.
fn lead(socket: &Path, address: String) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut server).await });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_refused_when_it_is_too_long_to_be_sent_again_is_told_why() {
    let sockets = tempfile::tempdir().unwrap();
    let says = watch::Sender::new(SERVING);
    let refuses = |mut call: Call| async move {
        let mut read = 0;
        while read <= 64 << 10 {
            let data = call.body.data().await.unwrap().unwrap();
            call.body.flow_control().release_capacity(data.len()).unwrap();
            read += data.len();
        }
        call.respond.send_reset(h2::Reason::REFUSED_STREAM);
    };
    let servers = [behind_saying(says.subscribe(), refuses).await, behind_saying(says.subscribe(), refuses).await];
    for (server, name) in servers.iter().zip(["a", "b"]) {
        lead(&sockets.path().join(name), server.address.clone());
    }
    let host = host(&format!("sockets: {}", sockets.path().display()));
    until("they are found", || probe(&host) == Some(0));
    let mut upload = Upload::open(host.address(), call("RecordRoute")).await;
    upload.send(framed(0, &vec![0; 80 << 10]), false);
    let outcome = upload.outcome().await;
    assert_eq!(outcome.status(), Some(14), "{outcome:?}");
}
