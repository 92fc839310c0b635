//! What a command writes becomes lines of our log: each cut, so many a second,
//! and the rest counted. A command that writes without end costs bounded
//! memory and bounded work, and is never kept waiting for longer than a second.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

use super::settings::Logs;

/// One read.
const PIECE_BYTES: usize = 16 << 10;
/// What is read of a stream in a second; then its writer waits for the next.
const MOST_BYTES: usize = 8 << 20;
const SECOND: Duration = Duration::from_secs(1);
/// How many lines are remembered for telling why a command failed, and how much of each.
const LAST: (usize, usize) = (5, 200);

/// A command's last lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Last(Arc<Mutex<VecDeque<String>>>);

impl Last {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST.0 {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// Oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Whose lines they are.
#[derive(Clone, Debug)]
pub(super) struct Of {
    pub(super) service: String,
    pub(super) stream: &'static str,
    pub(super) pid: u32,
}

/// Reads a stream to its end.
pub(super) async fn pump(stream: Receiver, of: Of, bounds: Logs, last: Last) {
    let mut lines = Lines::new(bounds.line.0 as usize);
    let mut window = Window::new(bounds.lines_per_second.get());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        if window.bytes >= MOST_BYTES {
            sleep_until(window.end).await;
        }
        let read = tokio::select! {
            readable = stream.readable() => match readable.and_then(|()| stream.try_read(&mut piece)) {
                Ok(read) => Some(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(_) => Some(0),
            },
            // Silence after a flood: what was dropped is told in its second.
            () = sleep_until(window.end), if window.dropped > 0 => None,
        };
        if let Some(dropped) = window.turn(Instant::now()) {
            of.dropped(dropped);
        }
        let mut say = |line: &[u8], cut: bool| {
            last.push(&shown(&line[..line.len().min(LAST.1)]));
            if window.takes() {
                of.say(&shown(line), cut);
            }
        };
        match read {
            None => continue,
            Some(0) => break lines.end(&mut say),
            Some(read) => lines.take(&piece[..read], &mut say),
        }
        window.bytes += read.unwrap_or(0);
    }
    if window.dropped > 0 {
        of.dropped(window.dropped);
    }
}

impl Of {
    fn say(&self, line: &str, cut: bool) {
        let Of { service, stream, pid } = self;
        if cut {
            tracing::info!(service, stream, pid, cut, "{line}");
        } else {
            tracing::info!(service, stream, pid, "{line}");
        }
    }

    fn dropped(&self, lines: u64) {
        let Of { service, stream, pid } = self;
        tracing::warn!(service, stream, pid, lines, "{lines} lines dropped: more than `logs.lines_per_second`");
    }
}

/// Bytes to lines, none of them longer than it may be.
struct Lines {
    most: usize,
    line: Vec<u8>,
    /// Whether the line has more than is kept of it.
    cut: bool,
}

impl Lines {
    fn new(most: usize) -> Lines {
        Lines { most, line: Vec::new(), cut: false }
    }

    fn take(&mut self, mut piece: &[u8], say: &mut impl FnMut(&[u8], bool)) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.keep(&piece[..end]);
            self.whole(say);
            piece = &piece[end + 1..];
        }
        self.keep(piece);
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = self.most - self.line.len();
        self.cut |= piece.len() > room;
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn whole(&mut self, say: &mut impl FnMut(&[u8], bool)) {
        say(self.line.strip_suffix(b"\r").unwrap_or(&self.line), self.cut);
        self.line.clear();
        self.cut = false;
    }

    /// What has no newline is a line all the same.
    fn end(&mut self, say: &mut impl FnMut(&[u8], bool)) {
        if !self.line.is_empty() {
            self.whole(say);
        }
    }
}

/// So many lines a second.
struct Window {
    most: u32,
    end: Instant,
    lines: u32,
    dropped: u64,
    bytes: usize,
}

impl Window {
    fn new(most: u32) -> Window {
        Window { most, end: Instant::now() + SECOND, lines: 0, dropped: 0, bytes: 0 }
    }

    /// Begins the next second where this one is over; how many lines it dropped, if any.
    fn turn(&mut self, now: Instant) -> Option<u64> {
        if now < self.end {
            return None;
        }
        let dropped = self.dropped;
        *self = Window { end: now + SECOND, ..Window::new(self.most) };
        (dropped > 0).then_some(dropped)
    }

    fn takes(&mut self) -> bool {
        if self.lines < self.most {
            self.lines += 1;
            return true;
        }
        self.dropped += 1;
        false
    }
}

/// Text for eyes: nothing in it moves a terminal's cursor.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}
