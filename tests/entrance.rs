//! The entrance, row by row: what is turned away and how, what is cut off, and
//! that nobody else notices.

use std::io::Write as _;

use bytes::Bytes;
use prost::Message as _;

use crate::support::client::{Client, note, point};
use crate::support::tools::{script, tool};
use crate::support::wire::{DATA, END_STREAM, GOAWAY, Outcome, Wire, call, exchange, frame, framed, opened};
use crate::support::{Ostler, start, stdout};

const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const RESOURCE_EXHAUSTED: u8 = 8;
const DEADLINE_EXCEEDED: u8 = 4;

fn london() -> Bytes {
    framed(0, &point(515_083_333, -1_252_778).encode_to_vec())
}

async fn unary(host: &Ostler, request: http::request::Builder) -> Outcome {
    exchange(host.address(), request, &[london()], true).await
}

/// A host still answers, on a connection of its own.
async fn answers(host: &Ostler) {
    let mut client = Client::connect(host.address()).await;
    assert_eq!(client.get_feature(point(515_083_333, -1_252_778)).await.unwrap().name, "London, GB");
}

#[tokio::test]
async fn what_is_no_canonical_call_is_answered_as_the_protocol_has_it() {
    let host = start("");
    let uri = |path: &str| call("GetFeature").uri(format!("http://ostler{path}"));
    for path in [
        "//routeguide.RouteGuide/GetFeature",
        "/routeguide.RouteGuide/GetFeature/",
        "/routeguide.RouteGuide/GetFeature?x=1",
        "/routeguide.RouteGuide/%47etFeature",
        "/x/../routeguide.RouteGuide/GetFeature",
        "/routeguide.routeguide/GetFeature",
        "/routeguide.RouteGuide/getFeature",
        "/routeguide.RouteGuide",
        "/no.such.Service/Method",
    ] {
        assert_eq!(unary(&host, uri(path)).await.head(), (200, Some(UNIMPLEMENTED)), "{path}");
    }
    assert_eq!(unary(&host, call("GetFeature").method("PUT")).await.head(), (405, Some(INTERNAL)));
    assert_eq!(
        exchange(host.address(), call("GetFeature").method("GET"), &[], true).await.head(),
        (405, Some(INTERNAL))
    );
    let foreign = http::Request::post("http://ostler/routeguide.RouteGuide/GetFeature");
    assert_eq!(unary(&host, foreign).await.head(), (415, None));
    let without_te = http::Request::post("http://ostler/routeguide.RouteGuide/GetFeature")
        .header("content-type", "application/grpc");
    assert_eq!(unary(&host, without_te).await.status(), Some(0), "`te` is not insisted on");
    assert_eq!(unary(&host, call("GetFeature").header("host", "other")).await.head(), (400, Some(INTERNAL)));
    assert_eq!(unary(&host, call("GetFeature").header("x-bin", "!")).await.head(), (400, Some(INTERNAL)));
    for timeout in ["", "1", "S", "+1S", "1 S", "1.5S", "123456789S"] {
        let outcome = unary(&host, call("GetFeature").header("grpc-timeout", timeout)).await;
        assert_eq!(outcome.head(), (400, Some(INTERNAL)), "{timeout:?}");
        assert_eq!(outcome.headers["grpc-message"], "malformed%20grpc-timeout");
    }
    let twice = call("GetFeature").header("grpc-timeout", "1S").header("grpc-timeout", "1S");
    assert_eq!(unary(&host, twice).await.head(), (400, Some(INTERNAL)), "said twice");
    let long = format!("/{}/M", "x".repeat(1_000));
    let outcome = unary(&host, uri(&long)).await;
    assert!(outcome.headers["grpc-message"].len() <= 256, "little of the input is sent back");
}

#[tokio::test]
async fn unknown_services_and_unknown_methods_are_told_apart() {
    let host = start("");
    let words = |outcome: Outcome| outcome.headers["grpc-message"].to_str().unwrap().replace("%20", " ");
    let service = unary(&host, call("").uri("http://ostler/no.such.Service/Method")).await;
    assert_eq!(words(service), "unknown service no.such.Service");
    let own = unary(&host, call("").uri("http://ostler/grpc.health.v1.Health/NoSuch")).await;
    assert_eq!(words(own), "unknown method NoSuch of service grpc.health.v1.Health");
    let method = unary(&host, call("NoSuch")).await;
    assert_eq!(words(method), "unknown method NoSuch of service routeguide.RouteGuide");
}

