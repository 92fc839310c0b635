//! The messages of protobuf's own that are values in the language.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, SetFieldError, Value as Proto,
};

use super::super::failed::Failed;
use super::super::key::Key;
use super::super::seen::Seen;
use super::super::steps::Steps;
use super::super::time::{Duration, Timestamp};
use super::super::types::WellKnown;
use super::due::Due;
use super::fit::{pack, required};

/// The message that a value is, if it is one of these.
pub(super) fn fit(
    seen: &Seen<'_>,
    of: &MessageDescriptor,
    due: &Due,
    steps: &mut Steps,
) -> Result<Option<DynamicMessage>, Failed> {
    let Some(known) = WellKnown::of(of) else { return Ok(None) };
    let wrong = || due.refuse(format!("is a `{}`, and is given {}", of.full_name(), &*seen.type_name()));
    let no_text = || due.refuse(format!("is given a text that is no `{}`", of.full_name()));
    let made = match (known, seen) {
        (WellKnown::Timestamp, Seen::Timestamp(time)) => parts(of, time.parts()),
        (WellKnown::Timestamp, Seen::String(text)) => parts(of, Timestamp::parse(text).ok_or_else(no_text)?.parts()),
        (WellKnown::Duration, Seen::Duration(span)) => parts(of, span.parts()),
        (WellKnown::Duration, Seen::String(text)) => parts(of, Duration::parse(text).ok_or_else(no_text)?.parts()),
        (WellKnown::Wrapper, seen) => match of.get_field(1) {
            Some(field) => {
                let one = Due::One { kind: field.kind(), name: due.name().to_owned() };
                set(of, 1, required(seen, &one, steps)?)
            }
            None => return Err(wrong()),
        },
        (WellKnown::Value, seen) => anything(seen, of, due, steps)?,
        (WellKnown::Struct, Seen::Map(_)) | (WellKnown::List, Seen::List(_)) => {
            let Some(value) = of.get_field(1).and_then(|field| held(&field.kind())) else { return Err(wrong()) };
            holder(seen, of, &value, due, steps)?
        }
        (WellKnown::Any, Seen::Message(message)) => {
            steps.bytes(super::super::value::message_size(message))?;
            let descriptor = message.descriptor();
            if WellKnown::of(&descriptor) == Some(WellKnown::Any) {
                return Ok(Some(DynamicMessage::clone(message)));
            }
            let url = format!("type.googleapis.com/{}", descriptor.full_name());
            let Proto::Message(any) = pack(of, url, message.encode_to_vec().into())? else { return Err(wrong()) };
            Ok(any)
        }
        _ => return Err(wrong()),
    };
    made.map(Some).map_err(|_| wrong())
}

fn set(of: &MessageDescriptor, number: u32, value: Proto) -> Result<DynamicMessage, SetFieldError> {
    let mut message = DynamicMessage::new(of.clone());
    message.try_set_field_by_number(number, value)?;
    Ok(message)
}

fn parts(of: &MessageDescriptor, (seconds, nanos): (i64, i32)) -> Result<DynamicMessage, SetFieldError> {
    let mut message = set(of, 1, Proto::I64(seconds))?;
    message.try_set_field_by_number(2, Proto::I32(nanos))?;
    Ok(message)
}

/// The `google.protobuf.Value` within a struct's entries or a list's.
fn held(kind: &Kind) -> Option<MessageDescriptor> {
    let of = kind.as_message()?;
    if of.is_map_entry() { of.map_entry_value_field().kind().as_message().cloned() } else { Some(of.clone()) }
}

type Made = Result<DynamicMessage, SetFieldError>;

/// A `google.protobuf.Value`.
fn anything(seen: &Seen<'_>, of: &MessageDescriptor, due: &Due, steps: &mut Steps) -> Result<Made, Failed> {
    steps.one()?;
    let (number, value) = match seen {
        Seen::Null => (1, Proto::EnumNumber(0)),
        // All of its numbers are doubles.
        Seen::Int(value) => (2, Proto::F64(*value as f64)),
        Seen::Uint(value) => (2, Proto::F64(*value as f64)),
        Seen::Double(value) => (2, Proto::F64(*value)),
        Seen::Bool(value) => (4, Proto::Bool(*value)),
        Seen::String(text) | Seen::Type(text) => {
            steps.bytes(text.len())?;
            (3, Proto::String(text.to_string()))
        }
        Seen::Bytes(bytes) => {
            steps.bytes(2 * bytes.len())?;
            (3, Proto::String(STANDARD.encode(bytes)))
        }
        Seen::Timestamp(time) => (3, Proto::String(time.to_string())),
        Seen::Duration(span) => (3, Proto::String(span.to_string())),
        Seen::Map(_) | Seen::List(_) => {
            let number = if matches!(seen, Seen::Map(_)) { 5 } else { 6 };
            let Some(Kind::Message(holds)) = of.get_field(number).map(|field| field.kind()) else {
                return Err(due.refuse("is not what it is elsewhere"));
            };
            match holder(seen, &holds, of, due, steps)? {
                Ok(message) => (number, Proto::Message(message)),
                Err(error) => return Ok(Err(error)),
            }
        }
        Seen::Message(_) => return Err(due.refuse("holds JSON, and is given a message")),
    };
    Ok(set(of, number, value))
}

/// A `google.protobuf.Struct` or `ListValue`.
fn holder(
    seen: &Seen<'_>,
    of: &MessageDescriptor,
    value: &MessageDescriptor,
    due: &Due,
    steps: &mut Steps,
) -> Result<Made, Failed> {
    let mut one = |seen: &Seen<'_>| match anything(seen, value, due, steps)? {
        Ok(message) => Ok(Proto::Message(message)),
        Err(_) => Err(due.refuse("is not what it is elsewhere")),
    };
    let held = match seen {
        Seen::List(list) => Proto::List(list.iter().map(|item| one(&item)).collect::<Result<_, _>>()?),
        Seen::Map(map) => {
            let mut entries = HashMap::with_capacity(map.len());
            for (key, value) in map.entries() {
                let key = match key {
                    Key::String(text) => text.to_string(),
                    Key::Bool(value) => value.to_string(),
                    Key::Int(value) => value.to_string(),
                    Key::Uint(value) => value.to_string(),
                };
                entries.insert(MapKey::String(key), one(&value)?);
            }
            Proto::Map(entries)
        }
        _ => return Err(due.refuse("holds JSON, and is given something else")),
    };
    Ok(set(of, 1, held))
}
