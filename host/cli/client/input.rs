//! JSON values one after another, each handed on as soon as it is whole: whoever
//! types or pipes them may wait for an answer before the next.

use std::cell::RefCell;
use std::io::{self, BufReader, Cursor, Read};
use std::ops::Range;
use std::rc::Rc;

use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};
use tokio::sync::mpsc;

use crate::config::{Place, Problem};

/// The most one value may be.
const LARGEST_VALUE_BYTES: usize = 64 << 20;
/// Of a line that messages show.
const LONGEST_LINE_BYTES: usize = 1024;

/// One value as it was written, and where it began.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) text: String,
    from: &'static str,
    /// From 0.
    line: usize,
    /// The line up to it.
    before: Before,
}

impl Given {
    /// The place of a range of the text.
    pub(super) fn place(&self, range: Range<usize>) -> Place {
        let before = match &self.before {
            Before { text, characters } if text.chars().count() == *characters => text.clone(),
            Before { characters, .. } => " ".repeat(*characters),
        };
        let (start, end) = (before.len() + range.start, before.len() + range.end);
        let mut place = Place::of(self.from, &(before + &self.text), start..end);
        place.line += self.line;
        place
    }
}

/// What a line holds up to some point.
#[derive(Clone, Debug, Default)]
struct Before {
    /// Not beyond what would ever be shown.
    text: String,
    characters: usize,
}

impl Before {
    fn push(&mut self, text: &str) {
        self.characters += text.chars().count();
        if self.text.len() + text.len() <= LONGEST_LINE_BYTES {
            self.text.push_str(text);
        }
    }
}

/// Where values come from.
#[derive(Debug)]
pub(super) enum Input {
    Argument(String),
    Stdin,
}

impl Input {
    /// Reads in a thread of its own, which holds no exit up, and not further
    /// ahead than one value.
    pub(super) fn values(self) -> mpsc::Receiver<Result<Given, Problem>> {
        let (sender, receiver) = mpsc::channel(1);
        std::thread::spawn(move || match self {
            Input::Argument(text) => read("the argument", Cursor::new(text.into_bytes()), &sender),
            Input::Stdin => read("stdin", BufReader::new(io::stdin()), &sender),
        });
        receiver
    }
}

fn read(from: &'static str, reader: impl Read, to: &mpsc::Sender<Result<Given, Problem>>) {
    let read = Rc::new(RefCell::new(Vec::new()));
    let recorder = Recorder { reader, read: read.clone() };
    let values = Deserializer::from_reader(recorder).into_iter::<Box<RawValue>>();
    let (mut line, mut before) = (0, Before::default());
    // Moves on over a piece of the text.
    let mut pass = |text: &str| {
        line += text.matches('\n').count();
        if let Some((_, rest)) = text.rsplit_once('\n') {
            before = Before::default();
            before.push(rest);
        } else {
            before.push(text);
        }
        (line, before.clone())
    };
    for value in values {
        let mut read = read.borrow_mut();
        let text = String::from_utf8_lossy(&read).into_owned();
        let blank = text.len() - text.trim_start().len();
        let (line, before) = pass(&text[..blank]);
        let given = |text: &str| Given { text: text.to_owned(), from, line, before };
        let sent = match value {
            Ok(value) => {
                let value = value.get();
                pass(value);
                // One sign more may have been read to know that the value was whole.
                read.drain(..(blank + value.len()).min(text.len()));
                to.blocking_send(Ok(given(value)))
            }
            Err(error) => {
                let given = given(&text[blank..]);
                let last = given.text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
                let _ = to.blocking_send(Err(broken(&error).at(given.place(last..last + 1))));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn broken(error: &Error) -> Problem {
    match error.classify() {
        Category::Io => Problem::new(format!("reading goes no further: {error}")),
        Category::Eof => Problem::new(format!("the JSON breaks off: {}", words(error))).label("and then nothing"),
        _ => Problem::new(format!("this is not JSON: {}", words(error))).label("not JSON from here"),
    }
}

/// What a JSON error says, without the place it says it of.
pub(super) fn words(error: &Error) -> String {
    let words = error.to_string();
    words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned()
}

/// Keeps what was read of the current value, byte for byte.
struct Recorder<R> {
    reader: R,
    read: Rc<RefCell<Vec<u8>>>,
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = self.read.borrow_mut();
        if read.len() >= LARGEST_VALUE_BYTES {
            return Err(io::Error::other(format!("a value goes on beyond {}MiB", LARGEST_VALUE_BYTES >> 20)));
        }
        let count = self.reader.read(buffer)?;
        read.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Result<Given, Problem>> {
        let mut values = Input::Argument(text.to_owned()).values();
        std::iter::from_fn(|| values.blocking_recv()).collect()
    }

    #[test]
    fn values_come_in_lines_or_over_lines_and_know_their_places() {
        let values = all("{\"a\": 1}\n  {\n \"b\": [\n2]} \"ü\"  3\n\n4 {}");
        let found: Vec<_> = values
            .iter()
            .map(|value| value.as_ref().unwrap())
            .map(|given| (given.text.as_str(), given.place(0..1).line, given.place(0..1).column))
            .collect();
        let expected = [
            ("{\"a\": 1}", 1, 1),
            ("{\n \"b\": [\n2]}", 2, 3),
            ("\"ü\"", 4, 5),
            ("3", 4, 10),
            ("4", 6, 1),
            ("{}", 6, 3),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_json_is_told_at_once_with_its_place() {
        for (text, line, column) in
            [("{\"a\": 1}\n{\"b\": 2", 2, 7), ("{}\n{\"a\" 1}", 2, 6), ("]", 1, 1), ("{\n{}", 2, 1)]
        {
            let problem = all(text).pop().unwrap().unwrap_err();
            let place = problem.place().unwrap();
            assert_eq!((place.line, place.column), (line, column), "{text}: {problem}");
        }
    }

    #[test]
    fn a_place_far_along_a_line_is_found_without_the_line() {
        let text = "1 ".repeat(5000) + "]";
        let problem = all(&text).pop().unwrap().unwrap_err();
        assert_eq!(problem.place().map(|place| (place.line, place.column)), Some((1, 10_001)));
    }

    #[test]
    fn nothing_is_no_value() {
        assert!(all("").is_empty() && all(" \n").is_empty());
    }
}
