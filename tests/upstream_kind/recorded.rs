//! `record:`: what a server answers, another host answers by rules alone.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use ostler::proto::routeguide::Rectangle;
use prost::Message as _;
use tonic::Code;

use super::behind::{Behind, Call, asked, behind, fields, head};
use super::{LONDON, SCHEMA, SERVICE, front, yaml};
use crate::support::client::{Client, note, point, world};
use crate::support::wire::{Outcome, exchange, framed};
use crate::support::{Ostler, PATIENCE, Starter, start};

const RECORD: &str = "record: { file: recorded.yaml }";

fn file(front: &Ostler) -> PathBuf {
    front.folder().join("recorded.yaml")
}

/// What a front has recorded, as soon as these words are in it.
async fn recorded(front: &Ostler, words: &str) -> String {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(file(front)).unwrap_or_default();
        if text.contains(words) {
            return text;
        }
        assert!(std::time::Instant::now() < until, "no {words:?} in\n{text}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A host that has these rules and nothing else.
fn by_rules(recorded: &str) -> Ostler {
    let rules: String = recorded.lines().map(|line| format!("        {line}\n")).collect();
    let yaml = format!("services:\n  {SERVICE}:\n    schema: route_guide.proto\n    handler:\n      rules:\n{rules}");
    Starter::default().file("route_guide.proto", SCHEMA).start(&yaml)
}

#[tokio::test]
async fn the_rules_alone_answer_as_the_server_did() {
    let behind = start("");
    let recording = front(&[behind.address()], RECORD);
    let mut asked = Client::connect(recording.address()).await;
    let nowhere = Rectangle { lo: Some(point(1, 1)), hi: Some(point(2, 2)) };
    let mut places = Vec::new();
    for place in [point(LONDON.0, LONDON.1), point(1, 1), point(0, 0), point(-7, 0)] {
        places.push((place, asked.get_feature(place).await.unwrap()));
    }
    let all = asked.list_features(world()).await.unwrap();
    assert!(all.len() > 100);
    assert_eq!(asked.list_features(nowhere).await.unwrap(), []);
    asked.record_route(vec![point(1, 1)]).await.unwrap();
    asked.chat(vec![note(1, 1, "a")]).await.unwrap();
    recording.wait_for(0, "methods to which clients stream are not recorded");
    let text = recorded(&recording, "\"latitude\":-7").await;
    assert!(!text.contains("RecordRoute") && !text.contains("RouteChat"), "{text}");
    drop((recording, behind));

    let rules = by_rules(&text);
    let mut client = Client::connect(rules.address()).await;
    for (place, answer) in places {
        assert_eq!(client.get_feature(place).await.unwrap(), answer);
    }
    assert_eq!(client.list_features(world()).await.unwrap(), all);
    assert_eq!(client.list_features(nowhere).await.unwrap(), []);
    assert_eq!(client.get_feature(point(5, 5)).await.unwrap_err().code(), Code::Unimplemented);
}

/// What is said in answers below: text that rules and their file could take for more.
const TRICKY: &str = "=1 + \"${HOME}\" # it's \\ \n\t\u{7f}\u{2028}ü";

/// Details of a status: one that everybody knows, and one that nobody does.
fn details() -> String {
    let info = tonic_types::pb::ErrorInfo { reason: TRICKY.to_owned(), ..Default::default() };
    let any = |name: &str, value| prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value };
    let details = vec![any("google.rpc.ErrorInfo", info.encode_to_vec()), any("a.Secret", vec![255, 255])];
    BASE64.encode(tonic_types::pb::Status { code: 5, message: "not here".to_owned(), details }.encode_to_vec())
}

fn feature(name: &str) -> Vec<u8> {
    ostler::proto::routeguide::Feature { name: name.to_owned(), location: None }.encode_to_vec()
}

/// A server that answers by what it is asked.
async fn tricky() -> Behind {
    behind(|mut call: Call| async move {
        let method = call.head.uri.path().rsplit('/').next().unwrap().to_owned();
        let asked = call.read().await;
        let details = details();
        let failed = [
            ("grpc-status", "5"),
            ("grpc-message", "%3Dnot%20here"),
            ("grpc-status-details-bin", details.as_str()),
            ("x-why", "=because"),
        ];
        match (method.as_str(), asked[5..].is_empty()) {
            ("GetFeature", true) => {
                let _ = call.respond.send_response(head(&failed), true);
            }
            ("GetFeature", false) => {
                let metadata = [("x-ahead", "=1"), ("x-ahead-bin", "AAEC/w"), ("date", "now"), ("set-cookie", "a=b")];
                let metadata = [&metadata[..], &[("grpc-encoding", "gzip")]].concat();
                let mut sending = call.respond.send_response(head(&metadata), false).unwrap();
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(&feature(TRICKY)).unwrap();
                let _ = sending.send_data(framed(1, &encoder.finish().unwrap()), false);
                let _ = sending.send_trailers(fields(&[("grpc-status", "0"), ("x-after", "${HOME}")]));
            }
            _ => {
                let mut sending = call.respond.send_response(head(&[("x-ahead", "1")]), false).unwrap();
                let _ = sending.send_data(framed(0, &feature("one")), false);
                let _ = sending.send_data(framed(0, &feature("two")), false);
                let _ = sending.send_trailers(fields(&failed));
            }
        }
    })
    .await
}

/// A call with a secret beside it.
async fn called(host: &Ostler, method: &str, request: &[u8]) -> Outcome {
    let asked = asked(method).header("authorization", "Bearer opensesame").header("grpc-accept-encoding", "gzip");
    exchange(host.address(), asked, &[framed(0, request)], true).await
}

/// A status as its client reads it, without what nobody knows.
fn told(outcome: &Outcome) -> (tonic::Status, Vec<prost_types::Any>) {
    let at = if outcome.trailers.is_empty() { &outcome.headers } else { &outcome.trailers };
    let status = tonic::Status::from_header_map(at).unwrap();
    let details = tonic_types::pb::Status::decode(status.details()).unwrap().details;
    (status, details.into_iter().filter(|any| any.type_url.contains("google.rpc")).collect())
}

#[tokio::test]
async fn metadata_failures_and_tricky_texts_are_told_and_secrets_are_not() {
    let server = tricky().await;
    let recording = front(&[&server.address], RECORD);
    for (method, request) in [("GetFeature", &b""[..]), ("GetFeature", b"\x08\x07"), ("ListFeatures", b"")] {
        assert!(called(&recording, method, request).await.status().is_some());
    }
    let folder = recording.folder().to_owned();
    recorded(&recording, "ListFeatures").await;
    let text = std::fs::read_to_string(folder.join("recorded.yaml")).unwrap();
    for absent in ["opensesame", "set-cookie", "\"date\"", "grpc-", "content-type", "a.Secret"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }

    let rules = by_rules(&text);
    let answered = called(&rules, "GetFeature", b"\x08\x07").await;
    assert_eq!((answered.status(), &answered.body[5..]), (Some(0), &feature(TRICKY)[..]), "{text}");
    assert_eq!(
        (&answered.headers["x-ahead"], &answered.headers["x-ahead-bin"]),
        (&"=1".parse().unwrap(), &"AAEC/w".parse().unwrap())
    );
    assert_eq!(answered.trailers["x-after"], "${HOME}");
    for (method, body) in
        [("GetFeature", vec![]), ("ListFeatures", [framed(0, &feature("one")), framed(0, &feature("two"))].concat())]
    {
        let answered = called(&rules, method, b"").await;
        assert_eq!(answered.body, body, "{method}: {text}");
        let (status, details) = told(&answered);
        assert_eq!((status.code(), status.message()), (Code::NotFound, "=not here"));
        assert_eq!(status.metadata().get("x-why").unwrap(), "=because");
        assert_eq!(details.len(), 1);
        let info = tonic_types::pb::ErrorInfo::decode(details[0].value.as_slice()).unwrap();
        assert_eq!(info.reason, TRICKY);
    }
}

#[tokio::test]
async fn the_same_request_has_its_last_answer_and_the_oldest_go_where_there_are_too_many() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = behind(move |mut call: Call| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            call.read().await;
            let mut sending = call.respond.send_response(head(&[]), false).unwrap();
            let _ = sending.send_data(framed(0, &feature(&format!("answer {number}"))), false);
            let _ = sending.send_trailers(fields(&[("grpc-status", "0")]));
        }
    })
    .await;
    let recording = front(&[&server.address], "record: { file: recorded.yaml, calls: 2 }");
    // Of these, the first goes, and the second is asked for again.
    for latitude in [1, 2, 3, 2] {
        called(&recording, "GetFeature", &point(latitude, 0).encode_to_vec()).await;
    }
    let text = recorded(&recording, "answer 3").await;
    assert!(text.contains("answer 2") && !text.contains("answer 1") && !text.contains("answer 0"), "{text}");

    // One that is too long is told of, and passes all the same.
    let long = ostler::proto::routeguide::RouteNote { message: "x".repeat(2 << 20), location: None }.encode_to_vec();
    assert_eq!(called(&recording, "GetFeature", &long).await.status(), Some(0));
    called(&recording, "GetFeature", &point(4, 0).encode_to_vec()).await;
    assert_eq!(recording.wait_for(0, "calls were not recorded")["calls"], 1);
}

#[tokio::test]
async fn a_recording_goes_on_over_a_reload_and_is_whole_when_the_host_has_stopped() {
    let behind = start("");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.yaml");
    let settings = format!("record: {{ file: '{}' }}", file.display());
    let recording = front(&[behind.address()], &settings);
    let mut client = Client::connect(recording.address()).await;
    client.get_feature(point(1, 1)).await.unwrap();
    // Once it is written, the next is due a second later, and the end comes first.
    let until = std::time::Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(recording.reload(&yaml(&[behind.address()], &format!("{settings}\ntimeout: 20s"))));
    client.get_feature(point(2, 2)).await.unwrap();
    drop(client);
    assert!(tokio::task::spawn_blocking(move || recording.stop()).await.unwrap().success());
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\"latitude\":1,") && text.contains("\"latitude\":2,"), "{text}");
}
