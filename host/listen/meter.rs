//! What a peer's frames cost and what they bring, counted as they pass.
//!
//! HTTP/2's control frames cost a peer nothing and the host some work each, so
//! a peer that sends nothing else is a flood (CVE-2019-9512 to 9518 and their
//! kin), as is one that opens calls to reset them (CVE-2023-44487), even at a
//! pace that stays below the library's own bound. Every frame that carries a
//! call in either direction earns credit, every control frame spends it, and a
//! peer that has none left is cut off. Correct clients earn more than they
//! spend: they answer what they are sent.

use std::time::Instant;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Control frames a peer may send at once beyond what it has earned.
const CONTROL_BURST: f64 = 1_000.0;
/// And in a second: settings, pings and window updates of a quiet connection.
const CONTROL_PER_SECOND: f64 = 50.0;
/// What a frame of a call earns: an update of the stream's window, one of the
/// connection's, and a ping that measures the bandwidth.
const CONTROL_PER_CALL_FRAME: f64 = 3.0;
/// Calls a peer may reset at once beyond those it let finish.
const RESET_BURST: f64 = 500.0;
/// And in a second.
const RESETS_PER_SECOND: f64 = 100.0;

/// Why a peer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    Control,
    Reset,
}

/// Credit that grows with time up to a burst.
#[derive(Debug)]
struct Credit {
    left: f64,
    burst: f64,
    per_second: f64,
    as_of: Instant,
}

impl Credit {
    fn new(burst: f64, per_second: f64, now: Instant) -> Credit {
        Credit { left: burst, burst, per_second, as_of: now }
    }

    fn earn(&mut self, amount: f64) {
        self.left = (self.left + amount).min(self.burst);
    }

    /// Spends one; false where there is none, time's share included. The clock
    /// is asked only where it matters.
    fn spend(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.left < 1.0 {
            let now = now();
            let passed = now.saturating_duration_since(self.as_of).as_secs_f64();
            self.as_of = now;
            self.earn(passed * self.per_second);
        }
        self.left -= 1.0;
        self.left >= 0.0
    }
}

/// One direction's bytes, cut into frames.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER_BYTES],
    have: usize,
    left: usize,
}

/// A frame's head.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
}

impl Frames {
    /// Calls `each` with every frame's head as soon as it is complete.
    fn pass<E>(&mut self, mut bytes: &[u8], mut each: impl FnMut(Head) -> Result<(), E>) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(HEADER_BYTES - self.have);
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER_BYTES {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                each(Head { length: self.left, kind, flags })?;
            }
        }
        Ok(())
    }
}

/// What is known of one connection's frames.
#[derive(Debug)]
pub(crate) struct Meter {
    preface: usize,
    settings: bool,
    open_headers: bool,
    received: Frames,
    sent: Frames,
    /// Whether what was sent ends where another frame may begin.
    sent_whole: bool,
    control: Credit,
    resets: Credit,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Meter {
        Meter {
            preface: 0,
            settings: false,
            open_headers: false,
            received: Frames::default(),
            sent: Frames::default(),
            sent_whole: false,
            control: Credit::new(CONTROL_BURST, CONTROL_PER_SECOND, now),
            resets: Credit::new(RESET_BURST, RESETS_PER_SECOND, now),
        }
    }

