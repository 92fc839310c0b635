//! Values as an evaluation sees them: borrowed from where they lie.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value as Proto};

use super::failed::Failed;
use super::list::List;
use super::map::Map;
use super::message::Message;
use super::steps::Steps;
use super::time::{Duration, NANOS, Timestamp};
use super::types::WellKnown;
use super::value::{DEEPEST, Value, message_size};

/// A value during an evaluation. A clone copies nothing.
#[derive(Clone)]
pub(super) enum Seen<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Bytes),
    Timestamp(Timestamp),
    Duration(Duration),
    List(List<'a>),
    Map(Map<'a>),
    Message(Message<'a>),
    /// A type, by its name.
    Type(Text<'a>),
}

/// Text, lent or made.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Lent(&'a str),
    Made(Arc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Lent(text) => text,
            Text::Made(text) => text,
        }
    }
}

impl<'a> Seen<'a> {
    /// A text made by the evaluation.
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Seen::String(Text::Made(text.into()))
    }

    /// A list made by the evaluation.
    pub(super) fn list(items: Vec<Seen<'a>>) -> Self {
        Seen::List(List::Made(items.into()))
    }

    /// A value that is kept.
    pub(super) fn value(value: &'a Value) -> Self {
        match value {
            Value::Null => Seen::Null,
            Value::Bool(value) => Seen::Bool(*value),
            Value::Int(value) => Seen::Int(*value),
            Value::Uint(value) => Seen::Uint(*value),
            Value::Double(value) => Seen::Double(*value),
            Value::String(text) => Seen::String(Text::Lent(text)),
            Value::Bytes(bytes) => Seen::Bytes(bytes.clone()),
            Value::Timestamp(value) => Seen::Timestamp(*value),
            Value::Duration(value) => Seen::Duration(*value),
            Value::List(items) => Seen::List(List::Kept(items)),
            Value::Map(fields) => Seen::Map(Map::Kept(fields)),
            Value::Message(message) => Seen::Message(Message::Kept(message)),
        }
    }

    /// A field's value, or an element of one.
    pub(super) fn proto(value: &'a Proto) -> Self {
        match value {
            Proto::String(text) => Seen::String(Text::Lent(text)),
            Proto::Message(message) => Seen::message(message),
            Proto::List(items) => Seen::List(List::Field(items)),
            Proto::Map(entries) => Seen::Map(Map::Field(entries)),
            scalar => Seen::scalar(scalar),
        }
    }

    /// A field's value that lies nowhere else.
    pub(super) fn owned(value: Proto) -> Self {
        match value {
            Proto::String(text) => Seen::text(text),
            Proto::List(items) => Seen::list(items.into_iter().map(Seen::owned).collect()),
            Proto::Map(entries) => Seen::Map(Map::owned(entries)),
            Proto::Message(message) => match WellKnown::of(&message.descriptor()) {
                None | Some(WellKnown::Any) => Seen::Message(Message::Made(Arc::new(message))),
                Some(WellKnown::Timestamp | WellKnown::Duration) => Seen::time(&message),
                Some(WellKnown::Value) => match { message }.take_fields().next() {
                    Some((field, value)) if field.number() != 1 => Seen::owned(value),
                    _ => Seen::Null,
                },
                // What they hold is their one field's value.
                Some(WellKnown::Struct | WellKnown::List | WellKnown::Wrapper) => {
                    message.get_field_by_number(1).map_or(Seen::Null, |value| Seen::owned(value.into_owned()))
                }
            },
            scalar => Seen::scalar(&scalar),
        }
    }

    fn scalar(value: &Proto) -> Self {
        match value {
            Proto::Bool(value) => Seen::Bool(*value),
            Proto::I32(value) => Seen::Int((*value).into()),
            Proto::I64(value) => Seen::Int(*value),
            Proto::U32(value) => Seen::Uint((*value).into()),
            Proto::U64(value) => Seen::Uint(*value),
            Proto::F32(value) => Seen::Double((*value).into()),
            Proto::F64(value) => Seen::Double(*value),
            Proto::Bytes(bytes) => Seen::Bytes(bytes.clone()),
            Proto::EnumNumber(number) => Seen::Int((*number).into()),
            _ => Seen::Null,
        }
    }

    /// A message, or the value that it is in the language.
    pub(super) fn message(message: &'a DynamicMessage) -> Self {
        match WellKnown::of(&message.descriptor()) {
            // An Any is looked into when a field is read, and not before: they nest without end.
            None | Some(WellKnown::Any) => Seen::Message(Message::Lent(message)),
            Some(WellKnown::Timestamp | WellKnown::Duration) => Seen::time(message),
            Some(WellKnown::Value) => match message.fields().next() {
                Some((field, value)) if field.number() != 1 => Seen::proto(value),
                _ => Seen::Null,
            },
            Some(WellKnown::Struct | WellKnown::List | WellKnown::Wrapper) => match message.get_field_by_number(1) {
                Some(Cow::Borrowed(value)) => Seen::proto(value),
                Some(Cow::Owned(default)) => Seen::owned(default),
                None => Seen::Null,
            },
        }
    }

    fn time(message: &DynamicMessage) -> Self {
        let part = |number| message.get_field_by_number(number);
        let seconds = part(1).and_then(|value| value.as_i64()).unwrap_or_default();
        let nanos = part(2).and_then(|value| value.as_i32()).unwrap_or_default();
        let total = i128::from(seconds) * NANOS + i128::from(nanos);
        if WellKnown::of(&message.descriptor()) == Some(WellKnown::Timestamp) {
            Seen::Timestamp(Timestamp::nearest(total))
        } else {
            Seen::Duration(Duration::nearest(total))
        }
    }

    /// As it is kept. What is shared already is shared on; what is borrowed is
    /// copied, at a price.
    pub(super) fn keep(&self, steps: &mut Steps) -> Result<Value, Failed> {
        self.keep_below(0, steps)
    }

    fn keep_below(&self, above: usize, steps: &mut Steps) -> Result<Value, Failed> {
        steps.one()?;
        if above > DEEPEST {
            return Err(Failed::TooDeep);
        }
        let shared = |value: Value, steps: &mut Steps| {
            // On its own it was kept before, and nests no deeper now.
            if above > 0 && above + value.depth(steps)? > DEEPEST { Err(Failed::TooDeep) } else { Ok(value) }
        };
        Ok(match self {
            Seen::Null => Value::Null,
            Seen::Bool(value) => Value::Bool(*value),
            Seen::Int(value) => Value::Int(*value),
            Seen::Uint(value) => Value::Uint(*value),
            Seen::Double(value) => Value::Double(*value),
            Seen::String(Text::Made(text)) | Seen::Type(Text::Made(text)) => Value::String(text.clone()),
            Seen::String(Text::Lent(text)) | Seen::Type(Text::Lent(text)) => {
                steps.bytes(text.len())?;
                Value::String((*text).into())
            }
            Seen::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Seen::Timestamp(value) => Value::Timestamp(*value),
            Seen::Duration(value) => Value::Duration(*value),
            Seen::List(List::Kept(items)) => shared(Value::List((*items).clone()), steps)?,
            Seen::List(list) => {
                let items = list.iter().map(|item| item.keep_below(above + 1, steps)).collect::<Result<Vec<_>, _>>()?;
                Value::List(items.into())
            }
            Seen::Map(Map::Kept(fields)) => shared(Value::Map((*fields).clone()), steps)?,
            Seen::Map(map) => {
                let entries =
                    map.entries().into_iter().map(|(key, value)| Ok((key, value.keep_below(above + 1, steps)?)));
                Value::Map(Arc::new(entries.collect::<Result<_, Failed>>()?))
            }
            Seen::Message(Message::Kept(message)) => Value::Message((*message).clone()),
            Seen::Message(Message::Made(message)) => Value::Message(message.clone()),
            Seen::Message(Message::Lent(message)) => {
                steps.bytes(message_size(message))?;
                Value::Message(Arc::new((*message).clone()))
            }
        })
    }

    /// As it is kept, where its size is bounded elsewhere.
    pub(super) fn kept(&self) -> Value {
        self.keep(&mut Steps::unlimited()).unwrap_or_default()
    }

    /// The name of its type.
    pub(super) fn type_name(&self) -> Text<'a> {
        Text::Lent(match self {
            Seen::Null => "null_type",
            Seen::Bool(_) => "bool",
            Seen::Int(_) => "int",
            Seen::Uint(_) => "uint",
            Seen::Double(_) => "double",
            Seen::String(_) => "string",
            Seen::Bytes(_) => "bytes",
            Seen::Timestamp(_) => "google.protobuf.Timestamp",
            Seen::Duration(_) => "google.protobuf.Duration",
            Seen::List(_) => "list",
            Seen::Map(_) => "map",
            Seen::Type(_) => "type",
            Seen::Message(message) => return Text::Made(message.descriptor().full_name().into()),
        })
    }
}
