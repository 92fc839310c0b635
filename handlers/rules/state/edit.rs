//! What is done to a value where it lies, and what takes it back: an edit that
//! had to keep the old value would have to copy it.

use std::sync::Arc;

use super::super::expr::{Key, Value};

/// A change of a value, or of what a map has at a key.
#[derive(Debug)]
pub(super) enum Edit {
    Put(Value),
    /// Onto a list, from the front of which so many go.
    Push {
        item: Value,
        dropped: usize,
    },
    /// Off a list, and these to its front: a push taken back.
    Pull {
        front: Vec<Value>,
    },
    /// Out of a map.
    Take,
}

impl Edit {
    /// Changes a value, or what it has at a key; gives what takes that back.
    pub(super) fn make(self, value: &mut Value, at: Option<&Key>) -> Edit {
        match (at, value) {
            (None, value) => self.make_of(value),
            // A key that is not there is no reason for a copy.
            (Some(key), Value::Map(fields)) => match self {
                Edit::Take if !fields.contains_key(key) => Edit::Take,
                Edit::Take => Arc::make_mut(fields).remove(key).map_or(Edit::Take, Edit::Put),
                edit => match Arc::make_mut(fields).get_mut(key) {
                    Some(old) => edit.make_of(old),
                    None => {
                        edit.make_of(Arc::make_mut(fields).entry(key.clone()).or_default());
                        Edit::Take
                    }
                },
            },
            // What fits a key fits a map.
            (Some(_), _) => self,
        }
    }

    fn make_of(self, value: &mut Value) -> Edit {
        match (self, value) {
            (Edit::Put(new), value) => Edit::Put(std::mem::replace(value, new)),
            (Edit::Push { item, dropped }, Value::List(items)) => {
                let items = Arc::make_mut(items);
                let front = items.drain(..dropped.min(items.len())).collect();
                items.push(item);
                Edit::Pull { front }
            }
            (Edit::Pull { front }, Value::List(items)) => {
                let items = Arc::make_mut(items);
                let (item, dropped) = (items.pop().unwrap_or_default(), front.len());
                items.splice(..0, front);
                Edit::Push { item, dropped }
            }
            // What is pushed was seen to fit a list.
            (edit, _) => edit,
        }
    }
}
