//! JSON of any shape, with expressions in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::expression::Expression;
use super::super::failed::Failed;
use super::super::key::Key;
use super::super::map::Map;
use super::super::names::Names;
use super::super::run::Frame;
use super::super::scope::Scope;
use super::super::seen::Seen;
use super::super::value::Value;
use crate::config::Problems;

/// A tree whose leaves may be worked out.
#[derive(Debug)]
pub(in crate::handlers::rules) enum Tree {
    Fixed(Value),
    Expression(Box<Expression>),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

impl Tree {
    /// Checks every expression in it; the paths of the problems start at the tree.
    pub(in crate::handlers::rules) fn compile(json: &Json, scope: &Scope) -> Result<Tree, Problems> {
        let mut problems = Problems::default();
        let tree = match json {
            Json::String(text) if text.starts_with('=') => {
                Tree::Expression(Box::new(Expression::compile(text, scope)?))
            }
            Json::Array(items) => {
                let trees = items.iter().enumerate().filter_map(|(at, item)| {
                    problems.take(Tree::compile(item, scope).map_err(|found| found.within(at)))
                });
                Tree::List(trees.collect())
            }
            Json::Object(entries) => {
                let trees = entries.iter().filter_map(|(key, value)| {
                    let tree = Tree::compile(value, scope);
                    let tree = tree.map_err(|found| found.within(key.as_str()));
                    Some((Key::from(key.as_str()), problems.take(tree)?))
                });
                Tree::Map(trees.collect())
            }
            scalar => Tree::Fixed(Value::from(scalar)),
        };
        problems.or(tree)
    }

    /// Whether it is the same in every call.
    pub(super) fn is_fixed(&self) -> bool {
        match self {
            Tree::Fixed(_) => true,
            Tree::Expression(_) => false,
            Tree::List(items) => items.iter().all(Tree::is_fixed),
            Tree::Map(entries) => entries.iter().all(|(_, tree)| tree.is_fixed()),
        }
    }

    /// Works out all of it, on one budget.
    pub(in crate::handlers::rules) fn evaluate(&self, names: &Names<'_>) -> Result<Value, Failed> {
        let mut frame = Frame::new(names);
        self.see(&mut frame)?.keep(&mut frame.steps)
    }

    pub(super) fn see<'a>(&'a self, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
        frame.steps.one()?;
        match self {
            Tree::Fixed(value) => Ok(Seen::value(value)),
            Tree::Expression(expression) => expression.see(frame),
            Tree::List(items) => {
                let items = items.iter().map(|item| item.see(frame)).collect::<Result<Vec<_>, _>>()?;
                Ok(Seen::list(items))
            }
            Tree::Map(entries) => {
                let entries = entries.iter().map(|(key, tree)| Ok((key.clone(), tree.see(frame)?)));
                Ok(Seen::Map(Map::Made(Arc::new(entries.collect::<Result<BTreeMap<_, _>, Failed>>()?))))
            }
        }
    }

    /// Whether any of its expressions reads the name.
    pub(in crate::handlers::rules) fn reads(&self, name: &str) -> bool {
        match self {
            Tree::Fixed(_) => false,
            Tree::Expression(expression) => expression.reads(name),
            Tree::List(items) => items.iter().any(|tree| tree.reads(name)),
            Tree::Map(entries) => entries.iter().any(|(_, tree)| tree.reads(name)),
        }
    }
}
