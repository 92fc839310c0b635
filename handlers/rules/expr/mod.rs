//! The language of rules: expressions over a request, and templates of answers.
//!
//! A value that starts with `=` is an expression in the Common Expression
//! Language; everything else is a literal in protobuf's JSON mapping. The
//! syntax and its parser are the `cel` crate's. What an expression means is
//! worked out here, since three things have to hold for every one of them:
//! it is checked against the schema before it is served, it reads a request
//! where it lies, and it ends within a number of steps.
//!
//! ```text
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
//! let refused: bool = when.is_true(&names)?;
//! let answer: DynamicMessage = reply.fill(&names)?;
//! ```

mod arithmetic;
mod check;
mod compare;
mod expression;
mod failed;
mod functions;
mod key;
mod list;
mod map;
mod message;
mod names;
mod node;
mod parse;
mod run;
mod scope;
mod seen;
mod steps;
mod template;
#[cfg(test)]
#[allow(clippy::panic, reason = "a test stops at the first surprise")]
mod tests;
mod time;
mod types;
mod value;

pub(in crate::handlers::rules) use compare::same;
pub(in crate::handlers::rules) use expression::Expression;
pub(in crate::handlers::rules) use failed::Failed;
pub(in crate::handlers::rules) use key::Key;
pub(in crate::handlers::rules) use names::Names;
pub(in crate::handlers::rules) use scope::Scope;
pub(in crate::handlers::rules) use template::{Template, Tree};
pub(in crate::handlers::rules) use time::{Duration, Timestamp};
pub(in crate::handlers::rules) use types::{Record, Type};
pub(in crate::handlers::rules) use value::{Fields, Value};
