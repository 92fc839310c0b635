//! One rule, checked: when it fits, and what it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost_reflect::MethodDescriptor;
use serde_json::Value as Json;

use super::expr::{Expression, Failed, Key, Names, Scope, Template, Tree, Type, Value};
use super::scope::{Event, ITEM, TURN, check};
use super::settings;
use super::state::{Act, Change};
use super::status::Failure;
use super::text::{Metadata, always, of_type};
use crate::config::{Problem, Problems, closest};

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// What it is called: as the operator has it, or the event and its number.
    pub(super) label: String,
    pub(super) lets: Vec<(String, Expression)>,
    /// Whether it takes them to know if the rule fits.
    pub(super) lets_first: bool,
    pub(super) is: Option<Template>,
    pub(super) when: Option<(String, Expression)>,
    changes: Vec<Changing>,
    pub(super) each: Option<Expression>,
    pub(super) delay: Option<Duration>,
    pub(super) replies: Vec<Template>,
    /// How often, and how long between; once and at once without.
    pub(super) times: Option<u32>,
    pub(super) every: Option<Duration>,
    pub(super) headers: Metadata,
    pub(super) trailers: Metadata,
    pub(super) fail: Option<Failure>,
    pub(super) end: bool,
    /// The states that are read once its changes are made; they are kept as
    /// they were then, and no other is, or the next change would have to copy it.
    pub(super) states: Vec<usize>,
    hits: AtomicU64,
}

#[derive(Debug)]
struct Changing {
    state: usize,
    at: Option<Expression>,
    act: Acting,
}

#[derive(Debug)]
enum Acting {
    Set(Tree),
    Add(Tree),
    Append(Tree),
    Remove,
}

/// What the rules of one event are checked against.
pub(super) struct Place<'a> {
    pub(super) method: &'a MethodDescriptor,
    pub(super) event: Event,
    pub(super) scope: Scope,
    /// The names of the states, in the order they are held in.
    pub(super) states: Vec<&'a str>,
}

