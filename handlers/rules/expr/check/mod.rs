//! The check before serving: what every part of an expression is, and that it
//! can be worked out with what it is given.

mod calls;
mod loops;
mod operators;
mod reads;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators as signs};

use super::node::{Comparison, Node, Operator};
use super::parse::Parsed;
use super::scope::Scope;
use super::types::Type;
use super::value::Value;
use crate::config::Problem;

/// What an expression is worked out by, and what it gives.
pub(super) fn check(parsed: &Parsed, scope: &Scope) -> Result<(Node, Type), Problem> {
    Checker { parsed, scope, locals: Vec::new() }.node(&parsed.tree)
}

struct Checker<'s> {
    parsed: &'s Parsed,
    scope: &'s Scope,
    /// The variables of the loops around, the outermost first.
    locals: Vec<(String, Type)>,
}

type Checked = Result<(Node, Type), Problem>;

impl Checker<'_> {
    fn node(&mut self, tree: &IdedExpr) -> Checked {
        match &tree.expr {
            Expr::Literal(literal) => Ok(constant(literal)),
            Expr::Ident(name) => self.name(tree.id, name),
            Expr::Select(select) if !select.test => self.select(tree, select),
            Expr::List(list) => {
                let mut of: Option<Type> = None;
                let mut items = Vec::with_capacity(list.elements.len());
                for element in &list.elements {
                    let (item, is) = self.node(element)?;
                    of = Some(of.map_or(is.clone(), |of| of.or(is)));
                    items.push(item);
                }
                Ok((Node::List(items), Type::list(of.unwrap_or(Type::Dyn))))
            }
            Expr::Map(map) => {
                let mut of: Option<(Type, Type)> = None;
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let (key, is_key) = self.node(&entry.key)?;
                    if !matches!(is_key, Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::String) {
                        let words = format!("{} cannot be the key of a map", is_key.said());
                        return Err(self.problem(entry.key.id, words).help("keys are strings, ints, uints and bools"));
                    }
                    let (value, is_value) = self.node(&entry.value)?;
                    of = Some(match of {
                        Some((key, value)) => (key.or(is_key), value.or(is_value)),
                        None => (is_key, is_value),
                    });
                    entries.push((key, value));
                }
                let (key, value) = of.unwrap_or((Type::Dyn, Type::Dyn));
                Ok((Node::Map(entries), Type::map(key, value)))
            }
            Expr::Call(call) => match (&call.target, call.args.as_slice()) {
                (None, args) => match self.operation(tree.id, &call.func_name, args) {
                    Some(checked) => checked,
                    None => self.call(tree.id, &call.func_name, args),
                },
                (Some(target), args) => self.method(tree.id, target, &call.func_name, args),
            },
            Expr::Struct(of) => {
                let words = format!("`{}{{…}}` makes a message, which an expression does not do", of.type_name);
                Err(self.problem(tree.id, words).help("a message is written as a map of its fields"))
            }
            Expr::Select(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                Err(self.problem(tree.id, "this cannot be understood"))
            }
        }
    }

    /// An operator, if the name is one's.
    fn operation(&mut self, id: u64, name: &str, args: &[IdedExpr]) -> Option<Checked> {
        Some(match (name, args) {
            (signs::CONDITIONAL, [condition, then, otherwise]) => self.choice(condition, then, otherwise),
            (signs::LOGICAL_AND, [a, b]) => self.logic(a, b, "&&"),
            (signs::LOGICAL_OR, [a, b]) => self.logic(a, b, "||"),
            (signs::LOGICAL_NOT, [of]) => self.truth(of, "!").map(|of| (Node::Not(Box::new(of)), Type::Bool)),
            (signs::NEGATE, [of]) => self.negated(of),
            (signs::EQUALS, [a, b]) => self.equality(id, a, b, true),
            (signs::NOT_EQUALS, [a, b]) => self.equality(id, a, b, false),
            (signs::LESS, [a, b]) => self.comparison(id, a, b, Comparison::Less, "<"),
            (signs::LESS_EQUALS, [a, b]) => self.comparison(id, a, b, Comparison::LessOrEqual, "<="),
            (signs::GREATER, [a, b]) => self.comparison(id, a, b, Comparison::Greater, ">"),
            (signs::GREATER_EQUALS, [a, b]) => self.comparison(id, a, b, Comparison::GreaterOrEqual, ">="),
            (signs::ADD, [a, b]) => self.arithmetic(id, a, b, Operator::Add),
            (signs::SUBSTRACT, [a, b]) => self.arithmetic(id, a, b, Operator::Subtract),
            (signs::MULTIPLY, [a, b]) => self.arithmetic(id, a, b, Operator::Multiply),
            (signs::DIVIDE, [a, b]) => self.arithmetic(id, a, b, Operator::Divide),
            (signs::MODULO, [a, b]) => self.arithmetic(id, a, b, Operator::Remainder),
            (signs::IN, [item, of]) => self.membership(id, item, of),
            (signs::INDEX, [of, key]) => self.index(id, of, key),
            (signs::HAS, args) => self.has(id, args),
            _ => return None,
        })
    }

    /// A problem with a part of the expression.
    fn problem(&self, id: u64, words: impl std::fmt::Display) -> Problem {
        let problem = Problem::new(words.to_string());
        match self.parsed.word(id) {
            Some(word) => problem.part(word),
            None => problem,
        }
    }

    /// The same, where something was called by a name that is not known.
    fn unknown<'k>(
        &self,
        id: u64,
        words: impl std::fmt::Display,
        name: &str,
        what: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Problem {
        suggest(self.problem(id, words), name, what, known)
    }
}

/// What was probably meant, and what there is.
pub(super) fn suggest<'k>(
    mut problem: Problem,
    name: &str,
    what: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Problem {
    /// As many as fit on a line or two.
    const MOST: usize = 16;
    let mut known: Vec<&str> = known.into_iter().filter(|name| !name.is_empty()).collect();
    known.sort_unstable();
    known.dedup();
    problem = problem.meant(name, known.iter().copied());
    let more = if known.len() > MOST { ", …" } else { "" };
    known.truncate(MOST);
    match known.as_slice() {
        [] => problem.help(format!("there are no {what}")),
        known => problem.help(format!("{what}: {}{more}", known.join(", "))),
    }
}

fn constant(literal: &LiteralValue) -> (Node, Type) {
    let (value, of): (Value, Type) = match literal {
        LiteralValue::Boolean(value) => ((*value.inner()).into(), Type::Bool),
        LiteralValue::Bytes(value) => (Value::Bytes(value.inner().to_vec().into()), Type::Bytes),
        LiteralValue::Double(value) => ((*value.inner()).into(), Type::Double),
        LiteralValue::Int(value) => ((*value.inner()).into(), Type::Int),
        LiteralValue::Null => (Value::Null, Type::Null),
        LiteralValue::String(value) => (value.inner().into(), Type::String),
        LiteralValue::UInt(value) => ((*value.inner()).into(), Type::Uint),
    };
    (Node::Literal(value), of)
}
