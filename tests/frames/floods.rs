//! Floods: each ends the connection it comes by, costs the host next to
//! nothing, and nobody else notices. What it cost is printed; what is asserted
//! are counts, and bounds that only a stall or a leak breaks.

use std::time::{Duration, Instant};

use super::{large, lists, wide};
use crate::support::measure::{Latencies, disturbed, undisturbed};
use crate::support::wire::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    LAST_REMEMBERED, PADDED, PING, PRIORITY, REMEMBERED, RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, block, frame,
    literal, opened, reason,
};
use crate::support::{Ostler, Starter, start};

/// What no host with default settings exceeds.
const MEMORY_BYTES: u64 = 512 << 20;
/// What one flood may cost, of one core.
const CPU: Duration = Duration::from_millis(200);
/// A neighbour's call that takes this long has met a stall.
const STALL: Duration = Duration::from_secs(5);
/// How often a flood is made to see what one costs.
const FLOODS: u32 = 3;

struct Flood {
    name: &'static str,
    /// Its n-th part.
    part: fn(u32) -> Vec<u8>,
    /// Parts sent before the host is asked whether it took them.
    burst: u32,
    /// Parts a host takes at once, and in a second more.
    at_once: f64,
    per_second: f64,
}

/// Frames that carry no call.
const fn control(name: &'static str, part: fn(u32) -> Vec<u8>) -> Flood {
    Flood { name, part, burst: 50, at_once: 1_000.0, per_second: 50.0 }
}

/// Calls that their peer resets.
const fn resets(name: &'static str, burst: u32, part: fn(u32) -> Vec<u8>) -> Flood {
    Flood { name, part, burst, at_once: 500.0, per_second: 100.0 }
}

/// Calls that the host has to reset.
const fn faults(name: &'static str, part: fn(u32) -> Vec<u8>) -> Flood {
    Flood { name, part, burst: 50, at_once: 1_024.0, per_second: 0.0 }
}

/// The part of a flood on one call, which the first part opens.
fn on_a_call(turn: u32, part: Vec<u8>) -> Vec<u8> {
    if turn == 0 { [opened(1, "RecordRoute"), part].concat() } else { part }
}

/// The n-th call of a flood, opened and spoilt.
fn spoilt(turn: u32, spoil: fn(u32) -> Vec<u8>) -> Vec<u8> {
    let stream = turn * 2 + 1;
    [opened(stream, "RouteChat"), spoil(stream)].concat()
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
}

const CONTROL: [Flood; 9] = [
    control("PING", |_| frame(PING, 0, 0, &[0; 8])),
    control("SETTINGS", |_| frame(SETTINGS, 0, 0, &[])),
    control("SETTINGS that set", |turn| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0x80, turn as u8])),
    control("PRIORITY", |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
    control("WINDOW_UPDATE", |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
    control("WINDOW_UPDATE of a call", |turn| on_a_call(turn, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]))),
    control("an unknown kind", |_| frame(0xbe, 0, 0, b"?")),
    control("empty DATA", |turn| on_a_call(turn, frame(DATA, 0, 1, &[]))),
    control("DATA of padding", |turn| on_a_call(turn, frame(DATA, PADDED, 1, &[1, 0]))),
];

const RESETS: [Flood; 7] = [
    resets("rapid reset", 50, |turn| spoilt(turn, reset)),
    resets("paced reset", 1, |turn| spoilt(turn, reset)),
    faults("made to reset by a window", |turn| {
        spoilt(turn, |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]))
    }),
    faults("made to reset by a dependency", |turn| {
        spoilt(turn, |stream| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat()))
    }),
    faults("made to reset by a length", |turn| {
        let head = [block("/routeguide.RouteGuide/RouteChat"), literal(0, "content-length", "1")].concat();
        let stream = turn * 2 + 1;
        [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, 0, stream, &[0, 0])].concat()
    }),
    faults("made to reset by a name", |turn| {
        let head = [block("/routeguide.RouteGuide/RouteChat"), literal(0, "connection", "close")].concat();
        frame(HEADERS, END_HEADERS, turn * 2 + 1, &head)
    }),
    // The first hundred find a place.
    Flood { at_once: 1_124.0, ..faults("made to refuse", |turn| opened(turn * 2 + 1, "RouteChat")) },
];

