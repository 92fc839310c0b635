//! Types as the check before serving knows them.

use std::fmt;
use std::sync::Arc;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// What an expression gives, or a name stands for.
#[derive(Clone, PartialEq)]
pub(in crate::handlers::rules) enum Type {
    /// Anything; known only when it is there.
    Dyn,
    /// `true` or `false`.
    Bool,
    /// A signed number of 64 bits; enum values are these too.
    Int,
    /// An unsigned number of 64 bits.
    Uint,
    /// A floating-point number of 64 bits.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// Nothing.
    Null,
    /// A point in time.
    Timestamp,
    /// A span of time.
    Duration,
    /// Any number of one type.
    List(Arc<Type>),
    /// Values by keys.
    Map(Arc<(Type, Type)>),
    /// A map from names, whose entries are each of a type of their own.
    Record(&'static Record),
    /// A message that has no meaning of its own in the language.
    Message(MessageDescriptor),
}

/// What a name of the scope has that is read by name, and is no message.
#[derive(Debug)]
pub(in crate::handlers::rules) struct Record {
    /// The names there are, where no others can be.
    pub(in crate::handlers::rules) known: &'static [&'static str],
    /// The type of what has a name, if something may.
    pub(in crate::handlers::rules) entry: fn(&str) -> Option<Type>,
}

impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Type {
    /// A list of these.
    pub(in crate::handlers::rules) fn list(of: Type) -> Type {
        Type::List(Arc::new(of))
    }

    /// A map of these.
    pub(in crate::handlers::rules) fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new((key, value)))
    }

    /// What reading a field gives.
    pub(in crate::handlers::rules) fn of_field(field: &FieldDescriptor) -> Type {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                Type::map(Type::of_field(&entry.map_entry_key_field()), Type::of_field(&entry.map_entry_value_field()))
            }
            kind if field.is_list() => Type::list(Type::of_kind(&kind)),
            kind => Type::of_kind(&kind),
        }
    }

    /// What reading one value of a kind gives.
    fn of_kind(kind: &Kind) -> Type {
        match kind {
            Kind::Bool => Type::Bool,
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Type::Int,
            Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => Type::Uint,
            Kind::Float | Kind::Double => Type::Double,
            Kind::String => Type::String,
            Kind::Bytes => Type::Bytes,
            Kind::Enum(of) if of.full_name() == "google.protobuf.NullValue" => Type::Null,
            Kind::Enum(_) => Type::Int,
            Kind::Message(message) => Type::of_message(message),
        }
    }

    /// What a message is in the language: some of protobuf's own are values.
    pub(in crate::handlers::rules) fn of_message(message: &MessageDescriptor) -> Type {
        match WellKnown::of(message) {
            None => Type::Message(message.clone()),
            Some(WellKnown::Timestamp) => Type::Timestamp,
            Some(WellKnown::Duration) => Type::Duration,
            Some(WellKnown::Struct) => Type::map(Type::String, Type::Dyn),
            Some(WellKnown::List) => Type::list(Type::Dyn),
            // A wrapper is its value or null.
            Some(WellKnown::Value | WellKnown::Any | WellKnown::Wrapper) => Type::Dyn,
        }
    }

    /// Whether it is a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Uint | Type::Double)
    }

    /// What it is where it is not read by name.
    pub(super) fn whole(self) -> Type {
        match self {
            Type::Record(_) => Type::map(Type::String, Type::Dyn),
            other => other,
        }
    }

    /// Whether nothing is known of it.
    pub(super) fn is_dyn(&self) -> bool {
        matches!(self, Type::Dyn)
    }

    /// The type of what may be either.
    pub(super) fn or(self, other: Type) -> Type {
        match (self, other) {
            (a, b) if a == b => a,
            (Type::List(a), Type::List(b)) => Type::list((*a).clone().or((*b).clone())),
            _ => Type::Dyn,
        }
    }

    /// As it is said in a sentence: `a string`, `an int`.
    pub(in crate::handlers::rules) fn said(&self) -> String {
        match self {
            Type::Dyn => "anything".to_owned(),
            Type::Null => "null".to_owned(),
            Type::Int => "an int".to_owned(),
            Type::Bytes => "bytes".to_owned(),
            Type::Message(message) => format!("a message `{}`", message.full_name()),
            other => format!("a {other}"),
        }
    }
}

/// As it is displayed: a descriptor's own words have no end where a message
/// holds others of its type.
impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Type::Dyn => "dyn",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Null => "null",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::List(of) if of.is_dyn() => "list",
            Type::List(of) => return write!(f, "list({of})"),
            Type::Map(of) if of.0.is_dyn() && of.1.is_dyn() => "map",
            Type::Map(of) => return write!(f, "map({}, {})", of.0, of.1),
            Type::Record(_) => "map",
            Type::Message(message) => message.full_name(),
        };
        f.write_str(word)
    }
}

/// The messages of protobuf's own that are values in the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WellKnown {
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// `google.protobuf.Struct`.
    Struct,
    /// `google.protobuf.ListValue`.
    List,
    /// `google.protobuf.Value`.
    Value,
    /// `google.protobuf.Any`.
    Any,
    /// `google.protobuf.StringValue` and its kin.
    Wrapper,
}

impl WellKnown {
    /// Which of them a message is.
    pub(super) fn of(message: &MessageDescriptor) -> Option<WellKnown> {
        Some(match message.full_name().strip_prefix("google.protobuf.")? {
            "Timestamp" => WellKnown::Timestamp,
            "Duration" => WellKnown::Duration,
            "Struct" => WellKnown::Struct,
            "ListValue" => WellKnown::List,
            "Value" => WellKnown::Value,
            "Any" => WellKnown::Any,
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
            | "BoolValue" | "StringValue" | "BytesValue" => WellKnown::Wrapper,
            _ => return None,
        })
    }
}