#[tokio::test]
async fn broken_messages_have_their_codes() {
    let host = start("");
    let send = async |method: &str, body: &[Bytes]| exchange(host.address(), call(method), body, true).await.status();
    let point = point(1, 2).encode_to_vec();
    assert_eq!(send("GetFeature", &[framed(2, &point)]).await, Some(INTERNAL), "a flag that is neither 0 nor 1");
    assert_eq!(send("GetFeature", &[framed(1, &point)]).await, Some(INTERNAL), "compressed without an encoding");
    assert_eq!(send("GetFeature", &[Bytes::from_static(&[0, 0, 0])]).await, Some(INTERNAL), "a truncated prefix");
    assert_eq!(
        send("GetFeature", &[Bytes::from_static(&[0, 0, 0, 0, 9, 8])]).await,
        Some(INTERNAL),
        "a truncated message"
    );
    assert_eq!(
        send("GetFeature", &[framed(0, &point), Bytes::from_static(&[0])]).await,
        Some(INTERNAL),
        "a trailing byte"
    );
    assert_eq!(send("GetFeature", &[framed(0, &[0x08, 0xff])]).await, Some(INTERNAL), "a bad varint");
    assert_eq!(send("GetFeature", &[framed(0, &[0x0a, 0x01, 0x00])]).await, Some(INTERNAL), "a wrong wire type");
    assert_eq!(
        send("RouteChat", &[framed(0, &[0x12, 0x02, 0xff, 0xfe])]).await,
        Some(INTERNAL),
        "text that is no UTF-8"
    );
    assert_eq!(send("GetFeature", &[]).await, Some(UNIMPLEMENTED), "a unary call without its message");
    assert_eq!(send("GetFeature", &[london(), london()]).await, Some(UNIMPLEMENTED), "a unary call with two");
    assert_eq!(send("ListFeatures", &[]).await, Some(UNIMPLEMENTED));
    assert_eq!(send("RecordRoute", &[]).await, Some(0), "a stream of none is a stream");
    answers(&host).await;
}