/// What a flood costs, by the neighbour's calls and the kernel's counts; the
/// time the host's threads ran for one.
fn cost(host: &Ostler, name: &str, quiet: &Latencies, flood: impl Fn()) -> Duration {
    let (memory, ran, begun) = (host.resident_bytes(), host.cpu(), Instant::now());
    for _ in 0..FLOODS {
        flood();
    }
    let (ran, took) = ((host.cpu() - ran) / FLOODS, begun.elapsed() / FLOODS);
    let meanwhile = disturbed(host, flood);
    let mebibytes = |bytes: u64| bytes as f64 / 1048576.0;
    println!(
        "{name}: {took:.1?}, {ran:.1?} of CPU; neighbour {meanwhile} (quiet {quiet}); {:.1} MiB before, {:.1} after, {:.1} at most",
        mebibytes(memory),
        mebibytes(host.resident_bytes()),
        mebibytes(host.peak_bytes()),
    );
    assert!(host.peak_bytes() < MEMORY_BYTES, "{name}: {} bytes", host.peak_bytes());
    assert!(meanwhile.percentile(0.99) < STALL, "{name}: {meanwhile}");
    ran
}

/// Step by step, to see how much of it a host takes, and then at full speed.
fn flood(host: &Ostler, floods: &[Flood]) {
    let quiet = undisturbed(host);
    for Flood { name, part, burst, at_once, per_second } in floods {
        let (mut wire, begun, mut taken) = (Wire::open(host.address()), Instant::now(), 0);
        let last = loop {
            match wire.round(&(taken..taken + burst).flat_map(part).collect::<Vec<u8>>()) {
                Ok(_) => taken += burst,
                Err(frames) => break frames,
            }
            let most = at_once + per_second * begun.elapsed().as_secs_f64();
            assert!(f64::from(taken) <= most + 1.0, "{name}: {taken} taken, where {most} is the most");
        };
        let told = last.iter().find(|(kind, ..)| *kind == GOAWAY).map(reason);
        println!("{name}: {taken} taken, and less than {burst} more; GOAWAY {told:?}");
        let ran = cost(host, name, &quiet, || {
            Wire::open(host.address()).blast(part);
        });
        assert!(ran < CPU, "{name}: {ran:?} of CPU for one flood");
    }
    assert!(host.mark() < 10, "few words about it: {}", host.log());
}

#[test]
fn frames_that_carry_no_call_end_their_connection() {
    flood(&start(""), &CONTROL);
}

#[test]
fn calls_that_come_to_nothing_end_their_connection() {
    flood(&start(""), &RESETS);
}

/// A call's head, and a field of nearly 4 KiB that is remembered with it.
fn remembering() -> Vec<u8> {
    [block("/routeguide.RouteGuide/RouteChat"), literal(REMEMBERED, "x", &"x".repeat(4_000))].concat()
}

