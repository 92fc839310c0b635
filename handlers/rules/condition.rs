//! When a rule fits: the names it gives itself, and what it asks of a message.

use std::fmt;

use prost_reflect::DynamicMessage;

use super::expr::{Expression, Failed, Names, Scope, Template, Type, Value, same};
use super::rule::Context;
use super::scope::{Event, check, declared};
use super::settings;
use super::text::of_type;
use crate::config::{Problem, Problems};

/// When a rule fits.
#[derive(Debug)]
pub(super) struct Condition {
    lets: Vec<(String, Expression)>,
    /// Whether it takes them to know if the rule fits.
    lets_first: bool,
    is: Option<Template>,
    /// As it was written, too.
    when: Option<(String, Expression)>,
}

/// Why a rule does not fit.
#[derive(Debug)]
pub(super) enum Unfit<'a> {
    OtherMessage,
    Not(&'a str),
}

impl fmt::Display for Unfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::OtherMessage => f.write_str("another message"),
            Unfit::Not(when) => write!(f, "not `{when}`"),
        }
    }
}

impl Condition {
    /// Checks it; gives the scope of what follows, too.
    pub(super) fn compile(
        rule: &settings::Rule,
        context: &Context<'_>,
        mut scope: Scope,
        problems: &mut Problems,
    ) -> (Condition, Scope) {
        let mut lets = Vec::new();
        for (name, text) in &rule.lets.0 {
            let at = |problem: Problem| problem.within(name.as_str()).within("let");
            problems.take(check(name).map_err(at));
            let of = match problems.take(Expression::compile(text, &scope).map_err(at)) {
                Some(expression) => {
                    let of = expression.gives().clone();
                    lets.push((name.clone(), expression));
                    of
                }
                // Known all the same, so that what uses it is not told of.
                None => Type::Dyn,
            };
            scope = declared(&scope, name, of);
        }
        let is = rule.is.as_ref().and_then(|tree| {
            let compiled = match context.event {
                Event::Message => Template::compile(tree, &context.method.input(), &scope),
                _ => Err(Problem::new("there is no message here to be this one").label("no message").into()),
            };
            problems.take(compiled.map_err(|found| found.within("is")))
        });
        let when = rule.when.as_ref().and_then(|text| {
            let compiled = of_type(text, &scope, &Type::Bool).map_err(|problem| problem.within("when"));
            problems.take(compiled).map(|expression| (text.clone(), expression))
        });
        let lets_first = lets.iter().any(|(name, _)| {
            when.as_ref().is_some_and(|(_, when)| when.reads(name)) || is.as_ref().is_some_and(|is| is.reads(name))
        });
        (Condition { lets, lets_first, is, when }, scope)
    }

    /// What the rule's own names stand for, where it fits.
    pub(super) fn fits(
        &self,
        names: &Names<'_>,
        request: Option<&DynamicMessage>,
    ) -> Result<Result<Vec<Value>, Unfit<'_>>, Failed> {
        // What a rule is not for is not worked out for it, where that can be told before.
        let early = if self.lets_first { Some(self.lets(names)?) } else { None };
        let known = early.as_deref().unwrap_or_default();
        if let (Some(is), Some(request)) = (&self.is, request)
            && !same(&is.fill(&self.bind(names.inner(), known))?, request)
        {
            return Ok(Err(Unfit::OtherMessage));
        }
        if let Some((text, when)) = &self.when
            && !when.is_true(&self.bind(names.inner(), known))?
        {
            return Ok(Err(Unfit::Not(text)));
        }
        let lets = match early {
            Some(lets) => lets,
            None => self.lets(names)?,
        };
        Ok(Ok(lets))
    }

    fn lets(&self, names: &Names<'_>) -> Result<Vec<Value>, Failed> {
        let mut lets: Vec<Value> = Vec::with_capacity(self.lets.len());
        for (_, expression) in &self.lets {
            let value = expression.evaluate(&self.bind(names.inner(), &lets))?;
            lets.push(value);
        }
        Ok(lets)
    }

    /// Binds what the rule's own names stand for.
    pub(super) fn bind<'a>(&'a self, names: Names<'a>, values: &'a [Value]) -> Names<'a> {
        self.lets.iter().zip(values).fold(names, |names, ((name, _), value)| names.lent(name, value))
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        let when = self.when.iter().map(|(_, when)| when);
        when.chain(self.lets.iter().map(|(_, expression)| expression)).any(|expression| expression.reads(name))
            || self.is.as_ref().is_some_and(|is| is.reads(name))
    }
}
