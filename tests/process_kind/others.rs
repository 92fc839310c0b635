//! Sockets of processes that somebody else starts, in any order.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{CHILD, DRAIN, SERVICE, answers, probe, until};
use crate::support::client::{Client, point};
use crate::support::{Ostler, Starter, binary};

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
