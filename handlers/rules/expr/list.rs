//! Lists as an evaluation sees them.

use std::sync::Arc;

use prost_reflect::Value as Proto;

use super::seen::Seen;
use super::value::Value;

/// A list, wherever its items lie.
#[derive(Clone)]
pub(super) enum List<'a> {
    /// In a message.
    Field(&'a [Proto]),
    /// In a value that is kept.
    Kept(&'a Arc<Vec<Value>>),
    /// In the evaluation.
    Made(Arc<[Seen<'a>]>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Field(items) => items.len(),
            List::Kept(items) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<Seen<'a>> {
        match self {
            List::Field(items) => items.get(at).map(Seen::proto),
            List::Kept(items) => items.get(at).map(Seen::value),
            List::Made(items) => items.get(at).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = Seen<'a>> + '_ {
        let mut at = 0..self.len();
        let next = move || at.next().and_then(|at| self.get(at));
        Items { next, left: self.len() }
    }
}

/// Items that are counted.
struct Items<F> {
    next: F,
    left: usize,
}

impl<'a, F: FnMut() -> Option<Seen<'a>>> Iterator for Items<F> {
    type Item = Seen<'a>;

    fn next(&mut self) -> Option<Seen<'a>> {
        self.left = self.left.saturating_sub(1);
        (self.next)()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, F: FnMut() -> Option<Seen<'a>>> ExactSizeIterator for Items<F> {}