    /// Whether the peer owes something that a deadline is on: its preface, its
    /// first settings, or the rest of a call's headers.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.settings || self.open_headers
    }

    /// Takes note of what came.
    pub(crate) fn received(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Flood> {
        if self.preface < PREFACE.len() {
            // Whether it is the preface is for h2 to say; here it only has a length.
            let taken = bytes.len().min(PREFACE.len() - self.preface);
            self.preface += taken;
            bytes = &bytes[taken..];
        }
        let Meter { settings, open_headers, received, control, resets, .. } = self;
        received.pass(bytes, |head| {
            let ends_headers = head.flags & END_HEADERS != 0;
            let flood = match head.kind {
                DATA if head.length > 0 || head.flags & END_STREAM != 0 => {
                    control.earn(CONTROL_PER_CALL_FRAME);
                    return Ok(());
                }
                HEADERS => {
                    *open_headers = !ends_headers;
                    control.earn(CONTROL_PER_CALL_FRAME);
                    return Ok(());
                }
                CONTINUATION => {
                    *open_headers = !ends_headers;
                    Flood::Control
                }
                SETTINGS => {
                    *settings = true;
                    Flood::Control
                }
                RST_STREAM => {
                    if !resets.spend(&now) {
                        return Err(Flood::Reset);
                    }
                    Flood::Control
                }
                _ => Flood::Control,
            };
            if control.spend(&now) { Ok(()) } else { Err(flood) }
        })
    }

    /// Whether a frame may be sent now: not inside another, not inside a call's
    /// headers, and not before the first.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.sent_whole && self.sent.have == 0 && self.sent.left == 0
    }

    /// Takes note of what went: answers earn their peer credit.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let Meter { sent, sent_whole, control, resets, .. } = self;
        let noted: Result<(), std::convert::Infallible> = sent.pass(bytes, |head| {
            if matches!(head.kind, DATA | HEADERS) {
                control.earn(CONTROL_PER_CALL_FRAME);
            }
            if matches!(head.kind, HEADERS | CONTINUATION) {
                *sent_whole = head.flags & END_HEADERS != 0;
            } else {
                *sent_whole = true;
            }
            // A call that ran to its end.
            if head.kind == HEADERS && head.flags & END_STREAM != 0 {
                resets.earn(1.0);
            }
            Ok(())
        });
        match noted {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![(length >> 16) as u8, (length >> 8) as u8, length as u8, kind, flags, 0, 0, 0, 1];
        bytes.extend(std::iter::repeat_n(0, length));
        bytes
    }

    fn open(now: Instant) -> Meter {
        let mut meter = Meter::new(now);
        assert!(meter.is_awaited(), "the preface");
        meter.received(PREFACE, || now).unwrap();
        assert!(meter.is_awaited(), "the settings");
        meter.received(&frame(SETTINGS, 0, 6), || now).unwrap();
        assert!(!meter.is_awaited());
        meter
    }

    /// How many of a frame a peer gets through at one moment, at most a million.
    fn endured(meter: &mut Meter, frame: &[u8], now: Instant) -> usize {
        (0..1_000_000).take_while(|_| meter.received(frame, || now).is_ok()).count()
    }

    #[test]
    fn every_kind_of_control_frame_is_a_flood_when_there_is_nothing_else() {
        const PING: u8 = 0x6;
        for kind in [0x2, RST_STREAM, SETTINGS, PING, 0x7, 0x8, CONTINUATION, 0xb, 0xff] {
            let now = Instant::now();
            let endured = endured(&mut open(now), &frame(kind, END_HEADERS, 8), now);
            assert!(endured <= CONTROL_BURST as usize, "kind {kind}: {endured}");
        }
        let now = Instant::now();
        let empty = endured(&mut open(now), &frame(DATA, 0, 0), now);
        assert!(empty <= CONTROL_BURST as usize, "empty DATA that ends nothing is control too");
    }

    #[test]
    fn a_peer_that_only_resets_is_a_flood_and_one_that_lets_calls_finish_is_not() {
        let now = Instant::now();
        let call = frame(HEADERS, END_HEADERS, 20);
        let reset = frame(RST_STREAM, 0, 4);
        let both = [call.clone(), reset.clone()].concat();
        let endured_resets = endured(&mut open(now), &both, now);
        assert_eq!(endured_resets, RESET_BURST as usize);

        let mut meter = open(now);
        for _ in 0..100_000 {
            meter.received(&call, || now).unwrap();
            meter.sent(&frame(HEADERS, END_HEADERS | END_STREAM, 10));
            meter.received(&call, || now).unwrap();
            meter.received(&reset, || now).unwrap();
        }
    }

    #[test]
    fn a_client_that_answers_what_it_is_sent_never_runs_out() {
        let now = Instant::now();
        let mut meter = open(now);
        for _ in 0..100_000 {
            meter.sent(&frame(DATA, 0, 25));
            for kind in [0x8, 0x8, 0x6] {
                meter.received(&frame(kind, 0, 4), || now).unwrap();
            }
        }
    }

    #[test]
    fn a_quiet_connection_may_ping_for_ever() {
        let mut now = Instant::now();
        let mut meter = open(now);
        for _ in 0..100_000 {
            now += Duration::from_millis(25);
            meter.received(&frame(0x6, 0, 8), || now).unwrap();
        }
    }

    #[test]
    fn headers_left_open_are_awaited_until_they_end() {
        let now = Instant::now();
        let mut meter = open(now);
        meter.received(&frame(HEADERS, 0, 20), || now).unwrap();
        assert!(meter.is_awaited());
        meter.received(&frame(CONTINUATION, 0, 20), || now).unwrap();
        assert!(meter.is_awaited());
        meter.received(&frame(CONTINUATION, END_HEADERS, 20), || now).unwrap();
        assert!(!meter.is_awaited());
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let now = Instant::now();
        let bytes =
            [PREFACE, &frame(SETTINGS, 0, 6), &frame(HEADERS, 0, 300), &frame(CONTINUATION, END_HEADERS, 7)].concat();
        for piece in 1..40 {
            let mut meter = Meter::new(now);
            for bytes in bytes.chunks(piece) {
                meter.received(bytes, || now).unwrap();
            }
            assert!(!meter.is_awaited(), "in pieces of {piece}");
        }
    }
}
