//! Operators, and what they are for.

use cel::common::ast::IdedExpr;
use prost_reflect::Kind;

use super::super::node::{Comparison, Node, Operator};
use super::super::types::Type;
use super::super::value::Value;
use super::reads::fits_key;
use super::{Checked, Checker};
use crate::config::Problem;

impl Checker<'_> {
    /// Where a bool is due.
    pub(super) fn truth(&mut self, tree: &IdedExpr, operation: &str) -> Result<Node, Problem> {
        let (node, is) = self.node(tree)?;
        if matches!(is, Type::Bool | Type::Dyn) {
            return Ok(node);
        }
        Err(self.problem(tree.id, format!("`{operation}` takes a bool, and this is {}", is.said())))
    }

    pub(super) fn logic(&mut self, a: &IdedExpr, b: &IdedExpr, sign: &str) -> Checked {
        let sides = Box::new([self.truth(a, sign)?, self.truth(b, sign)?]);
        Ok((if sign == "&&" { Node::And(sides) } else { Node::Or(sides) }, Type::Bool))
    }

    pub(super) fn choice(&mut self, condition: &IdedExpr, then: &IdedExpr, otherwise: &IdedExpr) -> Checked {
        let condition = self.truth(condition, "? :")?;
        let ((then, a), (otherwise, b)) = (self.node(then)?, self.node(otherwise)?);
        Ok((Node::If(Box::new([condition, then, otherwise])), a.or(b)))
    }

    pub(super) fn negated(&mut self, of: &IdedExpr) -> Checked {
        let (node, is) = self.node(of)?;
        if matches!(is, Type::Int | Type::Double | Type::Duration | Type::Dyn) {
            return Ok((Node::Negate(Box::new(node)), is));
        }
        Err(self.problem(of.id, format!("`-` turns a number round, and this is {}", is.said())))
    }

    fn sides(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<(Box<[Node; 2]>, Type, Type), Problem> {
        let ((a, is_a), (b, is_b)) = (self.node(a)?, self.node(b)?);
        Ok((Box::new([a, b]), is_a, is_b))
    }

    pub(super) fn equality(&mut self, id: u64, a: &IdedExpr, b: &IdedExpr, wanted: bool) -> Checked {
        let (sides, a, b) = self.sides(a, b)?;
        if !can_equal(&a, &b) {
            let problem = self.problem(id, format!("{} and {} are never equal", a.said(), b.said()));
            return Err(match of_enum(&sides) {
                Some(full) => problem.help(format!("an enum's value is written in full: `{full}`")),
                None => converted(problem, &a, &b),
            });
        }
        Ok((Node::Equal { sides, wanted }, Type::Bool))
    }

    pub(super) fn comparison(&mut self, id: u64, a: &IdedExpr, b: &IdedExpr, by: Comparison, sign: &str) -> Checked {
        let (sides, a, b) = self.sides(a, b)?;
        let has_order = |of: &Type| {
            let ordered = [Type::Dyn, Type::Bool, Type::String, Type::Bytes, Type::Timestamp, Type::Duration];
            ordered.contains(of) || of.is_number()
        };
        if !has_order(&a) || !has_order(&b) || !can_equal(&a, &b) {
            let words = format!("`{sign}` cannot compare {} and {}", a.said(), b.said());
            return Err(converted(self.problem(id, words), &a, &b));
        }
        Ok((Node::Compare { sides, by }, Type::Bool))
    }

    pub(super) fn arithmetic(&mut self, id: u64, a: &IdedExpr, b: &IdedExpr, by: Operator) -> Checked {
        let (sides, a, b) = self.sides(a, b)?;
        match result(by, &a, &b) {
            Some(gives) => Ok((Node::Arithmetic { sides, by }, gives)),
            None => {
                let words = format!("`{}` is not for {} and {}", by.sign(), a.said(), b.said());
                Err(converted(self.problem(id, words), &a, &b))
            }
        }
    }

    pub(super) fn membership(&mut self, id: u64, item: &IdedExpr, of: &IdedExpr) -> Checked {
        let (sides, item, of) = self.sides(item, of)?;
        let fits = match &of {
            Type::List(of) => can_equal(&item, of),
            Type::Map(of) => fits_key(&item, &of.0),
            Type::Dyn => true,
            other => {
                return Err(self.problem(id, format!("`in` looks into lists and maps, and this is {}", other.said())));
            }
        };
        if !fits {
            return Err(self.problem(id, format!("{} is never in a {of}", item.said())));
        }
        Ok((Node::In(sides), Type::Bool))
    }
}

/// The value of an enum in full, where its name stands as a text beside a field.
fn of_enum(sides: &[Node; 2]) -> Option<String> {
    let ([Node::Field { field, .. }, Node::Literal(Value::String(name))]
    | [Node::Literal(Value::String(name)), Node::Field { field, .. }]) = sides
    else {
        return None;
    };
    let Kind::Enum(of) = field.kind() else { return None };
    let value = of.values().find(|value| value.name().eq_ignore_ascii_case(name)).or_else(|| of.values().next())?;
    Some(format!("{}.{}", of.full_name(), value.name()))
}

/// Whether values of both types can be equal.
fn can_equal(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        // A message that is not set is no null, but nobody has to know that.
        (Type::Null, Type::Message(_)) | (Type::Message(_), Type::Null) => true,
        (Type::List(a), Type::List(b)) => can_equal(a, b),
        (Type::Map(a), Type::Map(b)) => fits_key(&a.0, &b.0) && can_equal(&a.1, &b.1),
        // One schema may be loaded twice.
        (Type::Message(a), Type::Message(b)) => a.full_name() == b.full_name(),
        (a, b) => a == b || (a.is_number() && b.is_number()),
    }
}

/// What comes out of an operator, if it is for these.
fn result(by: Operator, a: &Type, b: &Type) -> Option<Type> {
    use Operator::{Add, Remainder, Subtract};
    use Type::{Bytes, Double, Duration, Dyn, Int, List, String, Timestamp, Uint};
    Some(match (a, by, b) {
        (Dyn, _, Dyn) => Dyn,
        // Times and spans go with each other, everything else with its like.
        (Dyn, Add | Subtract, Timestamp | Duration) | (Timestamp | Duration, Add | Subtract, Dyn) => Dyn,
        (Dyn, _, other) | (other, _, Dyn) => return result(by, other, other),
        (Int, _, Int) => Int,
        (Uint, _, Uint) => Uint,
        (Double, by, Double) if by != Remainder => Double,
        (String, Add, String) => String,
        (Bytes, Add, Bytes) => Bytes,
        (List(a), Add, List(b)) => Type::list((**a).clone().or((**b).clone())),
        (Timestamp, Add | Subtract, Duration) | (Duration, Add, Timestamp) => Timestamp,
        (Timestamp, Subtract, Timestamp) | (Duration, Add | Subtract, Duration) => Duration,
        _ => return None,
    })
}

/// How to make one the other.
fn converted(problem: Problem, a: &Type, b: &Type) -> Problem {
    let pair = [a, b];
    let has = |of: Type| pair.contains(&&of);
    if has(Type::String) && pair.iter().any(|of| of.is_number() || matches!(of, Type::Bool)) {
        return problem.help("`string(…)` makes it a text, `int(…)` or `double(…)` a text a number");
    }
    if has(Type::Double) && (has(Type::Int) || has(Type::Uint)) {
        return problem.help("`double(…)` makes a whole number a double; `1.0` is one, `1` is not");
    }
    if has(Type::Int) && has(Type::Uint) {
        return problem.help("`int(…)` and `uint(…)` make one the other; `1u` is a uint");
    }
    problem
}
