//! Two messages of one name, field by field.

use std::collections::HashSet;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

use super::Walk;
use crate::host::schema::clean;

/// Types that read what each other writes.
#[derive(PartialEq, Eq)]
enum Coding {
    Varint,
    ZigZag,
    Fixed32,
    Fixed64,
    Float,
    Double,
    Text,
    Message,
}

fn coding(kind: &Kind) -> Coding {
    match kind {
        Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Bool | Kind::Enum(_) => Coding::Varint,
        Kind::Sint32 | Kind::Sint64 => Coding::ZigZag,
        Kind::Fixed32 | Kind::Sfixed32 => Coding::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Coding::Fixed64,
        Kind::Float => Coding::Float,
        Kind::Double => Coding::Double,
        Kind::String | Kind::Bytes => Coding::Text,
        Kind::Message(_) => Coding::Message,
    }
}

impl Walk {
    pub(super) fn message(&mut self, was: &MessageDescriptor, is: &MessageDescriptor) {
        for old in was.fields() {
            let (name, number) = (old.name(), old.number());
            // A name may change. One that goes on under another number is the
            // same field, whatever has its number now.
            let moved = is.get_field_by_name(name).map(|field| field.number()).filter(|now| *now != number);
            match (moved, is.get_field(number)) {
                (Some(now), _) => {
                    let what = format!("had the number {number}, and has {now}");
                    self.found(&is.parent_file(), old.full_name(), what);
                }
                (None, Some(new)) => self.field(&old, &new),
                (None, None) => {}
            }
        }
    }

    fn field(&mut self, was: &FieldDescriptor, is: &FieldDescriptor) {
        let number = was.number();
        let mut found = |what: String| {
            let what = if was.name() == is.name() {
                what
            } else {
                format!("gave the number {number} to `{}`, and {what}", clean(is.name()))
            };
            self.found(&is.parent_file(), was.full_name(), what);
        };
        let (before, after) = (was.kind(), is.kind());
        if coding(&before) != coding(&after) || was.is_group() != is.is_group() {
            return found(format!("was {}, and is {}", told(was), told(is)));
        }
        if was.is_map() != is.is_map() {
            return found(format!("was {}, and is {}", told(was), told(is)));
        }
        let required = |field: &FieldDescriptor| field.cardinality() == Cardinality::Required;
        match (required(was), required(is)) {
            (true, false) => found("was required, and callers may be left without".to_owned()),
            (false, true) => found("is required, and callers may leave it out".to_owned()),
            _ => {}
        }
        // Whoever expects one takes the last of many, unless they come in one packet.
        let packed = |field: &FieldDescriptor| field.is_list() && field.is_packed();
        if was.is_list() != is.is_list() && (packed(was) || packed(is)) {
            found(format!("was {}, and is {}", told(was), told(is)));
        }
        if let Some(what) = moved(was, is) {
            found(what);
        }
        match (before, after) {
            (Kind::Enum(before), Kind::Enum(after)) => self.enumeration(&before, &after),
            (Kind::Message(before), Kind::Message(after)) => {
                if before.full_name() == after.full_name() || was.is_map() {
                    self.messages.push((before, after));
                } else {
                    found(format!("was {}, and is {}", told(was), told(is)));
                }
            }
            _ => {}
        }
    }
}

/// Whether a field shares a oneof with others than it did, among those that both know.
fn moved(was: &FieldDescriptor, is: &FieldDescriptor) -> Option<String> {
    let (old, new) = (was.parent_message(), is.parent_message());
    let beside = |field: &FieldDescriptor| -> HashSet<u32> {
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        let numbers = oneof.iter().flat_map(|oneof| oneof.fields()).map(|field| field.number());
        let both = numbers.filter(|number| old.get_field(*number).is_some() && new.get_field(*number).is_some());
        both.filter(|number| *number != field.number()).collect()
    };
    let (before, after) = (beside(was), beside(is));
    let name = |number: &u32| old.get_field(*number).map(|field| clean(field.name())).unwrap_or_default();
    let joined = after.difference(&before).min().map(|number| format!("now excludes `{}`", name(number)));
    joined.or_else(|| before.difference(&after).min().map(|number| format!("no longer excludes `{}`", name(number))))
}

/// What a field is, as a `.proto` would have it.
fn told(field: &FieldDescriptor) -> String {
    let name = |kind: &Kind| match kind {
        Kind::Message(message) => format!("`{}`", clean(message.full_name())),
        Kind::Enum(descriptor) => format!("`{}`", clean(descriptor.full_name())),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        return format!("map<{}, {}>", name(&key.kind()), name(&value.kind()));
    }
    let repeated = if field.is_list() { "repeated " } else { "" };
    let group = if field.is_group() { "the group " } else { "" };
    format!("{repeated}{group}{}", name(&field.kind()))
}
