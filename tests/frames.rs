//! Connections and frames, row by row: what a peer may send that is no call,
//! and what becomes of it. Floods, and what they cost, are in `floods`.

mod floods;

use std::time::{Duration, Instant};

use prost::Message as _;

use crate::support::client::{Client, point, world};
use crate::support::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, REFUSED_STREAM, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Wire, block, call, exchange, frame, framed, literal, opened, reason,
};
use crate::support::{Ostler, PATIENCE, Starter, start};

/// A host still answers, on a connection of its own.
async fn answers(host: &Ostler) {
    let mut client = Client::connect(host.address()).await;
    client.get_feature(point(0, 0)).await.unwrap();
}

/// Waits until something has come about at the host.
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether there is a place for one connection more.
fn has_place(host: &Ostler) -> bool {
    let mut wire = Wire::connect(host.address());
    wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    wire.next().is_some()
}

/// As [`a_peer_that_does_not_get_to_the_point_is_cut_off`] over TLS: tls/limits.rs.
#[tokio::test]
async fn a_peer_that_does_not_get_to_the_point_is_cut_off() {
    const DUE: Duration = Duration::from_millis(200);
    let host = start("limits: { handshake: 200ms }\n");
    let settings = frame(SETTINGS, 0, 0, &[]);
    for (what, bytes) in [
        ("silent", vec![]),
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface without settings", PREFACE.to_vec()),
        ("settings that break off", [PREFACE, &settings[..5]].concat()),
        ("another frame before the settings", [PREFACE, &frame(PING, 0, 0, &[0; 3])[..9]].concat()),
        ("a header block left open", [PREFACE, &settings, &frame(HEADERS, 0, 1, &block("/a/b"))].concat()),
    ] {
        let begun = Instant::now();
        let mut wire = Wire::connect(host.address());
        assert!(wire.send(&bytes));
        wire.closed();
        println!("{what}: closed after {:.1?}", begun.elapsed());
        assert!(begun.elapsed() >= DUE, "{what}");
    }
    answers(&host).await;
}

#[tokio::test]
async fn another_protocol_is_closed_and_runs_nothing() {
    let host = start("");
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: ostler\r\n\r\n"[..],
        b"POST /routeguide.RouteGuide/GetFeature HTTP/1.1\r\nHost: ostler\r\nUpgrade: h2c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no ClientHello on a plain port",
    ] {
        let mut wire = Wire::connect(host.address());
        assert!(wire.send(bytes));
        // HTTP/2's own words at most, and no answer to a call among them.
        assert!(wire.closed().iter().all(|(kind, ..)| [SETTINGS, WINDOW_UPDATE, GOAWAY].contains(kind)));
    }
    answers(&host).await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    for (limit, counted) in [("connections", "full"), ("connections_per_ip", "full_for_address")] {
        let host = start(&format!("limits: {{ {limit}: 2 }}\n"));
        let mark = host.mark();
        let mut first = Client::connect(host.address()).await;
        first.get_feature(point(0, 0)).await.unwrap();
        let mut second = Wire::open(host.address());
        assert!(second.next().is_some());
        assert!(Wire::connect(host.address()).closed().is_empty(), "{limit}");
        assert_eq!(host.wait_for(mark, "turned away")[counted], 1);
        first.get_feature(point(0, 0)).await.unwrap();
        drop(second);
        // The place of a connection that has gone is free as soon as the host notices.
        wait_until("a place is given back", || has_place(&host));
    }
}

#[tokio::test]
async fn a_connection_keeps_its_place_until_it_is_closed() {
    let host = start("limits: { connections_per_ip: 4 }\n");
    let before = host.sockets();
    // Sent away with a word, and listened to for a while so that the word arrives.
    let sent_away: Vec<Wire> = (0..100)
        .map(|_| {
            let mut wire = Wire::connect(host.address());
            wire.send(b"GET / HTTP/1.1\r\nHost: ostler\r\n\r\n");
            wire.closed();
            wire
        })
        .collect();
    // One more may be on its way out.
    assert!(host.sockets() <= before + 5, "{} sockets", host.sockets() - before);
    drop(sent_away);
    wait_until("places are given back", || has_place(&host));
}

