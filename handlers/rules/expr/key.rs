//! Keys of maps.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

/// What a map is looked up by. Numbers are equal by what they count, whatever
/// their sign's type.
#[derive(Clone, Debug)]
pub(in crate::handlers::rules) enum Key {
    /// `true` or `false`.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// Text.
    String(Arc<str>),
}

/// A key that may be borrowed from somewhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyView<'a> {
    Bool(bool),
    Number(i128),
    String(&'a str),
}

/// What can be looked up without being made a [`Key`] first.
pub(super) trait AsKey {
    fn view(&self) -> KeyView<'_>;
}

impl AsKey for Key {
    fn view(&self) -> KeyView<'_> {
        match self {
            Key::Bool(value) => KeyView::Bool(*value),
            Key::Int(value) => KeyView::Number((*value).into()),
            Key::Uint(value) => KeyView::Number((*value).into()),
            Key::String(value) => KeyView::String(value),
        }
    }
}

impl AsKey for KeyView<'_> {
    fn view(&self) -> KeyView<'_> {
        *self
    }
}

impl<'a> Borrow<dyn AsKey + 'a> for Key {
    fn borrow(&self) -> &(dyn AsKey + 'a) {
        self
    }
}

impl PartialEq for dyn AsKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl Eq for dyn AsKey + '_ {}

impl PartialOrd for dyn AsKey + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn AsKey + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.view().cmp(&other.view())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.view() == other.view()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.view().cmp(&other.view())
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Key {
        Key::String(key.into())
    }
}

impl From<i64> for Key {
    fn from(key: i64) -> Key {
        Key::Int(key)
    }
}