#[test]
fn header_blocks_that_swell_end_their_connection() {
    let host = start("");
    let quiet = undisturbed(&host);
    let left_open = |stream| frame(HEADERS, 0, stream, &block("/routeguide.RouteGuide/RouteChat"));
    let bomb = [remembering(), vec![LAST_REMEMBERED; 12_000]].concat();
    let swelling: [(&str, Vec<u8>); 4] = [
        ("CONTINUATION of nothing", [left_open(1), frame(CONTINUATION, 0, 1, &[]).repeat(10_000)].concat()),
        ("CONTINUATION of fields", {
            let fields = literal(0, "x", "y").repeat(1_000);
            [left_open(1), frame(CONTINUATION, 0, 1, &fields).repeat(100)].concat()
        }),
        ("CONTINUATION of one endless field", {
            let begun = [block("/a/b"), vec![0, 1, b'x', 0x7f, 0xff, 0xff, 0xff, 0x7f]].concat();
            [frame(HEADERS, 0, 1, &begun), frame(CONTINUATION, 0, 1, &[b'x'; 16 << 10]).repeat(100)].concat()
        }),
        ("HPACK bomb of 48 MB", frame(HEADERS, END_HEADERS, 1, &bomb)),
    ];
    for (name, bytes) in &swelling {
        let ran = cost(&host, name, &quiet, || {
            let mut wire = Wire::open(host.address());
            wire.send(bytes);
            let told: Vec<u32> = wire.closed().iter().filter(|frame| frame.0 == GOAWAY).map(reason).collect();
            assert!(told.iter().all(|told| [ENHANCE_YOUR_CALM, COMPRESSION_ERROR].contains(told)), "{name}: {told:?}");
        });
        assert!(ran < CPU, "{name}: {ran:?} of CPU for one flood");
    }
    // Below what ends the connection: each is an answer of 431, and nothing of it stays.
    let small = vec![LAST_REMEMBERED; 15];
    cost(&host, "HPACK bombs of 60 KB", &quiet, || {
        let mut wire = Wire::open(host.address());
        assert!(wire.round(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &remembering())).is_ok());
        for burst in 0..20 {
            let calls = (1..=50).map(|call| burst * 50 + call);
            let head = [block("/routeguide.RouteGuide/RouteChat"), small.clone()].concat();
            let bombs: Vec<u8> =
                calls.flat_map(|call| frame(HEADERS, END_HEADERS | END_STREAM, call * 2 + 1, &head)).collect();
            wire.round(&bombs).expect("the connection lives");
        }
    });
}

#[test]
fn peers_that_never_read_are_given_up_and_hold_little_meanwhile() {
    const PEERS: u64 = 2;
    const CALLS: u64 = 100;
    let host = large(Starter::default(), "limits: { write_stall: 500ms }\nlog: { level: debug }\n");
    let quiet = undisturbed(&host);
    let before = host.resident_bytes();
    cost(&host, "peers that never read", &quiet, || {
        let mut mark = host.mark();
        let mut peers: Vec<Wire> = (0..PEERS).map(|_| Wire::connect(host.address())).collect();
        for peer in &mut peers {
            assert!(peer.send(&wide()) && peer.round(&[]).is_ok(), "it is there");
            assert!(peer.send(&lists()), "and reads no more");
        }
        for _ in &peers {
            mark = host.wait_for_line(mark, "a connection ended early") + 1;
        }
    });
    let each = host.peak_bytes().saturating_sub(before) / (PEERS * CALLS);
    println!("{} KiB a call, whose answer is 4 MiB", each >> 10);
    assert!(each < 512 << 10, "{each} bytes a call");
}

#[test]
fn what_only_a_broken_peer_sends_ends_its_connection_at_once() {
    let host = start("");
    let ended = [opened(1, "RecordRoute"), frame(DATA, END_STREAM, 1, &[])].concat();
    for (name, bytes) in [
        ("DATA after the end", [ended, frame(DATA, 0, 1, &[0])].concat()),
        ("a window update of nothing", [opened(1, "RouteChat"), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat()),
        ("a window beyond all bounds", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("a frame beyond its size", frame(PING, 0, 0, &[0; 9])),
    ] {
        let frames = Wire::open(host.address()).round(&bytes).expect_err(name);
        let told = frames.iter().find(|(kind, ..)| *kind == GOAWAY).map(reason);
        println!("{name}: GOAWAY {told:?}");
        assert!(told.is_some(), "{name}: {frames:?}");
    }
}
