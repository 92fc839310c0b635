//! The kind `upstream`: an ostler in front, and behind it another, a server
//! that does exactly as told, or one that misbehaves.

pub mod behind;
mod blamed;
mod encrypted;
mod health;
mod makes;
mod passes;
mod recorded;
mod several;
mod strange;

use std::process::Command;

use ostler::proto::routeguide::RouteSummary;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::client::{Client, note, point, world};
use crate::support::tools::{run_with, tool};
use crate::support::{Ostler, Starter, start, stdout};

pub const SERVICE: &str = "routeguide.RouteGuide";
const SCHEMA: &str = include_str!("../proto/routeguide/route_guide.proto");
const LONDON: (i32, i32) = (515083333, -1252778);

/// What a front host is told: the servers, and further settings of the kind.
fn yaml(to: &[&str], more: &str) -> String {
    let server = |address: &&str| match address.contains("://") || address.starts_with("unix:") {
        true => format!("'{address}'"),
        false => format!("'http://{address}'"),
    };
    let to = to.iter().map(server).collect::<Vec<_>>().join(", ");
    let more = more.lines().map(|line| format!("        {line}\n")).collect::<String>();
    format!(
        "services:\n  {SERVICE}:\n    schema: route_guide.proto\n    handler:\n      upstream:\n        to: [{to}]\n{more}"
    )
}

/// A host whose RouteGuide is answered by these servers. What does not change
/// anything is declared so in its schema.
fn front(to: &[&str], more: &str) -> Ostler {
    starter().start(&yaml(to, more))
}

fn starter() -> Starter {
    let safe = "{ option idempotency_level = NO_SIDE_EFFECTS; }";
    let schema = SCHEMA
        .replace("returns (Feature);", &format!("returns (Feature) {safe}"))
        .replace("returns (stream Feature);", &format!("returns (stream Feature) {safe}"));
    assert_ne!(schema, SCHEMA);
    Starter::default().file("route_guide.proto", &schema)
}

/// Waits until the mount's health is this.
async fn wait_for_health(front: &Ostler, wanted: ServingStatus) {
    let mut watch = crate::health::watch(front.address(), SERVICE).await;
    while crate::health::next(&mut watch).await.unwrap() != wanted {}
}

#[tokio::test]
async fn all_four_kinds_of_call_are_answered_by_the_server_behind() {
    let behind = start("");
    let front = front(&[behind.address()], "");
    let mut client = Client::connect(front.address()).await;
    let mut direct = Client::connect(behind.address()).await;

    let london = client.get_feature(point(LONDON.0, LONDON.1)).await.unwrap();
    assert_eq!(london.name, "London, GB");
    let all = client.list_features(world()).await.unwrap();
    assert_eq!(all, direct.list_features(world()).await.unwrap());
    let points = vec![point(10_000_000, 10_000_000), point(20_000_000, 20_000_000), point(LONDON.0, LONDON.1)];
    let RouteSummary { point_count, feature_count, .. } = client.record_route(points).await.unwrap();
    assert_eq!((point_count, feature_count), (3, 1));
    let replies = client.chat(vec![note(1, 1, "one"), note(2, 2, "elsewhere"), note(1, 1, "two")]).await.unwrap();
    assert_eq!(replies.iter().map(|note| note.message.as_str()).collect::<Vec<_>>(), ["one"]);
}

#[tokio::test]
async fn a_conversation_goes_to_and_fro_without_waiting_for_its_end() {
    let behind = start("");
    let front = front(&[behind.address()], "");
    let (sender, mut replies) = Client::connect(front.address()).await.route_chat().await.unwrap();
    sender.send(note(7, 7, "0")).await.unwrap();
    for turn in 1..50usize {
        sender.send(note(7, 7, &turn.to_string())).await.unwrap();
        for earlier in 0..turn {
            let reply = replies.message().await.unwrap().expect("a reply before the next note");
            assert_eq!(reply.message, earlier.to_string());
        }
    }
    drop(sender);
    assert!(replies.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_behind_a_socket_in_the_file_system_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/x.sock", folder.path().display());
    let behind = start(&format!("listen: '{socket}'\n"));
    let front = front(&[behind.address()], "");
    let mut client = Client::connect(front.address()).await;
    assert_eq!(client.get_feature(point(LONDON.0, LONDON.1)).await.unwrap().name, "London, GB");
}

#[test]
fn grpcurl_calls_all_four_kinds_through_it() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let behind = start("");
    let front = front(&[behind.address()], "");
    let run = |method: &str, requests: &str| {
        let mut command = Command::new(&grpcurl);
        command.args(["-plaintext", "-d", "@", front.address(), &format!("{SERVICE}/{method}")]);
        stdout(&run_with(&mut command, requests))
    };
    let listed = stdout(&Command::new(&grpcurl).args(["-plaintext", front.address(), "list"]).output().unwrap());
    assert!(listed.lines().any(|line| line == SERVICE), "{listed}");
    assert!(run("GetFeature", r#"{"latitude": 515083333, "longitude": -1252778}"#).contains("London, GB"));
    let around = r#"{"lo": {"latitude": 480000000, "longitude": -20000000}, "hi": {"latitude": 520000000, "longitude": 50000000}}"#;
    assert!(run("ListFeatures", around).contains("London, GB"));
    assert!(run("RecordRoute", "{\"latitude\": 1}\n{\"latitude\": 2}\n").contains("\"pointCount\": 2"));
    let notes = r#"{"location": {"latitude": 1}, "message": "one"} {"location": {"latitude": 1}, "message": "two"}"#;
    assert!(run("RouteChat", notes).contains("\"one\""));
}
