//! The entrance, row by row: what is turned away and how, what is cut off, and
//! that nobody else notices.

use std::io::Write as _;

use bytes::Bytes;
use prost::Message as _;

use crate::support::client::{Client, note, point, world};
use crate::support::tools::{script, tool};
use crate::support::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PING, PREFACE, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Wire, block, call, exchange, frame, framed,
};
use crate::support::{Ostler, PATIENCE, Starter, start, stdout};

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
    let outcome = unary(&host, call("GetFeature")).await;
    assert_eq!(outcome.head(), (200, Some(RESOURCE_EXHAUSTED)));
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

/// A connection that is closed by the host without an answer.
fn is_cut_off(host: &Ostler, say: &[u8]) {
    let mut wire = Wire::connect(host.address());
    assert!(wire.send(say));
    wire.closed();
}

#[tokio::test]
async fn a_peer_that_does_not_get_to_the_point_is_cut_off() {
    let host = start("limits: { handshake: 200ms }\n");
    is_cut_off(&host, b"");
    is_cut_off(&host, &PREFACE[..10]);
    is_cut_off(&host, PREFACE);
    is_cut_off(&host, &[PREFACE, &frame(SETTINGS, 0, 0, &[])[..5]].concat());
    is_cut_off(&host, &[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 0, 1, &block("/a/b"))].concat());
    is_cut_off(&host, b"GET / HTTP/1.1\r\nHost: ostler\r\n\r\n");
    is_cut_off(&host, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    answers(&host).await;
}

#[tokio::test]
async fn floods_end_their_connection_and_no_other() {
    let host = start("");
    let mut neighbour = Client::connect(host.address()).await;
    let open = || Wire::open(host.address());
    let floods = [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("an unknown kind", frame(0xbe, 0, 0, b"?")),
    ];
    for (name, bytes) in floods {
        println!("{name}");
        open().flood(&bytes, 100_000);
        neighbour.get_feature(point(0, 0)).await.unwrap();
    }
    let mut wire = open();
    assert!(wire.send(&frame(HEADERS, 0, 1, &block("/a/b"))));
    wire.flood(&frame(CONTINUATION, 0, 1, &[]), 100_000);
    let mut wire = open();
    assert!(wire.send(&frame(HEADERS, END_HEADERS, 1, &block("/routeguide.RouteGuide/RecordRoute"))));
    wire.flood(&frame(DATA, 0, 1, &[]), 100_000);
    neighbour.get_feature(point(0, 0)).await.unwrap();

    let mut wire = open();
    let head = block("/routeguide.RouteGuide/RouteChat");
    for turn in 0..5_000u32 {
        let stream = turn * 2 + 1;
        let pair = [frame(HEADERS, END_HEADERS, stream, &head), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat();
        if !wire.send(&pair) {
            break;
        }
    }
    wire.closed();
    assert_eq!(neighbour.get_feature(point(515_083_333, -1_252_778)).await.unwrap().name, "London, GB");
}

#[tokio::test]
async fn a_stream_over_the_limit_is_refused_and_never_run() {
    let host = start("limits: { calls_per_connection: 3 }\n");
    let mut wire = Wire::open(host.address());
    for stream in [1, 3, 5, 7] {
        let head = frame(HEADERS, END_HEADERS, stream, &block("/routeguide.RouteGuide/RouteChat"));
        assert!(wire.send(&head));
    }
    let refused = loop {
        match wire.next().expect("the connection lives on") {
            (RST_STREAM, _, stream, payload) => break (stream, payload),
            (SETTINGS, 0, _, payload) => {
                let announced = payload.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 3]);
                assert!(announced, "the limit is announced: {payload:?}");
            }
            _ => {}
        }
    };
    assert_eq!(refused, (7, vec![0, 0, 0, 7]), "REFUSED_STREAM");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let host = start("limits: { connections_per_ip: 2 }\n");
    let mut first = Client::connect(host.address()).await;
    first.get_feature(point(0, 0)).await.unwrap();
    let second = Wire::open(host.address());
    Wire::connect(host.address()).closed();
    first.get_feature(point(0, 0)).await.unwrap();
    drop(second);
    let mut turns = 0;
    // The place of a connection that has gone is free as soon as the host notices.
    loop {
        let mut wire = Wire::connect(host.address());
        wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        if wire.next().is_some() {
            break;
        }
        turns += 1;
        assert!(turns < 1_000);
    }
}

/// A host with more features than any buffer between it and a client holds.
pub fn large(with: Starter, settings: &str) -> Ostler {
    let name = "x".repeat(200);
    let entries: Vec<String> =
        (0..20_000).map(|at| format!(r#"{{"name":"{name}","location":{{"latitude":{at}}}}}"#)).collect();
    with.file("large.json", &format!("[{}]", entries.join(","))).start(&format!(
        "{settings}services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ features: {{ file: large.json }} }} }} }} }}\n"
    ))
}

#[tokio::test]
async fn an_answer_nobody_takes_is_given_up() {
    let host = large(Starter::default(), "limits: { write_stall: 300ms }\n");
    let mut client = Client::connect(host.address()).await;
    client.get_feature(point(0, 0)).await.unwrap();
    let before = sockets_of(&host);
    let list = [
        frame(HEADERS, END_HEADERS, 1, &block("/routeguide.RouteGuide/ListFeatures")),
        frame(DATA, END_STREAM, 1, &framed(0, &world().encode_to_vec())),
    ]
    .concat();
    // The stream's window is used up and never renewed.
    let mut wire = Wire::open(host.address());
    assert!(wire.send(&list));
    let reset = std::iter::from_fn(|| wire.next()).find(|(kind, ..)| *kind == RST_STREAM);
    assert_eq!(reset.map(|(_, _, stream, _)| stream), Some(1), "the stream is reset and the connection lives");
    drop(wire);
    let mut wire = Wire::connect(host.address());
    assert!(wire.send(&greedy()));
    let deadline = std::time::Instant::now() + PATIENCE;
    while sockets_of(&host) > before {
        client.get_feature(point(0, 0)).await.unwrap();
        assert!(std::time::Instant::now() < deadline, "the connection that reads nothing is not closed");
    }
    drop(wire);
}

/// Open sockets of the host.
/// A client that asks for all there is twenty times, with windows as wide as
/// they come.
pub fn greedy() -> Vec<u8> {
    let wide = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let more = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    let lists = (0..20).flat_map(|call| {
        [
            frame(HEADERS, END_HEADERS, call * 2 + 1, &block("/routeguide.RouteGuide/ListFeatures")),
            frame(DATA, END_STREAM, call * 2 + 1, &framed(0, &world().encode_to_vec())),
        ]
    });
    [PREFACE.to_vec(), wide, more].into_iter().chain(lists).flatten().collect()
}

pub fn sockets_of(host: &Ostler) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", host.pid()))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[tokio::test]
async fn an_old_connection_is_asked_to_go_and_its_calls_end_first() {
    let host = start("limits: { age: 200ms }\n");
    let mut wire = Wire::open(host.address());
    assert!(wire.send(&frame(HEADERS, END_HEADERS, 1, &block("/routeguide.RouteGuide/RouteChat"))));
    let goaway = std::iter::from_fn(|| wire.next()).find(|(kind, ..)| *kind == GOAWAY).unwrap();
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
