//! What a rule answers: replies, metadata, a status.

use std::time::Duration;

use serde_json::Value as Json;
use tonic::metadata::MetadataMap;

use super::expr::{Expression, Failed, Names, Scope, Template, Type, Value};
use super::rule::Context;
use super::scope::{ITEM, TURN};
use super::settings;
use super::status::Failure;
use super::text::{Metadata, of_type};
use crate::config::Problems;

/// What a rule answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) each: Option<Expression>,
    pub(super) delay: Option<Duration>,
    pub(super) replies: Vec<Template>,
    /// How often, and how long between; once and at once without.
    pub(super) times: Option<u32>,
    pub(super) every: Option<Duration>,
    pub(super) headers: Metadata,
    pub(super) trailers: Metadata,
    pub(super) fail: Option<Failure>,
    /// Whether the call ends well after it.
    pub(super) end: bool,
    /// The states that it reads; they are kept as they were once the rule's
    /// changes were made, and no other is, or the next change would have to copy it.
    pub(super) states: Vec<usize>,
}

impl Answer {
    pub(super) fn compile(
        rule: &settings::Rule,
        context: &Context<'_>,
        scope: &Scope,
        problems: &mut Problems,
    ) -> Answer {
        let each = rule.each.as_ref().and_then(|text| {
            let compiled = of_type(text, scope, &Type::list(Type::Dyn));
            problems.take(compiled.map_err(|problem| problem.within("each")))
        });
        let replies = replies(rule, context, &of_replies(rule, each.as_ref(), scope), problems);
        // Metadata and a status are of the whole answer, and of no item or turn.
        let mut metadata = |named, key: &'static str| {
            let compiled = Metadata::compile(named, scope);
            problems.take(compiled.map_err(|found| found.within(key))).unwrap_or_default()
        };
        let headers = metadata(&rule.headers, "headers");
        let trailers = metadata(&rule.trailers, "trailers");
        let fail = rule.fail.as_ref().and_then(|fail| {
            let compiled = Failure::compile(fail, scope, context.method);
            problems.take(compiled.map_err(|found| found.within("fail")))
        });
        let repeat = rule.repeat.as_ref();
        let answer = Answer {
            each,
            delay: rule.delay.map(|delay| delay.0),
            replies,
            times: repeat.map_or(Some(1), |repeat| repeat.times),
            every: repeat.and_then(|repeat| repeat.every).map(|every| every.0),
            headers,
            trailers,
            fail,
            end: rule.end,
            states: Vec::new(),
        };
        let read = context.states.iter().enumerate().filter(|(_, name)| answer.reads_later(name));
        let states = read.map(|(at, _)| at).collect();
        Answer { states, ..answer }
    }

    /// What goes ahead of the replies: their headers, and what there is one each for.
    pub(super) fn open(&self, names: &Names<'_>, headers: &mut MetadataMap) -> Result<Option<Value>, Failed> {
        self.headers.work_out(names, headers)?;
        self.each.as_ref().map(|each| each.evaluate(names)).transpose()
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.reads_later(name) || self.headers.reads(name) || self.each.as_ref().is_some_and(|each| each.reads(name))
    }

    /// Whether what is worked out when nobody holds the states any more reads a name.
    fn reads_later(&self, name: &str) -> bool {
        self.replies.iter().any(|reply| reply.reads(name))
            || self.trailers.reads(name)
            || self.fail.as_ref().is_some_and(|fail| fail.reads(name))
    }
}

/// The scope of replies.
fn of_replies(rule: &settings::Rule, each: Option<&Expression>, scope: &Scope) -> Scope {
    let scope = match each.map(Expression::gives) {
        Some(Type::List(item)) => scope.with(ITEM, (**item).clone()),
        Some(_) => scope.with(ITEM, Type::Dyn),
        // What was to give it is told, and so nothing is said of what uses it.
        None if rule.each.is_some() => scope.with(ITEM, Type::Dyn),
        None => scope.clone(),
    };
    if rule.repeat.is_some() { scope.with(TURN, Type::Int) } else { scope }
}

fn replies(rule: &settings::Rule, context: &Context<'_>, scope: &Scope, problems: &mut Problems) -> Vec<Template> {
    let output = context.method.output();
    let one = |tree: &Json| Template::compile(tree, &output, scope);
    let single = rule.reply.iter().map(|tree| one(tree).map_err(|found| found.within("reply")));
    let several = rule.replies.iter().flatten().enumerate();
    let several = several.map(|(number, tree)| one(tree).map_err(|found| found.within(number).within("replies")));
    single.chain(several).filter_map(|reply| problems.take(reply)).collect()
}
