//! Values that outlive the evaluation that made them: state, tables, results.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value as Proto};

use super::failed::Failed;
use super::key::Key;
use super::seen::Seen;
use super::steps::Steps;
use super::time::{Duration, Timestamp};

/// The entries of a map, in the order of their keys.
pub(in crate::handlers::rules) type Fields = BTreeMap<Key, Value>;

/// A value that can be kept. A clone shares what is large; a change copies it
/// first only if somebody else holds it too.
#[derive(Clone, Default)]
pub(in crate::handlers::rules) enum Value {
    /// Nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Bytes),
    /// A point in time.
    Timestamp(Timestamp),
    /// A span of time.
    Duration(Duration),
    /// Any number of values.
    List(Arc<Vec<Value>>),
    /// Values by keys.
    Map(Arc<Fields>),
    /// A message, read by its fields.
    Message(Arc<DynamicMessage>),
}

/// As the language writes it; messages in protobuf's text format.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Uint(value) => write!(f, "{value}u"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => write!(f, "{bytes:?}"),
            Value::Timestamp(time) => write!(f, "{time}"),
            Value::Duration(span) => write!(f, "{span}"),
            Value::List(items) => f.debug_list().entries(items.iter()).finish(),
            Value::Map(fields) => f.debug_map().entries(fields.iter()).finish(),
            Value::Message(message) => write!(f, "{} {{{message}}}", message.descriptor().full_name()),
        }
    }
}

/// What a value takes beside what it holds.
const OVERHEAD: usize = size_of::<Value>();

/// How much of a value is counted.
const COUNTED: usize = 1 << 30;

/// How many values within another are looked at before that is refused.
const WALKED: u64 = 1_000_000;

/// The most lists and maps within each other.
pub(super) const DEEPEST: usize = 64;

impl Value {
    /// About how many bytes it takes, shared parts counted wherever they are
    /// seen. What takes more than a GiB is not counted to its end.
    pub(in crate::handlers::rules) fn size_bytes(&self) -> usize {
        let mut size = 0;
        self.count(&mut size);
        size
    }

    fn count(&self, size: &mut usize) {
        *size += OVERHEAD;
        match self {
            Value::String(text) => *size += text.len(),
            Value::Bytes(bytes) => *size += bytes.len(),
            Value::Message(message) => *size += message_size(message),
            // A list that holds another twice, and so on, has no end worth waiting for.
            Value::List(items) => {
                for item in items.iter() {
                    if *size >= COUNTED {
                        break;
                    }
                    item.count(size);
                }
            }
            Value::Map(fields) => {
                for (key, value) in fields.iter() {
                    if *size >= COUNTED {
                        break;
                    }
                    *size += key.size_bytes();
                    value.count(size);
                }
            }
            _ => {}
        }
    }

    /// How deep it nests, if that is within what is walked on an ordinary stack.
    pub(super) fn depth(&self, steps: &mut Steps) -> Result<usize, Failed> {
        self.depth_below(DEEPEST, steps)
    }

    fn depth_below(&self, allowed: usize, steps: &mut Steps) -> Result<usize, Failed> {
        let mut deepest = |items: &mut dyn Iterator<Item = &Value>| {
            let allowed = allowed.checked_sub(1).ok_or(Failed::TooDeep)?;
            let mut deepest = 0;
            for item in items {
                steps.one()?;
                deepest = deepest.max(item.depth_below(allowed, steps)?);
            }
            Ok(deepest + 1)
        };
        match self {
            Value::List(items) => deepest(&mut items.iter()),
            Value::Map(fields) => deepest(&mut fields.values()),
            _ => Ok(0),
        }
    }

    /// The items, where they are asked for to do something with.
    pub(in crate::handlers::rules) fn items(&self, operation: &str) -> Result<&[Value], Failed> {
        match self {
            Value::List(items) => Ok(items),
            other => Err(Failed::unfit(operation, &[Seen::value(other)])),
        }
    }

