//! Why an expression that was checked could not be worked out after all.

use std::fmt;

use tonic::Code;

use super::seen::Seen;

/// What went wrong in one evaluation. Its words name what the expression
/// names, and no value, so that a caller may read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::handlers::rules) enum Failed {
    /// The budget of steps is spent.
    Budget,
    /// A map without the key.
    NoSuchKey,
    /// A message, or a map read like one, without the field.
    NoSuchField(String),
    /// A list that is shorter, or a text.
    NoSuchIndex,
    /// By zero, in whole numbers.
    DivisionByZero,
    /// A number, time or duration beyond what its type holds.
    Overflow,
    /// Two things of one key in a map.
    RepeatedKey,
    /// A value that nests deeper than one may.
    TooDeep,
    /// A name of the scope to which the call binds nothing.
    Unbound(String),
    /// Something of a type that has no such operation.
    Unfit {
        /// What was to be done, such as `+`.
        operation: String,
        /// The types it met.
        got: String,
    },
    /// A function given what it cannot use.
    Argument {
        /// Its name.
        function: &'static str,
        /// What is wrong, to be read after the name.
        why: &'static str,
    },
    /// A state without the room.
    Full(String),
    /// A value that a field, or a piece of metadata, cannot hold.
    Field {
        /// Its full name.
        field: String,
        /// What is wrong, to be read after the name.
        why: String,
    },
}

impl Failed {
    /// The code of the status it becomes.
    pub(in crate::handlers::rules) fn code(&self) -> Code {
        match self {
            Failed::Budget | Failed::Full(_) => Code::ResourceExhausted,
            _ => Code::Internal,
        }
    }

    /// Something that is not for values of these types.
    pub(super) fn unfit(operation: &str, got: &[Seen<'_>]) -> Failed {
        let got: Vec<_> = got.iter().map(|value| value.type_name().to_string()).collect();
        Failed::Unfit { operation: operation.to_owned(), got: got.join(" and ") }
    }

    /// Whether it stands whatever an `||` beside it says.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Failed::Budget)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Budget => f.write_str("working the rule out takes more steps than one may"),
            Failed::NoSuchKey => f.write_str("a map has no such key"),
            Failed::NoSuchField(name) => write!(f, "there is no `{name}`"),
            Failed::NoSuchIndex => f.write_str("an index is out of range"),
            Failed::DivisionByZero => f.write_str("division by zero"),
            Failed::Overflow => f.write_str("a number, time or duration is out of its type's range"),
            Failed::RepeatedKey => f.write_str("a map is given one key twice"),
            Failed::TooDeep => f.write_str("a value nests too deep"),
            Failed::Unbound(name) => write!(f, "`{name}` has no value here"),
            Failed::Unfit { operation, got } => write!(f, "`{operation}` is not for {got}"),
            Failed::Argument { function, why } => write!(f, "`{function}` {why}"),
            Failed::Full(state) => write!(f, "the state `{state}` is full"),
            Failed::Field { field, why } => write!(f, "`{field}` {why}"),
        }
    }
}

impl std::error::Error for Failed {}
