//! The functions an expression may call: what they take, what they give, and
//! how they are worked out. The check reads the same table as the evaluation.

mod convert;
mod format;
mod lists;
mod math;
mod text;
mod times;

use super::failed::Failed;
use super::run::Frame;
use super::seen::Seen;
use super::types::Type;

pub(super) use convert::from_base64;
pub(super) use lists::type_named;
pub(super) use text::compiled;

/// One function with all its overloads.
pub(super) struct Function {
    /// As it is called, with its namespace.
    pub(super) name: &'static str,
    pub(super) style: Style,
    pub(super) overloads: &'static [Overload],
    pub(super) run: Run,
}

/// What works a function out, once what it is given is known.
pub(super) type Run = for<'a, 'g> fn(&'g [Seen<'a>], &mut Frame<'a>) -> Result<Seen<'a>, Failed>;

/// What a function takes, the receiver of a method first, and what it gives.
pub(super) struct Overload(pub(super) &'static [Due], pub(super) Gives);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`.
    Global,
    /// `x.f()`.
    Method,
    /// Either.
    Both,
}

/// What may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    Number,
    String,
    Bytes,
    Timestamp,
    Duration,
    List,
    Map,
    /// Any number more of the one before.
    More,
}

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    Strings,
    Ints,
    /// What the first is.
    First,
}

/// Every function there is.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    [convert::FUNCTIONS, lists::FUNCTIONS, math::FUNCTIONS, text::FUNCTIONS, times::FUNCTIONS].into_iter().flatten()
}

/// The function that is called so: a method, or not.
pub(super) fn find(name: &str, method: bool) -> Option<&'static Function> {
    all().find(|function| function.name == name && function.style.fits(method))
}

/// What a namespace's constant is.
pub(super) fn constant(namespace: &str, name: &str) -> Option<f64> {
    match (namespace, name) {
        ("math", "pi") => Some(std::f64::consts::PI),
        ("math", "e") => Some(std::f64::consts::E),
        _ => None,
    }
}

/// Whether there is a function whose name starts with this and a dot.
pub(super) fn is_namespace(name: &str) -> bool {
    all().any(|function| function.name.split_once('.').is_some_and(|(namespace, _)| namespace == name))
}

impl Style {
    fn fits(self, method: bool) -> bool {
        match self {
            Style::Both => true,
            Style::Method => method,
            Style::Global => !method,
        }
    }
}

impl Overload {
    /// Whether it may be given these; what is known only in a call may be anything.
    pub(super) fn takes(&self, given: &[Type]) -> bool {
        match self.0 {
            [due @ .., last, Due::More] => {
                given.len() > due.len()
                    && due.iter().zip(given).all(|(due, given)| due.takes(given))
                    && given[due.len()..].iter().all(|given| last.takes(given))
            }
            due => due.len() == given.len() && due.iter().zip(given).all(|(due, given)| due.takes(given)),
        }
    }

    /// How many it takes at least, and whether that is all.
    pub(super) fn count(&self) -> (usize, bool) {
        match self.0 {
            [due @ .., Due::More] => (due.len(), false),
            due => (due.len(), true),
        }
    }
}

impl Due {
    fn takes(self, given: &Type) -> bool {
        match (self, given) {
            (Due::Any, _) | (_, Type::Dyn) => true,
            (Due::Bool, Type::Bool) | (Due::Int, Type::Int) | (Due::Uint, Type::Uint) => true,
            (Due::Double, Type::Double) | (Due::String, Type::String) | (Due::Bytes, Type::Bytes) => true,
            (Due::Timestamp, Type::Timestamp) | (Due::Duration, Type::Duration) => true,
            (Due::List, Type::List(_)) | (Due::Map, Type::Map(_)) => true,
            (Due::Number, given) => given.is_number(),
            _ => false,
        }
    }

    /// As it is said in a list of what is due.
    pub(super) fn word(self) -> &'static str {
        match self {
            Due::Any => "anything",
            Due::Bool => "bool",
            Due::Int => "int",
            Due::Uint => "uint",
            Due::Double => "double",
            Due::Number => "number",
            Due::String => "string",
            Due::Bytes => "bytes",
            Due::Timestamp => "timestamp",
            Due::Duration => "duration",
            Due::List => "list",
            Due::Map => "map",
            Due::More => "…",
        }
    }
}

impl Gives {
    /// The type, given what was given.
    pub(super) fn of(self, given: &[Type]) -> Type {
        match self {
            Gives::Dyn => Type::Dyn,
            Gives::Bool => Type::Bool,
            Gives::Int => Type::Int,
            Gives::Uint => Type::Uint,
            Gives::Double => Type::Double,
            Gives::String => Type::String,
            Gives::Bytes => Type::Bytes,
            Gives::Timestamp => Type::Timestamp,
            Gives::Duration => Type::Duration,
            Gives::Strings => Type::list(Type::String),
            Gives::Ints => Type::list(Type::Int),
            Gives::First => given.first().cloned().unwrap_or(Type::Dyn),
        }
    }
}

/// A function given something that its check could not foresee.
fn unfit<'a>(name: &'static str, given: &[Seen<'_>]) -> Result<Seen<'a>, Failed> {
    Err(Failed::unfit(name, given))
}

fn wrong<T>(function: &'static str, why: &'static str) -> Result<T, Failed> {
    Err(Failed::Argument { function, why })
}
