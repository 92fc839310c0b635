//! What is due at a place of a message.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::super::failed::Failed;
use super::super::types::{Type, WellKnown};

/// What a value has to become.
#[derive(Clone)]
pub(super) enum Due {
    /// All of a field: a list, a map, or one value.
    Field(FieldDescriptor),
    /// One value of a kind, in a field's list or map.
    One { kind: Kind, name: String },
}

/// What one value of a place is.
pub(super) enum Shape {
    Map,
    List,
    One(Kind),
}

impl Due {
    pub(super) fn message(of: &MessageDescriptor) -> Due {
        Due::One { kind: Kind::Message(of.clone()), name: of.full_name().to_owned() }
    }

    pub(super) fn shape(&self) -> Shape {
        match self {
            Due::Field(field) if field.is_map() => Shape::Map,
            Due::Field(field) if field.is_list() => Shape::List,
            Due::Field(field) => Shape::One(field.kind()),
            Due::One { kind, .. } => Shape::One(kind.clone()),
        }
    }

    /// One of a list.
    pub(super) fn item(&self) -> Due {
        match self {
            Due::Field(field) => Due::One { kind: field.kind(), name: field.full_name().to_owned() },
            one => one.clone(),
        }
    }

    /// One value of a map.
    pub(super) fn value(&self) -> Due {
        self.of_entry(2)
    }

    /// One key of a map.
    pub(super) fn key(&self) -> Due {
        self.of_entry(1)
    }

    fn of_entry(&self, number: u32) -> Due {
        let part = |field: &FieldDescriptor| field.kind().as_message()?.get_field(number).map(|part| part.kind());
        match self {
            Due::Field(field) => match part(field) {
                Some(kind) => Due::One { kind, name: field.full_name().to_owned() },
                None => self.clone(),
            },
            one => one.clone(),
        }
    }

    /// Whose place it is.
    pub(super) fn name(&self) -> &str {
        match self {
            Due::Field(field) => field.full_name(),
            Due::One { name, .. } => name,
        }
    }

    /// A value that cannot stand here.
    pub(super) fn refuse(&self, why: impl Into<String>) -> Failed {
        Failed::Field { field: self.name().to_owned(), why: why.into() }
    }

    /// As it is said in a sentence.
    pub(super) fn said(&self) -> String {
        match self.shape() {
            Shape::Map => format!("a map of {} to {}", self.key().said_bare(), self.value().said_bare()),
            Shape::List => format!("a list of {}", self.item().said_bare()),
            Shape::One(Kind::Message(_) | Kind::Enum(_)) => format!("a {}", self.said_bare()),
            Shape::One(kind) => {
                let word = format!("{kind:?}").to_lowercase();
                if word == "bytes" {
                    word
                } else {
                    format!("{} {word}", if word.starts_with('i') { "an" } else { "a" })
                }
            }
        }
    }

    fn said_bare(&self) -> String {
        match self.shape() {
            Shape::One(Kind::Message(of)) => format!("`{}`", of.full_name()),
            Shape::One(Kind::Enum(of)) => format!("`{}`", of.full_name()),
            Shape::One(kind) => format!("{kind:?}").to_lowercase(),
            _ => self.said(),
        }
    }

    /// Whether what an expression gives can stand here, as far as is known.
    pub(super) fn takes(&self, given: &Type) -> bool {
        match (self.shape(), given) {
            (_, Type::Dyn) => true,
            // Null leaves a field as it was; among others it cannot stand.
            (_, Type::Null) => matches!(self, Due::Field(_)) || self.holds_anything(),
            (Shape::List, Type::List(of)) => self.item().takes(of),
            (Shape::Map, Type::Map(of)) => self.key().takes_key(&of.0) && self.value().takes(&of.1),
            (Shape::List | Shape::Map, _) => false,
            (Shape::One(kind), given) => takes_one(&kind, given),
        }
    }

    fn takes_key(&self, given: &Type) -> bool {
        matches!(given, Type::Dyn) || matches!(self.shape(), Shape::One(kind) if takes_one(&kind, given))
    }

    /// Whether it is a `google.protobuf.Value`.
    pub(super) fn holds_anything(&self) -> bool {
        matches!(self.shape(), Shape::One(Kind::Message(of)) if WellKnown::of(&of) == Some(WellKnown::Value))
    }
}

fn takes_one(kind: &Kind, given: &Type) -> bool {
    let Kind::Message(of) = kind else {
        return match kind {
            Kind::Bool => *given == Type::Bool,
            Kind::String => *given == Type::String,
            Kind::Bytes => *given == Type::Bytes,
            Kind::Enum(_) => matches!(given, Type::Int | Type::Uint | Type::String),
            // Whether it is a whole one, and not too large, a call tells.
            _ => given.is_number(),
        };
    };
    match (WellKnown::of(of), given) {
        (_, Type::Dyn) => true,
        (Some(WellKnown::Timestamp), given) => matches!(given, Type::Timestamp | Type::String),
        (Some(WellKnown::Duration), given) => matches!(given, Type::Duration | Type::String),
        (Some(WellKnown::Struct), given) => matches!(given, Type::Map(_)),
        (Some(WellKnown::List), given) => matches!(given, Type::List(_)),
        (Some(WellKnown::Value), given) => !matches!(given, Type::Message(_)),
        (Some(WellKnown::Any), given) => matches!(given, Type::Message(_)),
        (Some(WellKnown::Wrapper), given) => of.get_field(1).is_some_and(|field| takes_one(&field.kind(), given)),
        // One schema may be loaded twice.
        (None, Type::Message(given)) => given.full_name() == of.full_name(),
        (None, Type::Map(entry)) => matches!(entry.0, Type::String | Type::Dyn),
        (None, _) => false,
    }
}
