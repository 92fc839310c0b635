//! One expression: checked once, worked out for each call.

use std::fmt;

use super::check::check;
use super::failed::Failed;
use super::names::Names;
use super::node::Node;
use super::parse::parse;
use super::run::Frame;
use super::scope::Scope;
use super::seen::Seen;
use super::types::Type;
use super::value::Value;
use crate::config::Problem;

/// An expression that was checked.
pub(in crate::handlers::rules) struct Expression {
    node: Node,
    gives: Type,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("gives", &self.gives).finish_non_exhaustive()
    }
}

impl Expression {
    /// Checks an expression, with or without the `=` before it, against the
    /// names it may use.
    pub(in crate::handlers::rules) fn compile(text: &str, scope: &Scope) -> Result<Expression, Problem> {
        let (node, gives) = check(&parse(text)?, scope)?;
        Ok(Expression { node, gives })
    }

    /// What the check says it gives; [`Type::Dyn`] where only a call can tell.
    pub(in crate::handlers::rules) fn gives(&self) -> &Type {
        &self.gives
    }

    /// Whether it reads a name of its scope, so that what nobody reads need
    /// not be bound.
    pub(in crate::handlers::rules) fn reads(&self, name: &str) -> bool {
        let mut reads = false;
        self.node.walk(&mut |node| reads |= matches!(node, Node::Name { name: read, .. } if **read == *name));
        reads
    }

    /// Works it out.
    pub(in crate::handlers::rules) fn evaluate(&self, names: &Names<'_>) -> Result<Value, Failed> {
        let mut frame = Frame::new(names);
        self.see(&mut frame)?.keep(&mut frame.steps)
    }

    /// Works it out where a bool is due.
    pub(in crate::handlers::rules) fn is_true(&self, names: &Names<'_>) -> Result<bool, Failed> {
        self.node.truth("if", &mut Frame::new(names))
    }

    /// Works it out as a part of something larger.
    pub(super) fn see<'a>(&'a self, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
        self.node.run(frame)
    }
}
