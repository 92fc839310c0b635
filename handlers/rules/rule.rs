//! One rule, checked: when it fits, what it changes, what it answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use prost_reflect::MethodDescriptor;
use tonic::Status;

use super::answer::Answer;
use super::change::Changes;
use super::condition::Condition;
use super::expr::{Failed, Scope};
use super::scope::Event;
use super::settings;
use crate::config::{Problem, Problems};

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// What it is called: as the operator has it, or the event and its number.
    pub(super) label: String,
    pub(super) condition: Condition,
    pub(super) changes: Changes,
    pub(super) answer: Answer,
    hits: AtomicU64,
    unsaid: Unsaid,
}

/// Of a rule's failures, what the operator was not told yet.
#[derive(Debug, Default)]
struct Unsaid {
    /// How many.
    failures: AtomicU64,
    /// The second of the last one that was told.
    since: AtomicU64,
}

impl Unsaid {
    /// Whether a failure of this second is told: then how many before it were not.
    fn told_at(&self, second: u64) -> Option<u64> {
        if self.since.swap(second, Ordering::Relaxed) == second {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.failures.swap(0, Ordering::Relaxed))
    }
}

/// What the rules of one event are checked against.
pub(super) struct Context<'a> {
    pub(super) method: &'a MethodDescriptor,
    pub(super) event: Event,
    pub(super) scope: Scope,
    /// The names of the states, in the order they are held in.
    pub(super) states: Vec<&'a str>,
}

impl Context<'_> {
    /// Whether the rule that fits has to answer.
    fn is_answer_due(&self) -> bool {
        let (many_in, many_out) = (self.method.is_client_streaming(), self.method.is_server_streaming());
        !many_out && self.event == if many_in { Event::End } else { Event::Message }
    }
}

impl Rule {
    /// Checks a rule; problems have paths from the rule on. Of one that is not
    /// `whole`, because a part could not be read, only what is there is checked.
    pub(super) fn compile(
        rule: &settings::Rule,
        label: String,
        context: &Context<'_>,
        whole: bool,
    ) -> Result<Rule, Problems> {
        let mut problems = Problems::default();
        let scope = if whole { context.scope.clone() } else { context.scope.clone().partial() };
        let (condition, scope) = Condition::compile(rule, context, scope, &mut problems);
        let changes = Changes::compile(&rule.change, &scope, &context.states, &mut problems);
        let answer = Answer::compile(rule, context, &scope, &mut problems);
        if whole {
            contradictions(rule, context, &mut problems);
        }
        problems.or(Rule { label, condition, changes, answer, hits: AtomicU64::new(0), unsaid: Unsaid::default() })
    }

    /// Whether anything in it reads a name of the call.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.condition.reads(name) || self.changes.reads(name) || self.answer.reads(name)
    }

    /// Counts once more that it was what happened, and says how often that was.
    pub(super) fn hit(&self) -> u64 {
        self.hits.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How often it was.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Why it could not be worked out, with its name; the operator is told too, of
    /// each rule once a second at the most, and then how often it was before.
    pub(super) fn failed(&self, method: &MethodDescriptor, failed: &Failed) -> Status {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (service, method) = (method.parent_service(), method.name());
        let (service, rule) = (service.full_name(), &self.label);
        match self.unsaid.told_at(now) {
            None => {}
            Some(0) => tracing::warn!(service, method, rule, why = %failed, "a rule cannot be worked out"),
            Some(more) => tracing::warn!(
                service, method, rule, why = %failed, more,
                "a rule cannot be worked out, and {more} more calls found it so"
            ),
        }
        Status::new(failed.code(), format!("the rule {} cannot be worked out: {failed}", self.label))
    }
}

/// What cannot be said together, and what is missing.
fn contradictions(rule: &settings::Rule, context: &Context<'_>, problems: &mut Problems) {
    let method = context.method;
    let replies = rule.reply.is_some() || rule.replies.is_some();
    if context.is_answer_due() && !replies && rule.fail.is_none() {
        let problem = Problem::new(format!("`{}` answers with one message, and this rule has none", method.name()));
        problems.push(problem.label("no answer").help("give it a `reply` or a `fail`"));
    }
    if rule.reply.is_some() && rule.replies.is_some() {
        problems.push(Problem::new("a rule has `reply` or `replies`, not both").within("replies").key());
    }
    if !replies && (rule.each.is_some() || rule.repeat.is_some()) {
        let key = if rule.each.is_some() { "each" } else { "repeat" };
        problems
            .push(Problem::new(format!("`{key}` says how often to reply, and there is no reply")).within(key).key());
    }
    if !method.is_server_streaming() {
        for (key, there) in
            [("replies", rule.replies.is_some()), ("each", rule.each.is_some()), ("repeat", rule.repeat.is_some())]
        {
            if there {
                let problem = Problem::new(format!("`{}` answers with exactly one message", method.name()));
                problems.push(problem.label("answers with a stream").within(key).key());
            }
        }
        if replies && rule.fail.is_some() {
            problems.push(Problem::new("a call has one answer: a reply, or a status").within("fail").key());
        }
    }
    if rule.fail.is_some() && rule.end {
        problems.push(Problem::new("a call ends once: with `fail`, or well with `end`").within("end").key());
    }
    if rule.repeat.as_ref().is_some_and(|repeat| repeat.times == Some(0)) {
        let problem = Problem::new("replies that come no times are none").label("none").help("the least is 1");
        problems.push(problem.within("times").within("repeat"));
    }
    if let Some(repeat) = &rule.repeat
        && repeat.times.is_none()
        && repeat.every.is_none()
    {
        problems.push(
            Problem::new("replies without an end come with a time between them")
                .within("repeat")
                .key()
                .help("write `repeat: { every: 1s }`, or how many `times`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_second_s_failures_the_first_is_told_and_the_others_are_counted() {
        let unsaid = Unsaid::default();
        let told = [7, 7, 7, 8, 8, 12, 13].map(|second| unsaid.told_at(second));
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }
}