    /// The entries, where they are asked for to do something with.
    pub(in crate::handlers::rules) fn fields(&self, operation: &str) -> Result<&Fields, Failed> {
        match self {
            Value::Map(fields) => Ok(fields),
            other => Err(Failed::unfit(operation, &[Seen::value(other)])),
        }
    }

    /// Whether it may be put so many levels deep into what is kept.
    pub(in crate::handlers::rules) fn may_be_put(&self, levels: usize) -> Result<(), Failed> {
        self.depth_below(DEEPEST.saturating_sub(levels), &mut Steps::new(WALKED)).map(drop)
    }

    /// The value as a key, if it is of a type that may be one.
    pub(in crate::handlers::rules) fn as_key(&self) -> Option<Key> {
        Some(match self {
            Value::Bool(value) => Key::Bool(*value),
            Value::Int(value) => Key::Int(*value),
            Value::Uint(value) => Key::Uint(*value),
            Value::String(value) => Key::String(value.clone()),
            _ => return None,
        })
    }

    /// The value of a message: some of protobuf's own are not messages here.
    pub(in crate::handlers::rules) fn of_message(message: DynamicMessage) -> Value {
        Seen::owned(Proto::Message(message)).kept()
    }
}

impl Key {
    /// About how many bytes it takes.
    pub(in crate::handlers::rules) fn size_bytes(&self) -> usize {
        size_of::<Key>() + if let Key::String(text) = self { text.len() } else { 0 }
    }
}

/// About how many bytes a message takes. Its length on the wire would be
/// measured again at each level of nesting.
pub(super) fn message_size(message: &DynamicMessage) -> usize {
    let known: usize = message.fields().map(|(_, value)| proto_size(value)).sum();
    let unknown: usize = message.unknown_fields().map(prost_reflect::UnknownField::encoded_len).sum();
    size_of::<DynamicMessage>() + known + unknown
}

pub(super) fn proto_size(value: &Proto) -> usize {
    size_of::<Proto>()
        + match value {
            Proto::String(text) => text.len(),
            Proto::Bytes(bytes) => bytes.len(),
            Proto::Message(message) => message_size(message),
            Proto::List(items) => items.iter().map(proto_size).sum(),
            Proto::Map(entries) => entries.values().map(|value| proto_size(value) + OVERHEAD).sum(),
            _ => 0,
        }
}

/// Tables that are read from files. A whole number is an int, if it is not
/// too large for one.
impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) => Value::Uint(value),
                (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => text.as_str().into(),
            serde_json::Value::Array(items) => items.iter().map(Value::from).collect::<Vec<_>>().into(),
            serde_json::Value::Object(entries) => {
                let fields = entries.iter().map(|(key, value)| (Key::from(key.as_str()), Value::from(value)));
                fields.collect::<Fields>().into()
            }
        }
    }
}

/// As the language compares: numbers by what they count, messages field by field.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        Seen::value(self).equals(&Seen::value(other))
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => { $(
        impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$variant(value.into())
            }
        }
    )* };
}

from!(bool => Bool, i64 => Int, u64 => Uint, f64 => Double, &str => String, String => String, Bytes => Bytes,
    Timestamp => Timestamp, Duration => Duration, Vec<Value> => List, Fields => Map);

/// Whether a message nests deeper than one may that is put into another.
pub(super) fn too_deep(message: &DynamicMessage) -> bool {
    fn deeper(value: &Proto, allowed: usize) -> bool {
        match value {
            Proto::Message(message) => allowed == 0 || message.fields().any(|(_, value)| deeper(value, allowed - 1)),
            Proto::List(items) => items.iter().any(|item| deeper(item, allowed)),
            Proto::Map(entries) => entries.values().any(|value| deeper(value, allowed)),
            _ => false,
        }
    }
    message.fields().any(|(_, value)| deeper(value, DEEPEST))
}
