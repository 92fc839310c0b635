//! What passes in both directions of a connection, HTTP/2's frames and gRPC's
//! messages: a network may cut it anywhere, and that changes no verdict.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use ostler::fuzzing::{Meter, framed};

/// Bytes cut into pieces of a few bytes each, by dice that the input throws.
struct Pieces<'a> {
    bytes: &'a [u8],
    dice: u32,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.bytes.is_empty() {
            return None;
        }
        // Marsaglia's xorshift.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        let (piece, rest) = self.bytes.split_at(self.bytes.len().min(self.dice as usize % 24));
        self.bytes = rest;
        Some(piece)
    }
}

/// How a stream of messages ends, read when all of it is there: a gRPC status,
/// 0 where it is sound.
fn sound(many: bool, largest: u64, mut rest: &[u8]) -> i32 {
    const OK: i32 = 0;
    const RESOURCE_EXHAUSTED: i32 = 8;
    const UNIMPLEMENTED: i32 = 12;
    const INTERNAL: i32 = 13;
    let mut messages = 0;
    while let Some((&[flag, a, b, c, d], after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes([a, b, c, d]);
        messages += 1;
        if flag > 1 {
            return INTERNAL;
        }
        if messages > 1 && !many {
            return UNIMPLEMENTED;
        }
        if u64::from(length) > largest {
            return RESOURCE_EXHAUSTED;
        }
        let Some(next) = after.get(length as usize..) else { return INTERNAL };
        rest = next;
    }
    match messages {
        _ if !rest.is_empty() => INTERNAL,
        0 if !many => UNIMPLEMENTED,
        _ => OK,
    }
}

fn messages(many: bool, largest: u64, bytes: &[u8], dice: u32) {
    let whole = framed(many, largest, std::iter::once(bytes));
    assert_eq!(framed(many, largest, Pieces { bytes, dice }), whole);
    assert_eq!(whole.map_or(0, |(code, _)| code), sound(many, largest, bytes));
}

/// What a peer does at one moment, and may do many times over.
struct Step {
    sent: bool,
    passed: Duration,
    bytes: Vec<u8>,
}

/// Steps as an input spells them: direction, repeats, hundredths of a second,
/// length, and so many bytes.
fn steps(mut script: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((&[direction, repeats, hundredths, length], after)) = script.split_first_chunk() {
        let (bytes, rest) = after.split_at(after.len().min(length.into()));
        let bytes = bytes.repeat(1 + usize::from(repeats));
        steps.push(Step { sent: direction & 1 == 1, passed: Duration::from_millis(10 * u64::from(hundredths)), bytes });
        script = rest;
    }
    steps
}

/// Length, kind and flags of every frame whose head is whole.
fn heads(mut rest: &[u8]) -> Vec<(usize, u8, u8)> {
    let mut heads = Vec::new();
    while let Some((&[a, b, c, kind, flags, ..], after)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        heads.push((length, kind, flags));
        rest = after.get(length..).unwrap_or_default();
    }
    heads
}

fn frames(script: &[u8], dice: u32) {
    let opened = Instant::now();
    let (mut whole, mut cut) = (Meter::new(opened), Meter::new(opened));
    let (mut received, mut sent) = (Vec::new(), Vec::new());
    let mut now = opened;
    let mut is_cut_off = false;
    for Step { sent: outwards, passed, bytes } in steps(script) {
        now += passed;
        let mut pieces = Pieces { bytes: &bytes, dice };
        if outwards {
            whole.sent(&bytes);
            pieces.for_each(|piece| cut.sent(piece));
            sent.extend(bytes);
        } else {
            let verdict = whole.received(&bytes, now);
            assert_eq!(pieces.try_for_each(|piece| cut.received(piece, now)), verdict);
            received.extend(bytes);
            is_cut_off = verdict.is_err();
        }
        assert_eq!(cut.state(), whole.state());
        if is_cut_off {
            break;
        }
    }

    // What came and what was paid for it, counted again when all of it is there.
    const PREFACE_BYTES: usize = 24;
    let (received, sent) = (heads(received.get(PREFACE_BYTES..).unwrap_or_default()), heads(&sent));
    let carries = |&(length, kind, flags): &(usize, u8, u8)| kind == 1 || kind == 0 && (length > 0 || flags & 1 == 1);
    let resets = received.iter().filter(|(_, kind, _)| *kind == 3).count() as f64;
    let ended = sent.iter().filter(|(_, kind, flags)| *kind == 1 && flags & 1 == 1).count() as f64;
    let earned = (received.iter().filter(|head| carries(head)).count()
        + sent.iter().filter(|(_, kind, _)| *kind <= 1).count()) as f64;
    let control = received.iter().filter(|head| !carries(head)).count() as f64;
    let seconds = (now - opened).as_secs_f64();
    if is_cut_off {
        assert!(control > 1_000.0 || resets > 500.0, "cut off for {control} control frames and {resets} resets");
    } else {
        assert!(control <= 1_000.0 + 3.0 * earned + 50.0 * seconds + 0.01, "{control} control frames are taken");
        assert!(resets <= 500.0 + ended + 100.0 * seconds + 0.01, "{resets} resets are taken");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[what, a, b, c], rest)) = bytes.split_first_chunk() else { return };
    // Of nothing the dice would make nothing for ever.
    let dice = u32::from_be_bytes([1, a, b, c]);
    match what {
        b'm' => messages(true, 1_000, rest, dice),
        b'o' => messages(false, 1_000, rest, dice),
        _ => frames(rest, dice),
    }
});
