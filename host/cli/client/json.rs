//! JSON to messages, and what does not fit told as a configuration's mistakes
//! are: where it is, and what would be right.

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::clean;
use super::input::{Given, words};
use super::schema::suggest;
use crate::config::{Path, Problem};

/// The message that a value stands for.
pub(super) fn message(descriptor: &MessageDescriptor, given: &Given) -> Result<DynamicMessage, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(&given.text);
    let error = match DynamicMessage::deserialize(descriptor.clone(), &mut deserializer) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    let offset = offset(&given.text, error.line(), error.column());
    let value: Value = serde_json::from_str(&given.text).unwrap_or_default();
    let name = clean(descriptor.full_name());
    if let Some((problem, word)) = stranger_in_message(descriptor, &value, &Path::default()) {
        // The reader has stopped just behind the word it does not know.
        let written = serde_json::to_string(&word).unwrap_or_default();
        let start = given.text[..offset].rfind(&written).unwrap_or(offset.saturating_sub(1));
        return Err(problem.at(given.place(start..offset.max(start + 1))));
    }
    let start = word_start(&given.text[..offset]);
    Err(Problem::new(format!("this is no {name}: {}", words(&error)))
        .label("does not fit")
        .at(given.place(start..offset.max(start + 1))))
}

/// Bytes to a line and column from 1; columns are bytes there.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    text.floor_char_boundary((start + column).min(text.len()))
}

/// Where the last word of a text begins: what was read when it did not fit.
fn word_start(text: &str) -> usize {
    let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    match text.strip_suffix('"') {
        Some(quoted) => quoted.rfind('"').unwrap_or(last),
        None => last.min(text.trim_end_matches(is_of_word).len()),
    }
}

/// The first field or enum value that a message does not have, and the word that names it.
fn stranger_in_message(descriptor: &MessageDescriptor, value: &Value, path: &Path) -> Option<(Problem, String)> {
    // Their JSON is not made of their fields.
    if descriptor.full_name().starts_with("google.protobuf.") {
        return None;
    }
    value.as_object()?.iter().find_map(|(key, value)| {
        let field = descriptor.get_field_by_json_name(key).or_else(|| descriptor.get_field_by_name(key));
        match field {
            Some(field) => stranger_in_field(&field, value, &path.then(key.as_str())),
            None if descriptor.get_extension_by_json_name(key).is_some() => None,
            None => {
                let known: Vec<_> = descriptor.fields().map(|field| clean(field.json_name())).collect();
                let words = format!("`{}` has no field `{}`", clean(descriptor.full_name()), clean(key));
                let problem = suggest(Problem::new(words).label("unknown field"), key, &known, "fields");
                Some((problem.below(path), key.clone()))
            }
        }
    })
}

fn stranger_in_field(field: &FieldDescriptor, value: &Value, path: &Path) -> Option<(Problem, String)> {
    match value {
        Value::Array(items) if field.is_list() => {
            let mut items = items.iter().enumerate();
            items.find_map(|(at, item)| stranger_in(&field.kind(), item, &path.then(at)))
        }
        Value::Object(entries) if field.is_map() => {
            let kind = field.kind().as_message()?.map_entry_value_field().kind();
            entries.iter().find_map(|(key, value)| stranger_in(&kind, value, &path.then(key.as_str())))
        }
        value => stranger_in(&field.kind(), value, path),
    }
}

fn stranger_in(kind: &Kind, value: &Value, path: &Path) -> Option<(Problem, String)> {
    match kind {
        Kind::Message(message) => stranger_in_message(message, value, path),
        Kind::Enum(descriptor) => stranger_in_enum(descriptor, value.as_str()?, path),
        _ => None,
    }
}

fn stranger_in_enum(descriptor: &EnumDescriptor, name: &str, path: &Path) -> Option<(Problem, String)> {
    if descriptor.get_value_by_name(name).is_some() || name.parse::<i32>().is_ok() {
        return None;
    }
    let known: Vec<_> = descriptor.values().map(|value| clean(value.name())).collect();
    let words = format!("`{}` has no value `{}`", clean(descriptor.full_name()), clean(name));
    let problem = suggest(Problem::new(words).label("unknown value"), name, &known, "values");
    Some((problem.below(path), name.to_owned()))
}
