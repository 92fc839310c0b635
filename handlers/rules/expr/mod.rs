//! The language of rules: expressions over a request, and templates of answers.
//!
//! A value that starts with `=` is an expression in the Common Expression
//! Language; everything else is a literal in protobuf's JSON mapping. The
//! syntax and its parser are the `cel` crate's. What an expression means is
//! worked out here, since three things have to hold for every one of them:
//! it is checked against the schema before it is served, it reads a request
//! where it lies, and it ends within a number of steps.
//!
//! ```ignore
//! let scope = Scope::default()
//!     .with("request", Type::Message(method.input()))
//!     .with("now", Type::Timestamp);
//!
//! // Once, when the configuration is read:
//! let when = Expression::compile("request.name == ''", &scope)?;
//! let reply = Template::compile(&json!({"message": "='Hello, ' + request.name"}), &method.output(), &scope)?;
//!
//! // For each call, in the scope's order:
//! let names = Names::default().message("request", &request).value("now", Timestamp::now());
//! if when.is_true(&names)? { … }
//! let answer: DynamicMessage = reply.fill(&names)?;
//! ```

mod compare;
mod failed;
mod key;
mod list;
mod map;
mod names;
mod scope;
mod seen;
mod steps;
mod time;
mod types;
mod value;

use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::config::{Problem, Problems};

pub(in crate::handlers::rules) use failed::Failed;
pub(in crate::handlers::rules) use key::Key;
pub(in crate::handlers::rules) use names::Names;
pub(in crate::handlers::rules) use scope::Scope;
pub(in crate::handlers::rules) use time::{Duration, Timestamp};
pub(in crate::handlers::rules) use types::Type;
pub(in crate::handlers::rules) use value::{Fields, Value};

/// An expression that was checked.
#[derive(Debug)]
pub(in crate::handlers::rules) struct Expression;

impl Expression {
    /// Checks an expression, without the `=` before it, against the names it may use.
    pub(in crate::handlers::rules) fn compile(_text: &str, _scope: &Scope) -> Result<Expression, Problem> {
        todo!()
    }
    /// What the check says it gives; [`Type::Dyn`] where only a call can tell.
    pub(in crate::handlers::rules) fn gives(&self) -> &Type {
        todo!()
    }
    /// Whether it reads the name, so that what nobody reads need not be bound.
    pub(in crate::handlers::rules) fn reads(&self, _name: &str) -> bool {
        todo!()
    }
    /// Works it out.
    pub(in crate::handlers::rules) fn evaluate(&self, _names: &Names<'_>) -> Result<Value, Failed> {
        todo!()
    }
    /// Works it out where a bool is due.
    pub(in crate::handlers::rules) fn is_true(&self, _names: &Names<'_>) -> Result<bool, Failed> {
        todo!()
    }
}

/// A message with expressions in it.
#[derive(Debug)]
pub(in crate::handlers::rules) struct Template;

impl Template {
    /// Checks a tree in protobuf's JSON mapping against a message type. The
    /// paths of the problems start at the tree.
    pub(in crate::handlers::rules) fn compile(
        _tree: &serde_json::Value,
        _descriptor: &MessageDescriptor,
        _scope: &Scope,
    ) -> Result<Template, Problems> {
        todo!()
    }
    /// Whether any of its expressions reads the name.
    pub(in crate::handlers::rules) fn reads(&self, _name: &str) -> bool {
        todo!()
    }
    /// The message, with every expression worked out; one budget for them all.
    pub(in crate::handlers::rules) fn fill(&self, _names: &Names<'_>) -> Result<DynamicMessage, Failed> {
        todo!()
    }
}
