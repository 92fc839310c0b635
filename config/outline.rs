//! A YAML text as a tree, every key and value with its range in the text.
//!
//! This is the one reading of the text: values, variables and error places all
//! come from here.

use std::ops::Range;
use std::sync::Arc;

use super::place::{Path, Segment};

/// A value and where it stands. An alias stands where it is written, and shares
/// what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) range: Range<usize>,
    pub(super) content: Arc<Content>,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Unescaped, and whether it was written plainly: without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    /// In the order of the text, each name once.
    Map(Vec<(Key, Node)>),
    List(Vec<Node>),
    /// A value with a tag: a problem was told of it, and its meaning is anyone's guess.
    Tagged,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) range: Range<usize>,
}

/// What a problem is marked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The value; where it is a map or a list, which may span pages, its key.
    Value,
    /// The key, because the name itself is wrong.
    Key,
    /// Some bytes of the text that the value is.
    Part { from: u32, to: u32 },
    /// All bytes of it from one on: it ends before what it says does.
    Rest { from: u32 },
}

/// The tree of a whole text.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) root: Option<Node>,
}

impl Outline {
    /// The range to mark for a path, or for its nearest ancestor that the text has.
    pub(super) fn range(&self, path: &Path, mark: Mark) -> Option<Range<usize>> {
        let mut node = self.root.as_ref()?;
        let mut best = node.range.clone();
        for (at, segment) in path.0.iter().enumerate() {
            match (segment, &*node.content) {
                (Segment::Key(name), Content::Map(entries)) => {
                    let Some((key, value)) = entries.iter().find(|(key, _)| key.name == *name) else { break };
                    let scalar = matches!(*value.content, Content::Scalar { .. }) && !value.range.is_empty();
                    let by_key = !scalar || mark == Mark::Key && at + 1 == path.0.len();
                    best = if by_key { key.range.clone() } else { value.range.clone() };
                    node = value;
                }
                (Segment::Index(index), Content::List(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    best = item.range.clone();
                    node = item;
                }
                _ => break,
            }
        }
        Some(best)
    }

    /// Exactly this value; `None` where the text does not have it.
    pub(super) fn find(&self, path: &Path) -> Option<&Node> {
        path.0.iter().try_fold(self.root.as_ref()?, |node, segment| match (segment, &*node.content) {
            (Segment::Key(name), Content::Map(entries)) => {
                entries.iter().find(|(key, _)| key.name == *name).map(|(_, value)| value)
            }
            (Segment::Index(index), Content::List(items)) => items.get(*index),
            _ => None,
        })
    }
}
