//! Making a value what a field holds.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Proto};

use super::super::failed::Failed;
use super::super::functions::from_base64;
use super::super::key::Key;
use super::super::map::Map;
use super::super::message::Message;
use super::super::seen::Seen;
use super::super::steps::Steps;
use super::super::value::{message_size, too_deep};
use super::due::{Due, Shape};
use super::{known, literal};

/// What the field is set to; nothing where it stays unset.
pub(super) fn fit(seen: &Seen<'_>, due: &Due, steps: &mut Steps) -> Result<Option<Proto>, Failed> {
    steps.one()?;
    match (due.shape(), seen) {
        (_, Seen::Null) if !due.holds_anything() => Ok(None),
        (Shape::List, Seen::List(list)) => {
            let item = due.item();
            let items = list.iter().map(|value| required(&value, &item, steps)).collect::<Result<_, _>>()?;
            Ok(Some(Proto::List(items)))
        }
        (Shape::Map, Seen::Map(map)) => {
            let (key_due, value_due) = (due.key(), due.value());
            let mut entries = HashMap::with_capacity(map.len());
            for (key, value) in map.entries() {
                let key = match (&key, key_due.shape()) {
                    // As JSON has them, all keys are texts.
                    (Key::String(text), Shape::One(kind)) => self::key(text, &kind),
                    _ => required(&Seen::key(&key), &key_due, steps)?.into_map_key(),
                };
                let key = key.ok_or_else(|| due.refuse("cannot have such a key"))?;
                steps.one()?;
                entries.insert(key, required(&value, &value_due, steps)?);
            }
            Ok(Some(Proto::Map(entries)))
        }
        (Shape::List | Shape::Map, other) => Err(unfit(other, due)),
        (Shape::One(kind), seen) => one(seen, &kind, due, steps).map(Some),
    }
}

/// The same where nothing cannot stand.
pub(super) fn required(seen: &Seen<'_>, due: &Due, steps: &mut Steps) -> Result<Proto, Failed> {
    fit(seen, due, steps)?.ok_or_else(|| due.refuse("is given null among its values"))
}

fn unfit(seen: &Seen<'_>, due: &Due) -> Failed {
    due.refuse(format!("is {}, and is given {}", due.said(), &*seen.type_name()))
}

fn one(seen: &Seen<'_>, kind: &Kind, due: &Due, steps: &mut Steps) -> Result<Proto, Failed> {
    let wrong = || unfit(seen, due);
    let beyond = || due.refuse(format!("is {}, and is given a number that is none", due.said()));
    Ok(match kind {
        Kind::Message(of) => return message(seen, of, due, steps),
        Kind::Bool => match seen {
            Seen::Bool(value) => Proto::Bool(*value),
            _ => return Err(wrong()),
        },
        Kind::String => match seen {
            Seen::String(text) => {
                steps.bytes(text.len())?;
                Proto::String(text.to_string())
            }
            _ => return Err(wrong()),
        },
        Kind::Bytes => match seen {
            Seen::Bytes(bytes) => Proto::Bytes(bytes.clone()),
            // As JSON has them: in tables, and wherever no type is known.
            Seen::String(text) => {
                steps.bytes(text.len())?;
                Proto::Bytes(from_base64(text).ok_or_else(wrong)?.into())
            }
            _ => return Err(wrong()),
        },
        Kind::Enum(of) => match seen {
            Seen::String(name) => match of.get_value_by_name(name) {
                Some(value) => Proto::EnumNumber(value.number()),
                None => return Err(due.refuse(format!("is given a name that `{}` does not have", of.full_name()))),
            },
            seen => {
                let number = whole(seen).ok_or_else(wrong)?.try_into().map_err(|_| beyond())?;
                if !literal::may_be(of, number) {
                    return Err(due.refuse(format!("is given a number that `{}` does not have", of.full_name())));
                }
                Proto::EnumNumber(number)
            }
        },
        Kind::Double => Proto::F64(real(seen).ok_or_else(wrong)?),
        Kind::Float => {
            let value = real(seen).ok_or_else(wrong)?;
            let narrow = value as f32;
            if value.is_finite() && narrow.is_infinite() {
                return Err(beyond());
            }
            Proto::F32(narrow)
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Proto::I32(number(seen, due)?.try_into().map_err(|_| beyond())?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Proto::I64(number(seen, due)?.try_into().map_err(|_| beyond())?),
        Kind::Uint32 | Kind::Fixed32 => Proto::U32(number(seen, due)?.try_into().map_err(|_| beyond())?),
        Kind::Uint64 | Kind::Fixed64 => Proto::U64(number(seen, due)?.try_into().map_err(|_| beyond())?),
    })
}

fn number(seen: &Seen<'_>, due: &Due) -> Result<i128, Failed> {
    match (whole(seen), seen) {
        (Some(value), _) => Ok(value),
        (None, Seen::Double(_)) => Err(due.refuse(format!("is {}, and is given a fraction", due.said()))),
        (None, other) => Err(unfit(other, due)),
    }
}

/// A whole number, whatever it is written as.
fn whole(seen: &Seen<'_>) -> Option<i128> {
    match seen {
        Seen::Int(value) => Some((*value).into()),
        Seen::Uint(value) => Some((*value).into()),
        Seen::Double(value) if value.fract() == 0.0 => Some(*value as i128),
        Seen::String(text) => text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from)).ok(),
        _ => None,
    }
}

