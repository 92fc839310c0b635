//! What is wrong with a JSON text beside the configuration, and where.

use std::ops::Range;

use super::place::Place;

/// A JSON text that was read from a file, as far as messages tell of it.
#[derive(Clone, Copy, Debug)]
pub struct JsonText<'a> {
    /// As the operator named it.
    pub file: &'a str,
    /// All of it.
    pub text: &'a str,
}

impl JsonText<'_> {
    /// What serde_json says of a part of the text, and where that is.
    pub fn misread(&self, part: &str, error: &serde_json::Error) -> (String, Place) {
        let words = error.to_string();
        let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
        let lines = part.split_inclusive('\n').take(error.line().saturating_sub(1));
        let noticed = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let at = self.range(part).start + noticed.min(part.len());
        (words.to_owned(), Place::of(self.file, self.text, at..at + 1))
    }

    /// The place of a part of the text.
    pub fn place(&self, part: &str) -> Place {
        Place::of(self.file, self.text, self.range(part))
    }

    /// A part that was borrowed from the text, in bytes of it.
    fn range(&self, part: &str) -> Range<usize> {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len());
        start..(start + part.len()).min(self.text.len())
    }
}
