//! Working an expression out.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::ReflectMessage as _;

use super::failed::Failed;
use super::list::List;
use super::map::Map;
use super::names::Names;
use super::node::{Comparison, Loop, LoopKind, Node};
use super::seen::{Seen, Text};
use super::steps::Steps;

/// What one evaluation has at hand.
pub(super) struct Frame<'a> {
    pub(super) steps: Steps,
    names: &'a Names<'a>,
    /// The variables of the loops it is in, the outermost first.
    locals: Vec<Seen<'a>>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(names: &'a Names<'a>) -> Frame<'a> {
        Frame { steps: Steps::new(names.budget()), names, locals: Vec::new() }
    }
}

impl Node {
    pub(super) fn run<'a>(&'a self, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
        frame.steps.one()?;
        match self {
            Node::Literal(value) => Ok(Seen::value(value)),
            Node::Name { name, at } => frame.names.find(name, *at),
            Node::Local(at) => Ok(frame.locals.get(*at).cloned().unwrap_or(Seen::Null)),
            Node::Field { of, field } => match of.run(frame)? {
                Seen::Message(message) if message.descriptor() == *field.parent_message() => {
                    message.read(field, &mut frame.steps)
                }
                // Bound to something else than the scope said.
                other => member(&other, field.name(), frame),
            },
            Node::Member { of, name } => member(&of.run(frame)?, name, frame),
            Node::Has { of, name } => has(&of.run(frame)?, name, frame),
            Node::Index(sides) => index(&sides[0].run(frame)?, &sides[1].run(frame)?, frame),
            Node::Not(of) => Ok(Seen::Bool(!of.truth("!", frame)?)),
            Node::Negate(of) => negate(of.run(frame)?),
            Node::And(sides) => either(&sides[0], &sides[1], "&&", false, frame),
            Node::Or(sides) => either(&sides[0], &sides[1], "||", true, frame),
            Node::If(branches) => {
                let [condition, then, otherwise] = &**branches;
                if condition.truth("?:", frame)? { then.run(frame) } else { otherwise.run(frame) }
            }
            Node::Equal { sides, wanted } => {
                let (a, b) = (sides[0].run(frame)?, sides[1].run(frame)?);
                Ok(Seen::Bool(a.equal(&b, &mut frame.steps)? == *wanted))
            }
            Node::Compare { sides, by } => {
                let (a, b) = (sides[0].run(frame)?, sides[1].run(frame)?);
                let order = a.order(&b, &mut frame.steps)?;
                Ok(Seen::Bool(order.is_some_and(|order| by.holds(order))))
            }
            Node::In(sides) => contains(&sides[0].run(frame)?, &sides[1].run(frame)?, frame),
            Node::Arithmetic { sides, by } => {
                let (a, b) = (sides[0].run(frame)?, sides[1].run(frame)?);
                by.apply(a, b, &mut frame.steps)
            }
            Node::List(items) => {
                let items = items.iter().map(|item| item.run(frame)).collect::<Result<Vec<_>, _>>()?;
                Ok(Seen::list(items))
            }
            Node::Map(entries) => map(entries, frame),
            Node::Loop(of) => of.run(frame),
            Node::Call { function, given } => {
                // Few functions take more than two, and a Vec is an allocation.
                match given.as_slice() {
                    [] => (function.run)(&[], frame),
                    [one] => {
                        let given = [one.run(frame)?];
                        (function.run)(&given, frame)
                    }
                    [one, two] => {
                        let given = [one.run(frame)?, two.run(frame)?];
                        (function.run)(&given, frame)
                    }
                    more => {
                        let given = more.iter().map(|node| node.run(frame)).collect::<Result<Vec<_>, _>>()?;
                        (function.run)(&given, frame)
                    }
                }
            }
            Node::Matches { text, pattern } => match text.run(frame)? {
                Seen::String(text) => {
                    frame.steps.many(text.len())?;
                    Ok(Seen::Bool(pattern.is_match(&text)))
                }
                other => Err(Failed::unfit("matches", &[other])),
            },
            Node::Type(name) => Ok(Seen::Type(Text::Lent(name))),
        }
    }

    /// Works it out where a bool is due.
    pub(super) fn truth<'a>(&'a self, operation: &str, frame: &mut Frame<'a>) -> Result<bool, Failed> {
        match self.run(frame)? {
            Seen::Bool(value) => Ok(value),
            other => Err(Failed::unfit(operation, &[other])),
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// `&&` and `||`: if one side decides, the other may fail.
fn either<'a>(
    left: &'a Node,
    right: &'a Node,
    sign: &str,
    decides: bool,
    frame: &mut Frame<'a>,
) -> Result<Seen<'a>, Failed> {
    let left = match left.truth(sign, frame) {
        Ok(value) if value == decides => return Ok(Seen::Bool(decides)),
        Err(failed) if failed.is_final() => return Err(failed),
        other => other,
    };
    match right.truth(sign, frame)? {
        value if value == decides => Ok(Seen::Bool(decides)),
        _ => left.map(Seen::Bool),
    }
}

fn member<'a>(of: &Seen<'a>, name: &str, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match of {
        Seen::Message(message) => message.member(name, &mut frame.steps),
        Seen::Map(map) => {
            map.get(super::key::KeyView::String(name)).ok_or_else(|| Failed::NoSuchField(name.to_owned()))
        }
        other => Err(Failed::unfit(&format!(".{name}"), std::slice::from_ref(other))),
    }
}