impl Rule {
    /// Checks a rule; problems have paths from the rule on.
    pub(super) fn compile(rule: &settings::Rule, label: String, place: &Place<'_>) -> Result<Rule, Problems> {
        let mut problems = Problems::default();
        let mut scope = place.scope.clone();
        let mut lets = Vec::new();
        for (name, text) in &rule.lets.0 {
            let at = |problem: Problem| problem.within(name.as_str()).within("let");
            problems.take(check(name).map_err(at));
            let of = match problems.take(always(text, &scope).map_err(at)) {
                Some(expression) => {
                    let of = expression.gives().clone();
                    lets.push((name.clone(), expression));
                    of
                }
                // Known all the same, so that what uses it is not told of.
                None => Type::Dyn,
            };
            scope = scope.with(name.as_str(), of);
        }
        let is = rule.is.as_ref().and_then(|tree| {
            let compiled = match place.event {
                Event::Message => Template::compile(tree, &place.method.input(), &scope),
                _ => Err(Problem::new("there is no message here to be this one").label("no message").into()),
            };
            problems.take(compiled.map_err(|found| found.within("is")))
        });
        let when = rule.when.as_ref().and_then(|text| {
            let compiled = of_type(text, &scope, &Type::Bool).map_err(|problem| problem.within("when"));
            problems.take(compiled).map(|expression| (text.clone(), expression))
        });
        let mut changes = Vec::new();
        for (name, change) in &rule.change.0 {
            let compiled = changing(name, change, &scope, &place.states);
            changes.extend(problems.take(compiled.map_err(|found| found.within(name.as_str()).within("change"))));
        }
        let each = rule.each.as_ref().and_then(|text| {
            let compiled = of_type(text, &scope, &Type::list(Type::Dyn));
            problems.take(compiled.map_err(|problem| problem.within("each")))
        });
        // Metadata and a status are of the whole answer, and of no item or turn.
        let whole = scope.clone();
        if let Some(each) = &each {
            let item = match each.gives() {
                Type::List(item) => (**item).clone(),
                _ => Type::Dyn,
            };
            scope = scope.with(ITEM, item);
        }
        if rule.repeat.is_some() {
            scope = scope.with(TURN, Type::Int);
        }
        let output = place.method.output();
        let mut replies = Vec::new();
        let mut reply = |tree: &Json, problems: &mut Problems, at: &dyn Fn(Problem) -> Problem| {
            let compiled = Template::compile(tree, &output, &scope);
            replies.extend(problems.take(compiled.map_err(|found| found.map(at))));
        };
        if let Some(tree) = &rule.reply {
            reply(tree, &mut problems, &|problem| problem.within("reply"));
        }
        for (number, tree) in rule.replies.iter().flatten().enumerate() {
            reply(tree, &mut problems, &|problem| problem.within(number).within("replies"));
        }
        let metadata = |named, problems: &mut Problems, key: &'static str| {
            let compiled = Metadata::compile(named, &whole);
            problems.take(compiled.map_err(|found| found.within(key))).unwrap_or_default()
        };
        let headers = metadata(&rule.headers, &mut problems, "headers");
        let trailers = metadata(&rule.trailers, &mut problems, "trailers");
        let fail = rule.fail.as_ref().and_then(|fail| {
            let compiled = Failure::compile(fail, &whole, place.method);
            problems.take(compiled.map_err(|found| found.within("fail")))
        });
        let answers = replies_due(place) && rule.reply.is_none() && rule.replies.is_none() && rule.fail.is_none();
        if answers {
            problems.push(
                Problem::new(format!("`{}` answers with one message, and this rule has none", place.method.name()))
                    .label("no answer")
                    .help("give it a `reply` or a `fail`"),
            );
        }
        for problem in contradictions(rule, place.method) {
            problems.push(problem);
        }
        let states = place.states.iter().enumerate().filter(|(_, name)| {
            replies.iter().any(|reply: &Template| reply.reads(name))
                || trailers.reads(name)
                || fail.as_ref().is_some_and(|fail| fail.reads(name))
        });
        let states = states.map(|(at, _)| at).collect();
        let repeat = rule.repeat.as_ref();
        problems.or(Rule {
            label,
            lets_first: lets.iter().any(|(name, _)| {
                when.as_ref().is_some_and(|(_, when)| when.reads(name))
                    || is.as_ref().is_some_and(|is: &Template| is.reads(name))
            }),
            lets,
            is,
            when,
            changes,
            each,
            delay: rule.delay.map(|delay| delay.0),
            replies,
            times: repeat.map_or(Some(1), |repeat| repeat.times),
            every: repeat.and_then(|repeat| repeat.every).map(|every| every.0),
            headers,
            trailers,
            fail,
            end: rule.end,
            states,
            hits: AtomicU64::new(0),
        })
    }

    /// The changes it makes, worked out.
    pub(super) fn changes(&self, names: &Names<'_>) -> Result<Vec<Change>, Failed> {
        let no_key = || Failed::Argument { function: "at", why: "gives nothing that can be a key" };
        let change = |changing: &Changing| {
            let at = match &changing.at {
                Some(at) => Some(at.evaluate(names)?.as_key().ok_or_else(no_key)?),
                None => None::<Key>,
            };
            let act = match &changing.act {
                Acting::Set(tree) => Act::Set(tree.evaluate(names)?),
                Acting::Add(tree) => Act::Add(tree.evaluate(names)?),
                Acting::Append(tree) => Act::Append(tree.evaluate(names)?),
                Acting::Remove => Act::Remove,
            };
            Ok(Change { state: changing.state, at, act })
        };
        self.changes.iter().map(change).collect()
    }

    /// Whether anything in it reads a name of the call.
    pub(super) fn reads(&self, name: &str) -> bool {
        let when = self.when.iter().map(|(_, when)| when);
        let lets = self.lets.iter().map(|(_, expression)| expression);
        let changes = self.changes.iter();
        when.chain(lets).chain(&self.each).any(|expression| expression.reads(name))
            || self.is.iter().chain(&self.replies).any(|template| template.reads(name))
            || changes.into_iter().any(|change| change.reads(name))
            || [&self.headers, &self.trailers].into_iter().any(|metadata| metadata.reads(name))
            || self.fail.as_ref().is_some_and(|fail| fail.reads(name))
    }

    /// Counts once more that it was what happened, and says how often that was.
    pub(super) fn hit(&self) -> u64 {
        self.hits.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How often it was.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

/// Whether the rule that fits has to answer.
fn replies_due(place: &Place<'_>) -> bool {
    let (many_in, many_out) = (place.method.is_client_streaming(), place.method.is_server_streaming());
    !many_out && place.event == if many_in { Event::End } else { Event::Message }
}

/// What cannot be said together.
fn contradictions(rule: &settings::Rule, method: &MethodDescriptor) -> Vec<Problem> {
    let mut found = Vec::new();
    let replies = rule.reply.is_some() || rule.replies.is_some();
    if rule.reply.is_some() && rule.replies.is_some() {
        found.push(Problem::new("a rule has `reply` or `replies`, not both").within("replies").key());
    }
    if !replies && (rule.each.is_some() || rule.repeat.is_some()) {
        let key = if rule.each.is_some() { "each" } else { "repeat" };
        found.push(Problem::new(format!("`{key}` says how often to reply, and there is no reply")).within(key).key());
    }
    if !method.is_server_streaming() {
        for (key, there) in
            [("replies", rule.replies.is_some()), ("each", rule.each.is_some()), ("repeat", rule.repeat.is_some())]
        {
            if there {
                let problem = Problem::new(format!("`{}` answers with exactly one message", method.name()));
                found.push(problem.label("answers with a stream").within(key).key());
            }
        }
        if replies && rule.fail.is_some() {
            found.push(Problem::new("a call has one answer: a reply, or a status").within("fail").key());
        }
    }
    if rule.fail.is_some() && rule.end {
        found.push(Problem::new("a call ends once: with `fail`, or well with `end`").within("end").key());
    }
    if let Some(repeat) = &rule.repeat
        && repeat.times.is_none()
        && repeat.every.is_none()
    {
        found.push(
            Problem::new("replies without an end come with a time between them")
                .within("repeat")
                .key()
                .help("write `repeat: { every: 1s }`, or how many `times`"),
        );
    }
    found
}

fn changing(name: &str, change: &settings::Change, scope: &Scope, states: &[&str]) -> Result<Changing, Problems> {
    let Some(state) = states.iter().position(|known| *known == name) else {
        let problem = Problem::new(format!("there is no state `{name}`")).label("unknown state").key();
        let problem = match closest(name, states.iter().copied()) {
            Some(close) => problem.help(format!("did you mean `{close}`?")),
            None => problem.help(format!("declare it: `state: {{ {name}: {{ start: 0 }} }}`")),
        };
        return Err(problem.into());
    };
    let mut problems = Problems::default();
    let at =
        change.at.as_ref().and_then(|text| problems.take(always(text, scope).map_err(|problem| problem.within("at"))));
    let mut acts = Vec::new();
    for (key, tree, act) in [
        ("set", &change.set, Acting::Set as fn(Tree) -> Acting),
        ("add", &change.add, Acting::Add),
        ("append", &change.append, Acting::Append),
    ] {
        let Some(tree) = tree else { continue };
        if key == "add" && !tree.is_number() && !tree.as_str().is_some_and(|text| text.starts_with('=')) {
            problems.push(
                Problem::new("`add` takes a number, or an expression that gives one")
                    .label("not a number")
                    .within(key)
                    .help("an expression starts with `=`: `add: '=request.count'`"),
            );
        }
        let compiled = Tree::compile(tree, scope);
        let compiled = compiled.map_err(|found| found.within(key));
        acts.push(problems.take(compiled).map(act));
    }
    if change.remove {
        acts.push(Some(Acting::Remove));
    }
    if acts.len() != 1 {
        problems.push(
            Problem::new("a change is exactly one of `set`, `add`, `append` and `remove: true`")
                .label("not one change"),
        );
    }
    let act = acts.pop().flatten().unwrap_or(Acting::Remove);
    problems.or(Changing { state, at, act })
}

impl Changing {
    fn reads(&self, name: &str) -> bool {
        let of = match &self.act {
            Acting::Set(tree) | Acting::Add(tree) | Acting::Append(tree) => tree.reads(name),
            Acting::Remove => false,
        };
        of || self.at.as_ref().is_some_and(|at| at.reads(name))
    }
}

/// Binds what a rule's own names stand for.
pub(super) fn bind<'a>(names: Names<'a>, lets: &'a [(String, Expression)], values: &'a [Value]) -> Names<'a> {
    lets.iter().zip(values).fold(names, |names, ((name, _), value)| names.lent(name, value))
}
