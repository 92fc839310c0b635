//! A message with expressions in it.

mod compile;
mod due;
mod fit;
mod json;
mod known;
mod literal;

use std::collections::HashMap;
use std::fmt;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, MessageDescriptor, Value as Proto};

use super::expression::Expression;
use super::failed::Failed;
use super::names::Names;
use super::run::Frame;
use super::scope::Scope;
use crate::config::Problems;
use due::Due;
pub(in crate::handlers::rules) use json::Tree;

/// A message whose type is known, with parts that only a call can fill. What
/// is constant was made when it was checked, and is copied.
pub(in crate::handlers::rules) struct Template {
    part: Part,
    due: Due,
}

/// What stands at a place of a message.
enum Part {
    /// Always the same.
    Fixed(Proto),
    /// Whatever an expression gives.
    Expression(Box<Expression>),
    /// JSON with expressions in it, for the messages that hold any.
    Tree(Tree),
    Message(Box<Built>),
    List(Vec<Part>),
    Map(Vec<(MapKey, Part)>),
    /// A message in an Any, by the name of its type.
    Packed {
        any: MessageDescriptor,
        url: String,
        of: Box<(Due, Part)>,
    },
}

/// A message of which some fields are filled in a call.
struct Built {
    base: DynamicMessage,
    holes: Vec<(FieldDescriptor, Part)>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("of", &self.due.name()).finish_non_exhaustive()
    }
}

impl Template {
    /// Checks a tree in protobuf's JSON mapping against a message type. The
    /// paths of the problems start at the tree.
    pub(in crate::handlers::rules) fn compile(
        tree: &serde_json::Value,
        descriptor: &MessageDescriptor,
        scope: &Scope,
    ) -> Result<Template, Problems> {
        let due = Due::message(descriptor);
        let part = compile::one(tree, &due, scope)?;
        Ok(Template { part, due })
    }

    /// Whether any of its expressions reads the name.
    pub(in crate::handlers::rules) fn reads(&self, name: &str) -> bool {
        self.part.reads(name)
    }

    /// The message, with every expression worked out; one budget for them all.
    pub(in crate::handlers::rules) fn fill(&self, names: &Names<'_>) -> Result<DynamicMessage, Failed> {
        let mut frame = Frame::new(names);
        match self.part.fill(&self.due, &mut frame)? {
            Some(Proto::Message(message)) => Ok(message),
            _ => Err(self.due.refuse("has to be a message, and the expression gives null")),
        }
    }
}

impl Part {
    /// What it is in this call; nothing where the field stays unset.
    fn fill<'a>(&'a self, due: &Due, frame: &mut Frame<'a>) -> Result<Option<Proto>, Failed> {
        match self {
            Part::Fixed(value) => {
                frame.steps.bytes(super::value::proto_size(value))?;
                Ok(Some(value.clone()))
            }
            Part::Expression(expression) => {
                let seen = expression.see(frame)?;
                fit::fit(&seen, due, &mut frame.steps)
            }
            Part::Tree(tree) => {
                let seen = tree.see(frame)?;
                fit::fit(&seen, due, &mut frame.steps)
            }
            Part::Message(built) => built.fill(frame).map(|message| Some(Proto::Message(message))),
            Part::List(parts) => {
                let item = due.item();
                let items = parts.iter().map(|part| part.required(&item, frame)).collect::<Result<_, _>>()?;
                Ok(Some(Proto::List(items)))
            }
            Part::Map(parts) => {
                let value = due.value();
                let entries = parts.iter().map(|(key, part)| Ok((key.clone(), part.required(&value, frame)?)));
                Ok(Some(Proto::Map(entries.collect::<Result<HashMap<_, _>, Failed>>()?)))
            }
            Part::Packed { any, url, of } => {
                let Proto::Message(message) = of.1.required(&of.0, frame)? else { return Ok(None) };
                fit::pack(any, url.clone(), message.encode_to_vec().into()).map(Some)
            }
        }
    }

    /// The same where nothing cannot stand.
    fn required<'a>(&'a self, due: &Due, frame: &mut Frame<'a>) -> Result<Proto, Failed> {
        self.fill(due, frame)?.ok_or_else(|| due.refuse("is given null among its values"))
    }

    fn reads(&self, name: &str) -> bool {
        match self {
            Part::Fixed(_) => false,
            Part::Expression(expression) => expression.reads(name),
            Part::Tree(tree) => tree.reads(name),
            Part::Message(built) => built.holes.iter().any(|(_, part)| part.reads(name)),
            Part::List(parts) => parts.iter().any(|part| part.reads(name)),
            Part::Map(parts) => parts.iter().any(|(_, part)| part.reads(name)),
            Part::Packed { of, .. } => of.1.reads(name),
        }
    }
}

impl Built {
    fn fill<'a>(&'a self, frame: &mut Frame<'a>) -> Result<DynamicMessage, Failed> {
        frame.steps.bytes(super::value::message_size(&self.base))?;
        let mut message = self.base.clone();
        for (field, part) in &self.holes {
            let due = Due::Field(field.clone());
            if let Some(value) = part.fill(&due, frame)? {
                message.try_set_field(field, value).map_err(|_| due.refuse("cannot hold what it is given"))?;
            }
        }
        Ok(message)
    }
}