fn has<'a>(of: &Seen<'a>, name: &str, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match of {
        Seen::Message(message) => message.has(name, &mut frame.steps).map(Seen::Bool),
        Seen::Map(map) => Ok(Seen::Bool(map.get(super::key::KeyView::String(name)).is_some())),
        // What is not there has nothing.
        Seen::Null => Ok(Seen::Bool(false)),
        other => Err(Failed::unfit("has", std::slice::from_ref(other))),
    }
}

fn index<'a>(of: &Seen<'a>, key: &Seen<'a>, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match of {
        Seen::List(list) => {
            let at = match key {
                Seen::Int(at) => usize::try_from(*at).ok(),
                Seen::Uint(at) => usize::try_from(*at).ok(),
                Seen::Double(at) if at.fract() == 0.0 && *at >= 0.0 => Some(*at as usize),
                other => return Err(Failed::unfit("[]", &[of.clone(), other.clone()])),
            };
            at.and_then(|at| list.get(at)).ok_or(Failed::NoSuchIndex)
        }
        Seen::Map(map) => {
            let key = key.as_key().ok_or_else(|| Failed::unfit("[]", &[of.clone(), key.clone()]))?;
            if let super::key::KeyView::String(text) = key {
                frame.steps.bytes(text.len())?;
            }
            map.get(key).ok_or(Failed::NoSuchKey)
        }
        other => Err(Failed::unfit("[]", &[other.clone(), key.clone()])),
    }
}

fn contains<'a>(item: &Seen<'a>, of: &Seen<'a>, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match of {
        Seen::List(list) => {
            for other in list.iter() {
                if item.equal(&other, &mut frame.steps)? {
                    return Ok(Seen::Bool(true));
                }
            }
            Ok(Seen::Bool(false))
        }
        Seen::Map(map) => Ok(Seen::Bool(item.as_key().is_some_and(|key| map.get(key).is_some()))),
        other => Err(Failed::unfit("in", &[item.clone(), other.clone()])),
    }
}

fn negate(value: Seen<'_>) -> Result<Seen<'_>, Failed> {
    match value {
        Seen::Int(value) => value.checked_neg().map(Seen::Int).ok_or(Failed::Overflow),
        Seen::Double(value) => Ok(Seen::Double(-value)),
        Seen::Duration(value) => Ok(Seen::Duration(super::time::Duration::nearest(-value.nanos()))),
        other => Err(Failed::unfit("-", &[other])),
    }
}

fn map<'a>(entries: &'a [(Node, Node)], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let mut made = BTreeMap::new();
    for (key, value) in entries {
        let key = key.run(frame)?;
        let key = key.to_key().ok_or_else(|| Failed::unfit("{}", std::slice::from_ref(&key)))?;
        let value = value.run(frame)?;
        frame.steps.bytes(key.size_bytes())?;
        if made.insert(key, value).is_some() {
            return Err(Failed::RepeatedKey);
        }
    }
    Ok(Seen::Map(Map::Made(Arc::new(made))))
}

impl Loop {
    fn run<'a>(&'a self, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
        let over = match self.over.run(frame)? {
            Seen::List(list) => list,
            Seen::Map(map) => {
                frame.steps.many(map.len())?;
                List::Made(map.keys().into())
            }
            other => return Err(Failed::unfit(self.kind.name(), &[other])),
        };
        let variable = frame.locals.len();
        frame.locals.push(Seen::Null);
        let result = self.over_items(&over, variable, frame);
        frame.locals.truncate(variable);
        result
    }

    fn over_items<'a>(&'a self, over: &List<'a>, variable: usize, frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
        let mut made = Vec::new();
        let mut count = 0_usize;
        // Of `all` and `exists`: what went wrong, unless another item decides.
        let mut pending = None;
        for item in over.iter() {
            if let Some(slot) = frame.locals.get_mut(variable) {
                *slot = item.clone();
            }
            let holds = match &self.test {
                Some(test) => test.truth(self.kind.name(), frame),
                None => Ok(true),
            };
            match (self.kind, holds) {
                (_, Err(failed)) if failed.is_final() => return Err(failed),
                (LoopKind::All, Ok(false)) => return Ok(Seen::Bool(false)),
                (LoopKind::Exists, Ok(true)) => return Ok(Seen::Bool(true)),
                (LoopKind::All | LoopKind::Exists, Err(failed)) => pending = Some(failed),
                (_, Err(failed)) => return Err(failed),
                (LoopKind::All | LoopKind::Exists, _) | (_, Ok(false)) => {}
                (LoopKind::ExistsOne, Ok(true)) => count += 1,
                (LoopKind::Filter, Ok(true)) => made.push(item),
                (LoopKind::Map, Ok(true)) => {
                    made.push(self.into.as_ref().map_or(Ok(Seen::Null), |into| into.run(frame))?)
                }
            }
            frame.steps.one()?;
        }
        match (self.kind, pending) {
            (_, Some(failed)) => Err(failed),
            (LoopKind::All, None) => Ok(Seen::Bool(true)),
            (LoopKind::Exists, None) => Ok(Seen::Bool(false)),
            (LoopKind::ExistsOne, None) => Ok(Seen::Bool(count == 1)),
            (LoopKind::Filter | LoopKind::Map, None) => Ok(Seen::list(made)),
        }
    }
}

impl LoopKind {
    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            LoopKind::All => "all",
            LoopKind::Exists => "exists",
            LoopKind::ExistsOne => "exists_one",
            LoopKind::Filter => "filter",
            LoopKind::Map => "map",
        }
    }
}