#[tokio::test]
async fn messages_over_the_bound_are_refused_from_their_prefix_alone_and_once_inflated() {
    let host = start("");
    let too_large = Bytes::from_static(&[0, 0, 1, 0, 1]);
    let outcome = exchange(host.address(), call("RouteChat"), std::slice::from_ref(&too_large), false).await;
    assert_eq!(outcome.status(), Some(RESOURCE_EXHAUSTED), "65,537 bytes announced, none sent");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![0; 16 << 20]).unwrap();
    let bomb = framed(1, &gzip.finish().unwrap());
    assert!(bomb.len() < 64 << 10);
    let gzipped = |method: &str| call(method).header("grpc-encoding", "gzip");
    let outcome = exchange(host.address(), gzipped("GetFeature"), &[bomb], true).await;
    assert_eq!(outcome.status(), Some(RESOURCE_EXHAUSTED));
    let outcome = exchange(host.address(), gzipped("GetFeature"), &[framed(1, b"no gzip at all")], true).await;
    assert_eq!(outcome.status(), Some(INTERNAL));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&point(515_083_333, -1_252_778).encode_to_vec()).unwrap();
    let outcome = exchange(host.address(), gzipped("GetFeature"), &[framed(1, &gzip.finish().unwrap())], true).await;
    assert!(outcome.status() == Some(0) && String::from_utf8_lossy(&outcome.body).contains("London"), "{outcome:?}");
    let outcome = unary(&host, call("GetFeature").header("grpc-encoding", "snappy")).await;
    assert_eq!(outcome.status(), Some(UNIMPLEMENTED));
    assert!(outcome.headers["grpc-accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn deadlines_hold_on_every_kind_of_call() {
    let host = start("");
    let soon = |method: &str| call(method).header("grpc-timeout", "150m");
    let outcome = exchange(host.address(), call("GetFeature").header("grpc-timeout", "0n"), &[london()], true).await;
    assert_eq!(outcome.head(), (200, Some(DEADLINE_EXCEEDED)), "already over: the handler is not run");
    for method in ["GetFeature", "ListFeatures", "RecordRoute"] {
        let outcome = exchange(host.address(), soon(method), &[], false).await;
        assert_eq!(outcome.head(), (200, Some(DEADLINE_EXCEEDED)), "{method}: before headers");
    }
    let notes = framed(0, &note(1, 1, "x").encode_to_vec());
    let outcome = exchange(host.address(), soon("RouteChat"), &[notes.clone(), notes], false).await;
    assert_eq!(outcome.status(), Some(DEADLINE_EXCEEDED), "in the middle of a stream");
    assert!(!outcome.body.is_empty() && outcome.trailers.contains_key("grpc-status"), "after what was said before it");
    let far = call("GetFeature").header("grpc-timeout", "99999999H");
    assert_eq!(unary(&host, far).await.status(), Some(0), "a deadline nobody lives to see");
}

#[tokio::test]
async fn a_unary_call_has_a_bound_of_the_hosts_own() {
    let host = start("limits: { unary_message: 150ms }\n");
    let outcome = exchange(host.address(), call("GetFeature"), &[], false).await;
    assert_eq!(outcome.status(), Some(DEADLINE_EXCEEDED), "a message that never comes");
    let host = start("limits: { unary: 150ms }\n");
    let outcome = exchange(host.address(), call("GetFeature").header("grpc-timeout", "1H"), &[], false).await;
    assert_eq!(outcome.status(), Some(DEADLINE_EXCEEDED), "however long the client would wait");
}

#[tokio::test]
async fn calls_over_the_limit_are_shed_and_health_still_answers() {
    let host = start("limits: { calls: 2 }\n");
    let mut client = Client::connect(host.address()).await;
    let first = client.route_chat().await.unwrap();
    let _second = client.route_chat().await.unwrap();
    let mark = host.mark();
    let outcome = unary(&host, call("GetFeature")).await;
    assert_eq!(outcome.head(), (200, Some(RESOURCE_EXHAUSTED)));
    assert_eq!(host.wait_for(mark, "turned away")["calls"], 1, "the operator hears of it");
    let pushback: u32 = outcome.headers["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
    assert!(pushback > 0);
    let health =
        http::Request::post("http://ostler/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
    assert_eq!(exchange(host.address(), health, &[framed(0, &[])], true).await.status(), Some(0));
    // A stream that is gone has given its place back; the client tells the host in its own time.
    drop(first);
    let mut turns = 0;
    while unary(&host, call("GetFeature")).await.status() != Some(0) {
        turns += 1;
        assert!(turns < 1_000, "the place of a cancelled call is not given back");
    }
}

#[tokio::test]
async fn calls_from_one_address_are_bounded_too() {
    let host = start("limits: { calls_per_ip: 1 }\n");
    let mut client = Client::connect(host.address()).await;
    let _chat = client.route_chat().await.unwrap();
    let outcome = unary(&host, call("GetFeature")).await;
    assert_eq!(outcome.head(), (200, Some(RESOURCE_EXHAUSTED)));
    assert!(outcome.headers["grpc-message"].to_str().unwrap().contains("from%20this%20address"));
    assert!(outcome.headers.contains_key("grpc-retry-pushback-ms"));
}

#[tokio::test]
async fn a_message_that_comes_in_pieces_finds_room_for_all_of_it_or_its_call_ends() {
    let host = start("limits: { buffered: 100KiB }\n");
    let begun = framed(0, &[0; 60_000]).slice(..10);
    let mut first = Wire::open(host.address());
    let whole = framed(0, &note(1, 1, "a").encode_to_vec());
    let body = [&whole[..], &whole, &begun].concat();
    assert!(first.send(&[opened(1, "RouteChat"), frame(DATA, 0, 1, &body)].concat()));
    first.next_of(DATA).expect("the second note's reply, by when all three have been seen");

    let second = exchange(host.address(), call("RecordRoute"), std::slice::from_ref(&begun), false).await;
    assert_eq!(second.status(), Some(RESOURCE_EXHAUSTED));
    answers(&host).await;

    drop(first);
    let mut turns = 0;
    // Where there is room, the half of a message is told for what it is.
    while exchange(host.address(), call("RecordRoute"), std::slice::from_ref(&begun), true).await.status()
        != Some(INTERNAL)
    {
        turns += 1;
        assert!(turns < 1_000, "the room of a call that is gone is not given back");
    }
}

#[test]
fn a_connection_without_calls_is_asked_to_go_and_one_with_a_call_is_not() {
    let host = start("limits: { idle: 100ms }\n");
    let mut busy = Wire::open(host.address());
    assert!(busy.round(&opened(1, "RouteChat")).is_ok());
    let mut idle = Wire::open(host.address());
    let goaway = idle.next_of(GOAWAY).unwrap();
    assert_eq!(goaway.3[4..8], [0, 0, 0, 0], "NO_ERROR");
    idle.closed();
    assert!(busy.round(&[]).unwrap().iter().all(|(kind, ..)| *kind != GOAWAY));
}

#[tokio::test]
async fn an_old_connection_is_asked_to_go_and_its_calls_end_first() {
    let host = start("limits: { age: 200ms }\n");
    let mut wire = Wire::open(host.address());
    assert!(wire.send(&opened(1, "RouteChat")));
    let goaway = wire.next_of(GOAWAY).unwrap();
    assert_eq!(goaway.3[4..8], [0, 0, 0, 0], "NO_ERROR");
    let body = [framed(0, &note(1, 1, "a").encode_to_vec()), framed(0, &note(1, 1, "b").encode_to_vec())].concat();
    assert!(wire.send(&frame(DATA, END_STREAM, 1, &body)), "a call under way goes on");
    let data = std::iter::from_fn(|| wire.next()).find(|(kind, _, stream, _)| (*kind, *stream) == (DATA, 1)).unwrap();
    assert!(data.3.ends_with(b"a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_thousand_notes_to_a_reader_that_reads_nothing_lose_no_connection() {
    // The handler stalls because its replies are not read, and the notes pile
    // up as tiny DATA frames: what h2 would call too_many_data_frames.
    const NOTES: i32 = 60_000;
    let host = start(
        "services: { routeguide.RouteGuide: { handler: { route_guide: { chat: { send_back: true, keep: { notes_per_place: 1 } } } } } }\n",
    );
    let mut client = Client::connect(host.address()).await;
    let (sender, mut replies) = client.route_chat().await.unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..NOTES {
            sender.send(note(number % 1_000, 1, "")).await.unwrap();
        }
    });
    client.get_feature(point(0, 0)).await.expect("the connection lives while the chat is stuck");
    let mut count = 0;
    while replies.message().await.expect("the chat is never cut off").is_some() {
        count += 1;
    }
    sending.await.unwrap();
    assert!(count >= NOTES, "every note was answered: {count}");
}

#[test]
fn h2spec_finds_no_fault() {
    let Some(h2spec) = tool("H2SPEC") else { return };
    let host = start("");
    let (ip, port) = host.address().split_once(':').unwrap();
    let output = std::process::Command::new(h2spec).args(["-h", ip, "-p", port, "--strict"]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && report.contains(", 0 failed"), "{report}");
}

/// As above, by clients of other makes.
#[test]
fn tens_of_thousands_of_tiny_notes_from_other_clients_lose_no_connection() {
    const NOTES: u64 = 30_000;
    let yaml = "services: { routeguide.RouteGuide: { handler: { route_guide: { chat: { send_back: true, keep: { notes_per_place: 1 } } } } } }\n";
    let told = |command: &mut std::process::Command| -> u64 {
        let report: serde_json::Value = serde_json::from_str(&stdout(&command.output().unwrap())).unwrap();
        report["replies"].as_u64().unwrap()
    };
    let count = NOTES.to_string();
    if let Some(python) = tool("PYTHON") {
        let host = start(yaml);
        let replies = told(&mut script(python, "python/stall.py", &[host.address(), &count]));
        assert!(replies >= NOTES, "{replies}");
    }
    if let Some(modules) = tool("NODE_TOOLS") {
        let host = start(yaml);
        let mut node = script("node".into(), "node/stall.js", &[host.address(), &count]);
        let replies = told(node.env("NODE_TOOLS", modules));
        assert!(replies >= NOTES, "{replies}");
    }
    if let Some(go) = tool("GRPC_GO") {
        let host = start(yaml);
        let replies = told(std::process::Command::new(go).args([host.address(), &count]));
        assert!(replies >= NOTES, "{replies}");
    }
}
