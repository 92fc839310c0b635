//! Maps as an evaluation sees them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use prost_reflect::{MapKey, Value as Proto};

use super::key::{AsKey, Key, KeyView};
use super::seen::{Seen, Text};
use super::value::Fields;

/// A map, wherever its entries lie.
#[derive(Clone)]
pub(super) enum Map<'a> {
    /// In a message.
    Field(&'a HashMap<MapKey, Proto>),
    /// In a value that is kept.
    Kept(&'a Arc<Fields>),
    /// In the evaluation.
    Made(Arc<BTreeMap<Key, Seen<'a>>>),
}

impl<'a> Map<'a> {
    /// A map that lies nowhere else.
    pub(super) fn owned(entries: HashMap<MapKey, Proto>) -> Map<'a> {
        let entries = entries.into_iter().map(|(key, value)| (key_of(&key), Seen::owned(value)));
        Map::Made(Arc::new(entries.collect()))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Map::Field(entries) => entries.len(),
            Map::Kept(fields) => fields.len(),
            Map::Made(entries) => entries.len(),
        }
    }

    pub(super) fn get(&self, key: KeyView<'_>) -> Option<Seen<'a>> {
        match self {
            Map::Field(entries) => {
                // All of a field's keys are of one kind.
                let key = map_key(key, entries.keys().next()?)?;
                entries.get(&key).map(Seen::proto)
            }
            Map::Kept(fields) => fields.get(&key as &dyn AsKey).map(Seen::value),
            Map::Made(entries) => entries.get(&key as &dyn AsKey).cloned(),
        }
    }

    /// The keys, in their order.
    pub(super) fn keys(&self) -> Vec<Seen<'a>> {
        match self {
            Map::Field(entries) => {
                let mut keys: Vec<&'a MapKey> = entries.keys().collect();
                keys.sort_unstable();
                keys.into_iter().map(key_seen).collect()
            }
            Map::Kept(fields) => fields.keys().map(Seen::key).collect(),
            Map::Made(entries) => entries.keys().map(|key| Seen::key(key).held()).collect(),
        }
    }

    /// The entries, in the order of their keys.
    pub(super) fn entries(&self) -> Vec<(Key, Seen<'a>)> {
        match self {
            Map::Field(entries) => {
                let mut entries: Vec<_> =
                    entries.iter().map(|(key, value)| (key_of(key), Seen::proto(value))).collect();
                entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                entries
            }
            Map::Kept(fields) => fields.iter().map(|(key, value)| (key.clone(), Seen::value(value))).collect(),
            Map::Made(entries) => entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

impl<'a> Seen<'a> {
    /// A key as a value.
    pub(super) fn key(key: &'a Key) -> Self {
        match key {
            Key::Bool(value) => Seen::Bool(*value),
            Key::Int(value) => Seen::Int(*value),
            Key::Uint(value) => Seen::Uint(*value),
            Key::String(text) => Seen::String(Text::Lent(text)),
        }
    }

    /// A scalar that borrows nothing.
    fn held<'b>(self) -> Seen<'b> {
        match self {
            Seen::Bool(value) => Seen::Bool(value),
            Seen::Int(value) => Seen::Int(value),
            Seen::Uint(value) => Seen::Uint(value),
            Seen::String(text) => Seen::text(&*text),
            _ => Seen::Null,
        }
    }

    /// The value as a key, if it can be one: a whole number of any type, a
    /// text, a bool.
    pub(super) fn as_key(&self) -> Option<KeyView<'_>> {
        Some(match self {
            Seen::Bool(value) => KeyView::Bool(*value),
            Seen::Int(value) => KeyView::Number((*value).into()),
            Seen::Uint(value) => KeyView::Number((*value).into()),
            Seen::Double(value) if value.fract() == 0.0 && value.abs() < 1e19 => KeyView::Number(*value as i128),
            Seen::String(text) => KeyView::String(text),
            _ => return None,
        })
    }

    /// The value as a key that is kept.
    pub(super) fn to_key(&self) -> Option<Key> {
        Some(match self {
            Seen::Bool(value) => Key::Bool(*value),
            Seen::Int(value) => Key::Int(*value),
            Seen::Uint(value) => Key::Uint(*value),
            Seen::String(Text::Made(text)) => Key::String(text.clone()),
            Seen::String(Text::Lent(text)) => Key::String((*text).into()),
            _ => return None,
        })
    }
}

fn key_of(key: &MapKey) -> Key {
    match key {
        MapKey::Bool(value) => Key::Bool(*value),
        MapKey::I32(value) => Key::Int((*value).into()),
        MapKey::I64(value) => Key::Int(*value),
        MapKey::U32(value) => Key::Uint((*value).into()),
        MapKey::U64(value) => Key::Uint(*value),
        MapKey::String(text) => Key::String(text.as_str().into()),
    }
}

fn key_seen(key: &MapKey) -> Seen<'_> {
    match key {
        MapKey::Bool(value) => Seen::Bool(*value),
        MapKey::I32(value) => Seen::Int((*value).into()),
        MapKey::I64(value) => Seen::Int(*value),
        MapKey::U32(value) => Seen::Uint((*value).into()),
        MapKey::U64(value) => Seen::Uint(*value),
        MapKey::String(text) => Seen::String(Text::Lent(text)),
    }
}

/// A key of the same kind as another.
fn map_key(key: KeyView<'_>, like: &MapKey) -> Option<MapKey> {
    Some(match (key, like) {
        (KeyView::Bool(value), MapKey::Bool(_)) => MapKey::Bool(value),
        (KeyView::Number(value), MapKey::I32(_)) => MapKey::I32(value.try_into().ok()?),
        (KeyView::Number(value), MapKey::I64(_)) => MapKey::I64(value.try_into().ok()?),
        (KeyView::Number(value), MapKey::U32(_)) => MapKey::U32(value.try_into().ok()?),
        (KeyView::Number(value), MapKey::U64(_)) => MapKey::U64(value.try_into().ok()?),
        (KeyView::String(text), MapKey::String(_)) => MapKey::String(text.to_owned()),
        _ => return None,
    })
}
