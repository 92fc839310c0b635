//! Where: the way to a value in the document, and a spot in a text.

use std::fmt;
use std::ops::Range;

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Into a map, by key.
    Key(String),
    /// Into a list, by index from 0.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Segment::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Segment::Index(index)
    }
}

/// The way from the root of the document to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// This path and one step more.
    pub fn then(&self, step: impl Into<Segment>) -> Path {
        let mut path = self.clone();
        path.0.push(step.into());
        path
    }

    /// Whether it leads to what is at that path, or into it.
    pub fn starts_with(&self, outer: &Path) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// This path and then that one.
    pub fn join(&self, rest: &Path) -> Path {
        Path(self.0.iter().chain(&rest.0).cloned().collect())
    }
}

/// Written as an operator would: `services."routeguide.RouteGuide".handler`,
/// `listen[1]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    let dot = if at == 0 { "" } else { "." };
                    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
                    if plain { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// A spot in a file, with the line it is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the operator named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line's text, unless it is too long to be worth showing.
    pub(super) excerpt: Option<(String, (usize, usize))>,
}

/// Lines longer than this are named by number only.
const LONGEST_EXCERPT_BYTES: usize = 400;

impl Place {
    /// The place of a range of bytes in a text.
    pub fn of(file: &str, text: &str, range: Range<usize>) -> Place {
        // What is noticed at the end of a text is told on its last line.
        let start = text.floor_char_boundary(range.start.min(text.trim_end().len()));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let end = text.floor_char_boundary(range.end.clamp(start, line_end));
        let span = (start - line_start, (end - line_start).min(line_text.len()).max(start - line_start));
        Place {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: (line_text.len() <= LONGEST_EXCERPT_BYTES && span.1 <= line_text.len())
                .then(|| (line_text.to_owned(), span)),
        }
    }
}
