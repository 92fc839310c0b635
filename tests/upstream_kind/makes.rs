//! Servers and clients of other makes, with an ostler between.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use serde_json::Value;
use tonic_health::pb::health_check_response::ServingStatus;

use super::behind::asked;
use super::{front, wait_for_health};
use crate::support::client::{Client, note};
use crate::support::tools::{script, tool};
use crate::support::wire::{exchange, framed};
use crate::support::{start, stdout};

/// Python's server, gone when dropped.
struct Python {
    child: Child,
    address: String,
}

impl Python {
    fn start(python: std::path::PathBuf) -> Python {
        let mut command = script(python, "python/behind.py", &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Python { child, address: address.trim().to_owned() }
    }

    fn says(&mut self, health: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{health}").unwrap();
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn python_s_server_is_sent_calls_and_believed_about_its_health() {
    let Some(python) = tool("PYTHON") else { return };
    let mut behind = Python::start(python);
    let front = front(&[&behind.address], "");
    wait_for_health(&front, ServingStatus::Serving).await;

    let request = || asked("GetFeature").header("x-sent", "through");
    let outcome = exchange(front.address(), request(), &[framed(0, b"\x08\x07")], true).await;
    assert_eq!((outcome.status(), outcome.body), (Some(0), framed(0, b"\x08\x07").to_vec()));
    assert_eq!(
        (&outcome.headers["x-ahead"], &outcome.headers["x-ahead-bin"]),
        (&"python".parse().unwrap(), &"AP8".parse().unwrap())
    );
    assert_eq!(
        (&outcome.trailers["x-after"], &outcome.trailers["x-seen"]),
        (&"python".parse().unwrap(), &"through".parse().unwrap())
    );

    let points = [framed(0, b"\x08\x01"), framed(0, b"\x08\x02")];
    let outcome = exchange(front.address(), asked("RecordRoute"), &points, true).await;
    let at = if outcome.trailers.is_empty() { &outcome.headers } else { &outcome.trailers };
    assert_eq!(
        (&at["grpc-status"], &at["grpc-message"]),
        (&"5".parse().unwrap(), &"2 points, and none is here".parse().unwrap())
    );
    assert_eq!(at["grpc-status-details-bin"], "CAUSCG5vdCBoZXJl");

    let (sender, mut replies) = Client::connect(front.address()).await.route_chat().await.unwrap();
    for turn in 0..20 {
        sender.send(note(turn, turn, "and back")).await.unwrap();
        assert_eq!(replies.message().await.unwrap().unwrap(), note(turn, turn, "and back"));
    }
    drop(sender);
    assert!(replies.message().await.unwrap().is_none());

    behind.says("NOT_SERVING");
    wait_for_health(&front, ServingStatus::NotServing).await;
    assert_eq!(exchange(front.address(), request(), &[framed(0, b"")], true).await.status(), Some(14));
    behind.says("SERVING");
    wait_for_health(&front, ServingStatus::Serving).await;
    assert_eq!(exchange(front.address(), request(), &[framed(0, b"")], true).await.status(), Some(0));
}

/// What a client saw, but for what no two runs have in common.
fn seen(mut command: std::process::Command) -> Value {
    fn timeless(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("elapsed_time");
                fields.values_mut().for_each(timeless);
            }
            Value::Array(items) => items.iter_mut().for_each(timeless),
            _ => {}
        }
    }
    let mut seen = serde_json::from_str(&stdout(&command.output().unwrap())).unwrap();
    timeless(&mut seen);
    seen
}

#[test]
fn the_tutorial_s_clients_see_through_it_what_they_see_without() {
    let behind = start("");
    let front = front(&[behind.address()], "");
    if let Some(python) = tool("PYTHON") {
        let run = |address| seen(script(python.clone(), "python/tutorial_client.py", &[address]));
        assert_eq!(run(front.address()), run(behind.address()));
    }
    if let Some(modules) = tool("NODE_TOOLS") {
        let run = |address| {
            let mut command = script("node".into(), "node/tutorial_client.js", &[address]);
            command.env("NODE_TOOLS", &modules);
            seen(command)
        };
        assert_eq!(run(front.address()), run(behind.address()));
    }
}
