//! What the names of a scope stand for in one evaluation.

use prost_reflect::DynamicMessage;

use super::Value;
use super::failed::Failed;
use super::seen::Seen;

/// Steps an evaluation may take unless told otherwise.
const STEPS: u64 = 1_000_000;

/// Names and what they stand for, for one evaluation or a few. Messages are
/// borrowed where they lie. Names bound in the order of the scope are found
/// at once; any other order works too.
pub(in crate::handlers::rules) struct Names<'a> {
    bound: Vec<(&'a str, Bound<'a>)>,
    outer: Option<&'a Names<'a>>,
    steps: u64,
}

enum Bound<'a> {
    Message(&'a DynamicMessage),
    Lent(&'a Value),
    Value(Value),
}

impl Default for Names<'_> {
    fn default() -> Self {
        Names { bound: Vec::with_capacity(8), outer: None, steps: STEPS }
    }
}

impl<'a> Names<'a> {
    /// Binds a message.
    pub(in crate::handlers::rules) fn message(mut self, name: &'a str, message: &'a DynamicMessage) -> Self {
        self.bound.push((name, Bound::Message(message)));
        self
    }

    /// Binds a value that somebody else keeps.
    pub(in crate::handlers::rules) fn lent(mut self, name: &'a str, value: &'a Value) -> Self {
        self.bound.push((name, Bound::Lent(value)));
        self
    }

    /// Binds a value.
    pub(in crate::handlers::rules) fn value(mut self, name: &'a str, value: impl Into<Value>) -> Self {
        self.bound.push((name, Bound::Value(value.into())));
        self
    }

    /// Allows each evaluation so many steps.
    pub(in crate::handlers::rules) fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Names that are looked up in these when they do not have one themselves.
    pub(in crate::handlers::rules) fn inner(&'a self) -> Names<'a> {
        Names { bound: Vec::new(), outer: Some(self), steps: self.steps }
    }

    /// What a name stands for; `at` is where it probably is.
    pub(super) fn find(&'a self, name: &str, at: usize) -> Result<Seen<'a>, Failed> {
        let found = match self.bound.get(at) {
            Some((there, bound)) if *there == name && self.outer.is_none() => Some(bound),
            _ => self.bound.iter().rev().find(|(there, _)| *there == name).map(|(_, bound)| bound),
        };
        match (found, self.outer) {
            (Some(Bound::Message(message)), _) => Ok(Seen::message(message)),
            (Some(Bound::Lent(value)), _) => Ok(Seen::value(value)),
            (Some(Bound::Value(value)), _) => Ok(Seen::value(value)),
            (None, Some(outer)) => outer.find(name, at),
            (None, None) => Err(Failed::Unbound(name.to_owned())),
        }
    }

    /// Steps each evaluation may take.
    pub(super) fn budget(&self) -> u64 {
        self.steps
    }
}