#[tokio::test]
async fn a_host_without_descriptors_rests_says_so_and_serves_again() {
    const DESCRIPTORS: u32 = 40;
    let host = Starter::default().descriptors(DESCRIPTORS).start("");
    let mark = host.mark();
    let mut kept = Wire::open(host.address());
    assert!(kept.round(&[]).is_ok());
    let begun = Instant::now();
    let crowd: Vec<Wire> = (0..2 * DESCRIPTORS).map(|_| Wire::connect(host.address())).collect();
    let before = host.cpu();
    let mut line = mark;
    for _ in 0..3 {
        line = host.wait_for_line(line, "connections cannot be accepted") + 1;
    }
    let ran = host.cpu() - before;
    assert!(kept.round(&[]).is_ok(), "who is in is served");
    let (lines, seconds) = (host.mark() - mark, begun.elapsed().as_secs_f64());
    println!("out of descriptors for {seconds:.1} s: {lines} lines, {ran:.1?} of CPU");
    assert!(lines as f64 <= seconds + 2.0, "about a line a second: {}", host.log());
    assert!(ran < begun.elapsed() / 4, "it does not spin: {ran:?}");
    drop(crowd);
    answers(&host).await;
}

#[test]
fn a_peer_that_has_vanished_is_closed_and_one_that_is_only_quiet_is_not() {
    let host = start("limits: { keepalive: 50ms, keepalive_answer: 3s }\n");
    let mut vanished = Wire::open(host.address());
    let mut quiet = Wire::open(host.address());
    for _ in 0..10 {
        let (.., asked) = quiet.next_of(PING).expect("a quiet connection lives");
        assert!(quiet.send(&frame(PING, ACK, 0, &asked)));
    }
    let frames = vanished.closed();
    assert_eq!(frames.iter().filter(|(kind, flags, ..)| (*kind, *flags) == (PING, 0)).count(), 1, "asked once");
    assert!(quiet.round(&[]).is_ok());
}

#[test]
fn a_peer_that_vanishes_does_not_keep_a_host_from_stopping() {
    let host = start("limits: { keepalive: 50ms, keepalive_answer: 500ms }\nshutdown: { drain: 10m }\n");
    let mut vanished = Wire::open(host.address());
    assert!(vanished.round(&opened(1, "RouteChat")).is_ok());
    assert_eq!(host.stop().code(), Some(0));
}

#[test]
fn a_stream_over_the_limit_is_refused_and_never_run() {
    let host = start("limits: { calls_per_connection: 3 }\n");
    let mut wire = Wire::open(host.address());
    let (.., settings) = wire.next_of(SETTINGS).unwrap();
    assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 3]), "the limit is announced: {settings:?}");
    assert!(wire.send(&(0..4).flat_map(|turn| opened(turn * 2 + 1, "RouteChat")).collect::<Vec<u8>>()));
    let mut run = Vec::new();
    let mut refused = Vec::new();
    while run.len() + refused.len() < 4 {
        match wire.next().expect("the connection lives on") {
            (HEADERS, _, stream, _) => run.push(stream),
            frame @ (RST_STREAM, ..) => refused.push((frame.2, reason(&frame))),
            _ => {}
        }
    }
    assert_eq!((run, refused), (vec![1, 3, 5], vec![(7, REFUSED_STREAM)]));
}

#[test]
fn a_burst_of_ten_thousand_streams_runs_no_more_calls_than_may_be() {
    const PLACES: usize = 100;
    let host = start("");
    let mut first = Wire::open(host.address());
    assert!(first.round(&opened(1, "RouteChat")).is_ok());
    let before = host.resident_bytes();
    // The host has seen enough before the last of ten thousand, and closes.
    for (streams, ends) in [(1_000, false), (10_000, true)] {
        let mut wire = Wire::open(host.address());
        wire.send(&(0..streams).flat_map(|turn| opened(turn * 2 + 1, "RouteChat")).collect::<Vec<u8>>());
        let (mut run, mut refused) = (0, 0);
        while ends || run + refused < streams as usize {
            match wire.next() {
                Some((HEADERS, ..)) => run += 1,
                Some(frame @ (RST_STREAM, ..)) if reason(&frame) == REFUSED_STREAM => refused += 1,
                Some(_) => {}
                None => break,
            }
        }
        println!("{streams} streams: {run} run, {refused} refused");
        assert!(run <= PLACES && refused >= streams.min(1_000) as usize - PLACES, "{run} run, {refused} refused");
        assert!(ends || run == PLACES);
    }
    let grown = host.peak_bytes().saturating_sub(before);
    println!("{:.1} MiB more at most", grown as f64 / 1048576.0);
    assert!(grown <= 20 << 20, "{grown} bytes");
    assert!(first.round(&[]).is_ok());
}

