//! From the outline to the neutral tree that settings are typed from, variables
//! filled in on the way.

use std::fmt;

use serde_json::Value;

use super::outline::{Content, Node};
use super::place::{Path, Segment};
use super::problem::Problem;
use super::scalar;
use super::variables::{Surroundings, Variables};

/// A value of the document, before anyone knows its type.
#[derive(Clone)]
pub(super) enum Tree {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A scalar that variables filled: what it means, and the bare text.
    Filled(Value, String),
    /// What has no value, because a problem was told of it.
    Told,
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// What variables put in is not for anyone's eyes.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Scalar(value) => write!(f, "{value}"),
            Tree::Filled(..) => f.write_str("…"),
            Tree::Told => f.write_str("?"),
            Tree::List(items) => f.debug_list().entries(items).finish(),
            Tree::Map(entries) => f.debug_map().entries(entries.iter().map(|(key, value)| (key, value))).finish(),
        }
    }
}

impl Tree {
    /// Nothing set.
    pub(super) fn empty() -> Tree {
        Tree::Map(Vec::new())
    }

    /// What a scalar means; null for anything larger.
    pub(super) fn scalar(&self) -> &Value {
        match self {
            Tree::Scalar(value) | Tree::Filled(value, _) => value,
            _ => &Value::Null,
        }
    }

    /// The part some steps in.
    pub(super) fn at(&self, path: &[Segment]) -> Option<&Tree> {
        path.iter().try_fold(self, |tree, step| match (tree, step) {
            (Tree::Map(entries), Segment::Key(key)) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            (Tree::List(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        })
    }

    fn part_mut(&mut self, step: &Segment) -> Option<&mut Tree> {
        match (self, step) {
            (Tree::Map(entries), Segment::Key(key)) => {
                entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            (Tree::List(items), Segment::Index(index)) => items.get_mut(*index),
            _ => None,
        }
    }

    /// As [`at`](Self::at), to be changed.
    pub(super) fn at_mut(&mut self, path: &[Segment]) -> Option<&mut Tree> {
        path.iter().try_fold(self, Tree::part_mut)
    }

    /// Takes a key out of a map, its value with it.
    pub(super) fn take(&mut self, key: &str) -> Option<Tree> {
        let Tree::Map(entries) = self else { return None };
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(at).1)
    }
}

/// Fills and reads scalars one after the other.
pub(super) struct Filling<'a> {
    pub(super) from: Surroundings<'a>,
    pub(super) variables: Variables,
    /// Not yet placed.
    pub(super) problems: Vec<Problem>,
}

impl Filling<'_> {
    /// The tree of a node and all below it.
    pub(super) fn tree(&mut self, node: &Node, path: &Path) -> Tree {
        match &*node.content {
            Content::List(items) => {
                Tree::List(items.iter().enumerate().map(|(at, item)| self.tree(item, &path.then(at))).collect())
            }
            Content::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    let path = path.then(key.name.as_str());
                    (key.name.clone(), self.tree(value, &path))
                });
                Tree::Map(entries.collect())
            }
            Content::Tagged => Tree::Told,
            Content::Scalar { text, plain } => self.scalar(text, *plain, path).unwrap_or_else(|problem| {
                self.problems.push(problem.below(path));
                Tree::Told
            }),
        }
    }

    fn scalar(&mut self, written: &str, plain: bool, path: &Path) -> Result<Tree, Problem> {
        let (text, filled) = self.variables.fill(written, path, &mut self.from)?;
        let value = match plain {
            true => scalar::plain(&text).ok_or_else(|| not_finite(&text))?,
            false => Value::String(text.to_string()),
        };
        Ok(if filled { Tree::Filled(value, text.into_owned()) } else { Tree::Scalar(value) })
    }
}

/// No setting is such a number; a field of a message may be, and JSON has words for it.
fn not_finite(text: &str) -> Problem {
    let word = match text.trim_start_matches(['+', '-']) {
        text if text.eq_ignore_ascii_case(".nan") => "NaN",
        _ if text.starts_with('-') => "-Infinity",
        _ => "Infinity",
    };
    let problem = Problem::new("a number must be finite").label("not finite");
    problem.help(format!("in a message, where a field may be that, it is written `{word}`"))
}

#[cfg(test)]
mod tests {
    use super::super::problem::Problems;
    use super::super::{BUILT_IN, Sources, reader};
    use super::*;

    /// What a text says, variables aside.
    fn values(text: &str) -> Value {
        fn plain(tree: Tree) -> Value {
            match tree {
                Tree::List(items) => items.into_iter().map(plain).collect(),
                Tree::Map(entries) => entries.into_iter().map(|(key, value)| (key, plain(value))).collect(),
                scalar => scalar.scalar().clone(),
            }
        }
        let mut problems = Problems::default();
        let outline = reader::read("x.yaml", text, &mut problems).unwrap();
        assert!(problems.is_empty(), "{problems}");
        let from = Surroundings { env: &|_| None, base: std::path::Path::new("."), sources: &mut Sources::default() };
        let mut filling = Filling { from, variables: Variables::default(), problems: Vec::new() };
        plain(filling.tree(&outline.root.unwrap(), &Path::default()))
    }

    #[test]
    fn another_reader_of_yaml_reads_the_same() {
        for text in [
            BUILT_IN,
            "a: 1\nb: [x, 'y', \"z\\n\\u00e9\\x41\"]\nc: { d: ~, e: , f: true }\n",
            "a: |\n  two\n  lines\nb: >-\n  folded\n  text\n\n  and more\nc: |+\n  kept\n\n",
            "a: plain text\n  over lines\nb: 'it''s'\nc: \"over\n  lines\"\n",
            "- - a\n  - b\n-\n  - c\n- {}\n- []\n- ''\n",
            "a: &a { x: [1, 2.5, -3, 0x1f, 0o17, 1e3] }\nb: *a\nc: [*a, *a]\n",
            "? a\n: b\n\"c d\": e # remark\n'f': http://g:1/#h\n",
            "a: no\r\nb: 0123\r\nc: 12:30:45\r\nd: 2001-01-01\r\ne: =\r\n",
            "--- # start\na: \"\"\nb: '#'\n...\n",
            "\u{e4}: \u{1F600}\n",
        ] {
            assert_eq!(values(text), serde_yaml::from_str::<Value>(text).unwrap(), "{text}");
        }
    }
}
