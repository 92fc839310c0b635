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

/// One read: all that a pipe holds.
const PIECE_BYTES: usize = 64 << 10;
/// What is read of a stream in a second; then its writer waits for the next.
const MOST_BYTES: usize = 8 << 20;
const SECOND: Duration = Duration::from_secs(1);
/// How many lines are remembered for telling why a command failed, and how much of each.
const LAST: (usize, usize) = (5, 200);

/// A command's last lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Last(Arc<Mutex<VecDeque<String>>>);

impl Last {
    fn push(&self, line: &[u8]) {
        let line = shown(&line[..line.len().min(LAST.1)]);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST.0 {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Of what is not told, the end.
    fn skim(&self, piece: &[u8]) {
        let tail = &piece[piece.len().saturating_sub(LAST.0 * LAST.1)..];
        for line in tail.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.push(line);
        }
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
        if let Some(dropped) = window.turn() {
            of.dropped(dropped);
        }
        let mut say = |line: &[u8], cut: bool| {
            last.push(line);
            of.say(&shown(line), cut);
        };
        match read {
            None => continue,
            Some(0) => break lines.end(&mut say),
            Some(read) => {
                let rest = lines.take(&piece[..read], &mut window.lines, &mut say);
                if !rest.is_empty() {
                    window.dropped += lines.pass(rest);
                    last.skim(rest);
                }
            }
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

    /// Tells as many lines as there is room for; gives back what is behind them
    /// if there are more.
    fn take<'a>(&mut self, mut piece: &'a [u8], room: &mut u32, say: &mut impl FnMut(&[u8], bool)) -> &'a [u8] {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let Some(left) = room.checked_sub(1) else { return piece };
            *room = left;
            self.keep(&piece[..end]);
            self.whole(say);
            piece = &piece[end + 1..];
        }
        self.keep(piece);
        &[]
    }

    /// Passes lines over, which is all that a flood is worth; how many.
    fn pass(&mut self, piece: &[u8]) -> u64 {
        if let Some(end) = piece.iter().rposition(|byte| *byte == b'\n') {
            self.line.clear();
            self.cut = false;
            self.keep(&piece[end + 1..]);
        }
        piece.iter().filter(|byte| **byte == b'\n').count() as u64
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

/// One second.
struct Window {
    most: u32,
    end: Instant,
    /// How many more there may be.
    lines: u32,
    dropped: u64,
    bytes: usize,
}

impl Window {
    fn new(most: u32) -> Window {
        Window { most, end: Instant::now() + SECOND, lines: most, dropped: 0, bytes: 0 }
    }

    /// Begins the next second where this one is over; how many lines it dropped, if any.
    fn turn(&mut self) -> Option<u64> {
        if Instant::now() < self.end {
            return None;
        }
        let over = std::mem::replace(self, Window::new(self.most));
        (over.dropped > 0).then_some(over.dropped)
    }
}

/// Text for eyes: nothing in it moves a terminal's cursor.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines told of these pieces, `room` at most, and how many were passed over.
    fn told(most: usize, mut room: u32, pieces: &[&str]) -> (Vec<String>, u64) {
        let (mut lines, mut told, mut passed) = (Lines::new(most), Vec::new(), 0);
        let mut say = |line: &[u8], cut| told.push(shown(line) + if cut { "…" } else { "" });
        for piece in pieces {
            let rest = lines.take(piece.as_bytes(), &mut room, &mut say);
            passed += lines.pass(rest);
        }
        lines.end(&mut say);
        (told, passed)
    }

    #[test]
    fn lines_come_whole_from_pieces_and_are_cut_where_they_are_too_long() {
        let (lines, passed) = told(5, 10, &["on", "e\r\n\ntwo", "\nthree-and-more", "-and-more\nend"]);
        assert_eq!((lines, passed), (["one", "", "two", "three…", "end"].map(String::from).to_vec(), 0));
    }

    #[test]
    fn what_is_too_much_is_counted_and_the_rest_of_its_line_begins_anew() {
        let (lines, passed) = told(9, 2, &["1\n2\n3\n4\n5", "\n6\nend"]);
        assert_eq!((lines, passed), (["1", "2", "end"].map(String::from).to_vec(), 4));
    }

    #[test]
    fn the_last_words_are_kept_of_a_flood_too() {
        let last = Last::default();
        last.skim(&b"flood\n".repeat(10_000));
        last.skim(b"the reason\n");
        assert_eq!(last.lines().len(), LAST.0);
        assert_eq!(last.lines().last().map(String::as_str), Some("the reason"));
    }
}