#[tokio::test]
async fn a_header_list_over_the_limit_is_an_answer_and_one_far_over_is_the_end() {
    let host = start("");
    let large = call("GetFeature").header("x", "x".repeat(20 << 10));
    assert_eq!(exchange(host.address(), large, &[], true).await.http, 431);

    let block =
        |bytes: usize| [block("/routeguide.RouteGuide/GetFeature"), literal(0, "x", &"x".repeat(bytes))].concat();
    // A frame holds 16 KiB.
    let head = |stream: u32, block: &[u8]| {
        let mut frames = Vec::new();
        let count = block.chunks(16 << 10).count();
        for (at, part) in block.chunks(16 << 10).enumerate() {
            let kind = if at == 0 { HEADERS } else { 0x9 };
            frames.extend(frame(kind, if at + 1 == count { END_HEADERS } else { 0 }, stream, part));
        }
        frames
    };
    let mut wire = Wire::open(host.address());
    for (stream, bytes) in [(1, 20 << 10), (3, 10)] {
        assert!(wire.send(&head(stream, &block(bytes))));
        assert_eq!(wire.next_of(HEADERS).expect("the connection lives").2, stream);
    }
    let mut wire = Wire::open(host.address());
    assert!(wire.send(&head(1, &block(100 << 10))));
    let frames = wire.closed();
    assert!(frames.iter().any(|frame| frame.0 == GOAWAY && reason(frame) == ENHANCE_YOUR_CALM), "{frames:?}");
    answers(&host).await;
}

#[test]
fn connect_is_refused() {
    let host = start("");
    let plain = [literal(0, ":method", "CONNECT"), literal(0, ":authority", "ostler:1")].concat();
    let tunnel = [literal(0, ":protocol", "websocket"), block("/routeguide.RouteGuide/RouteChat")].concat();
    let mut wire = Wire::open(host.address());
    assert!(
        wire.send(
            &[(1, plain), (3, tunnel)].map(|(stream, block)| frame(HEADERS, END_HEADERS, stream, &block)).concat()
        )
    );
    // Plain, it is a method like any other that is no call; with a protocol, it is what was never offered.
    let mut ends = Vec::new();
    while ends.len() < 2 {
        let (kind, flags, stream, _) = wire.next().expect("the connection lives");
        if kind == RST_STREAM || flags & END_STREAM != 0 && [HEADERS, DATA].contains(&kind) {
            ends.push((stream, kind));
        }
    }
    ends.sort();
    assert_eq!(ends, [(1, DATA), (3, RST_STREAM)]);
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

/// Asks for all there is.
fn list(stream: u32) -> Vec<u8> {
    [opened(stream, "ListFeatures"), frame(DATA, END_STREAM, stream, &framed(0, &world().encode_to_vec()))].concat()
}

/// How a client begins whose windows are as wide as they come.
fn wide() -> Vec<u8> {
    let streams = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let connection = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    [PREFACE, &streams, &connection].concat()
}

/// A client that asks for all there is as often as it may, and has room for it.
pub fn greedy() -> Vec<u8> {
    [wide(), lists()].concat()
}

fn lists() -> Vec<u8> {
    (0..100).flat_map(|call| list(call * 2 + 1)).collect()
}

#[tokio::test]
async fn answers_that_nobody_takes_share_one_budget_and_give_it_back() {
    let host = large(Starter::default(), "limits: { buffered: 256KiB }\n");
    let mut deaf = Wire::connect(host.address());
    assert!(deaf.send(&wide()) && deaf.round(&[]).is_ok() && deaf.send(&lists()));
    let mut neighbour = Client::connect(host.address()).await;
    let mut refused = None;
    while refused.is_none() {
        refused = neighbour.list_features(world()).await.err();
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"));
    neighbour.get_feature(point(0, 0)).await.expect("small answers need no room");
    drop(deaf);
    while neighbour.list_features(world()).await.is_err() {}
}

#[test]
fn an_answer_nobody_takes_is_given_up_and_its_connection_lives() {
    let host = large(Starter::default(), "limits: { write_stall: 300ms }\n");
    // The stream's window is used up and never renewed.
    let mut wire = Wire::open(host.address());
    assert!(wire.send(&list(1)));
    assert_eq!(wire.next_of(RST_STREAM).expect("the stream is reset").2, 1);
    assert!(wire.round(&[]).is_ok());
}
