//! From the outline to the neutral tree that settings are typed from, variables
//! filled in on the way.

use serde_json::Value;

use super::outline::{Content, Node};
use super::problem::{Path, Problem, Segment};
use super::scalar;
use super::variables::{Surroundings, Variables};

/// A value of the document, before anyone knows its type.
#[derive(Clone, Debug)]
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
            true => scalar::plain(&text).ok_or_else(|| Problem::new("a number must be finite").label("not finite"))?,
            false => Value::String(text.to_string()),
        };
        Ok(if filled { Tree::Filled(value, text.into_owned()) } else { Tree::Scalar(value) })
    }
}