/// A number of any type, or a text that JSON has for one.
fn real(seen: &Seen<'_>) -> Option<f64> {
    match seen {
        Seen::Int(value) => Some(*value as f64),
        Seen::Uint(value) => Some(*value as f64),
        Seen::Double(value) => Some(*value),
        Seen::String(text) => literal::real(text),
        _ => None,
    }
}

fn message(seen: &Seen<'_>, of: &MessageDescriptor, due: &Due, steps: &mut Steps) -> Result<Proto, Failed> {
    if let Some(known) = known::fit(seen, of, due, steps)? {
        return Ok(Proto::Message(known));
    }
    match seen {
        Seen::Message(message) => same(message, of, due, steps).map(Proto::Message),
        Seen::Map(map) => from_map(map, of, due, steps).map(Proto::Message),
        other => Err(unfit(other, due)),
    }
}

/// A message as it is, or what an Any holds.
fn same(message: &Message<'_>, of: &MessageDescriptor, due: &Due, steps: &mut Steps) -> Result<DynamicMessage, Failed> {
    let descriptor = message.descriptor();
    if descriptor.full_name() != of.full_name() {
        return match message.unpacked(steps)? {
            Some(packed) if packed.descriptor().full_name() == of.full_name() => same(&packed, of, due, steps),
            _ => Err(unfit(&Seen::Message(message.clone()), due)),
        };
    }
    steps.bytes(message_size(message))?;
    if too_deep(message) {
        return Err(Failed::TooDeep);
    }
    if descriptor == *of {
        return Ok(DynamicMessage::clone(message));
    }
    // Of the same name in another schema: over the wire, as between two hosts.
    DynamicMessage::decode(of.clone(), message.encode_to_vec().as_slice())
        .map_err(|_| due.refuse("is given a message of another schema, which does not fit"))
}

/// A message from its fields by name.
fn from_map(map: &Map<'_>, of: &MessageDescriptor, due: &Due, steps: &mut Steps) -> Result<DynamicMessage, Failed> {
    let mut message = DynamicMessage::new(of.clone());
    for (key, value) in map.entries() {
        let Key::String(name) = &key else {
            return Err(due.refuse("is a message, and is given a map whose keys are no names"));
        };
        let field = of.get_field_by_name(name).or_else(|| of.get_field_by_json_name(name));
        let Some(field) = field else {
            return Err(due.refuse(format!("is a `{}`, and is given a field that it does not have", of.full_name())));
        };
        let due = Due::Field(field.clone());
        if let Some(value) = fit(&value, &due, steps)? {
            message.try_set_field(&field, value).map_err(|_| due.refuse("cannot hold what it is given"))?;
        }
    }
    Ok(message)
}

/// An Any of what was encoded.
pub(super) fn pack(any: &MessageDescriptor, url: String, bytes: Bytes) -> Result<Proto, Failed> {
    let mut message = DynamicMessage::new(any.clone());
    let set = message
        .try_set_field_by_number(1, Proto::String(url))
        .and_then(|()| message.try_set_field_by_number(2, Proto::Bytes(bytes)));
    match set {
        Ok(()) => Ok(Proto::Message(message)),
        Err(_) => {
            Err(Failed::Field { field: any.full_name().to_owned(), why: "is not what it is elsewhere".to_owned() })
        }
    }
}

/// A key as a field holds it.
pub(super) fn key(text: &str, kind: &Kind) -> Option<MapKey> {
    Some(match kind {
        Kind::Bool => MapKey::Bool(text.parse().ok()?),
        Kind::String => MapKey::String(text.to_owned()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(text.parse().ok()?),
        _ => return None,
    })
}
