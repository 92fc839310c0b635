//! A rule that was found to fit, reply by reply.

use prost_reflect::DynamicMessage;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::expr::{Failed, Names, Value};
use super::facts::Facts;
use super::program::Program;
use super::rule::Rule;
use super::scope::{Event, ITEM, TURN};

/// How far a rule has got.
pub(super) struct Playing {
    pub(super) event: Event,
    /// Its number among those of the event.
    pub(super) rule: usize,
    pub(super) request: Option<DynamicMessage>,
    /// What its own names stand for.
    pub(super) lets: Vec<Value>,
    /// Those that its answer reads.
    pub(super) states: Vec<Value>,
    /// What there is one reply each for.
    pub(super) items: Option<Value>,
    /// How many messages had come.
    pub(super) number: i64,
    pub(super) next: Next,
}

/// The reply that comes next.
#[derive(Clone, Copy)]
pub(super) struct Next {
    reply: usize,
    item: usize,
    /// From 1.
    turn: u32,
}

impl Default for Next {
    fn default() -> Next {
        Next { reply: 0, item: 0, turn: 1 }
    }
}

impl Playing {
    /// The next reply, when it is time for it; `None` when there is no more.
    pub(super) async fn reply(
        &mut self,
        program: &Program,
        facts: &Facts,
        rule: &Rule,
    ) -> Result<Option<DynamicMessage>, Failed> {
        let answer = &rule.answer;
        let items = self.items.as_ref().map_or(1, length);
        if answer.replies.is_empty() || items == 0 {
            return Ok(None);
        }
        if self.next.reply == answer.replies.len() {
            (self.next.reply, self.next.item) = (0, self.next.item + 1);
        }
        let turns_over = self.next.item == items;
        if turns_over {
            (self.next.item, self.next.turn) = (0, self.next.turn.saturating_add(1));
        }
        let Next { reply, item, turn } = self.next;
        if answer.times.is_some_and(|times| turn > times) {
            return Ok(None);
        }
        let wait = match (turn, item, reply) {
            (1, 0, 0) => answer.delay,
            _ => answer.every.filter(|_| turns_over),
        };
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        let reply = answer.replies[reply].fill(&self.names(program, facts, rule))?;
        self.next.reply += 1;
        Ok(Some(reply))
    }

    /// What comes after the last reply: trailers, and the status it fails with.
    pub(super) async fn end(
        &self,
        program: &Program,
        facts: &Facts,
        rule: &Rule,
        trailers: &mut MetadataMap,
    ) -> Result<Option<Status>, Failed> {
        if let (true, Some(delay)) = (rule.answer.replies.is_empty(), rule.answer.delay) {
            tokio::time::sleep(delay).await;
        }
        let names = self.names(program, facts, rule);
        rule.answer.trailers.work_out(&names, trailers)?;
        rule.answer.fail.as_ref().map(|fail| fail.status(&names)).transpose()
    }

    fn names<'a>(&'a self, program: &'a Program, facts: &'a Facts, rule: &'a Rule) -> Names<'a> {
        let names = facts.names(program, self.request.as_ref(), self.number);
        let read = rule.answer.states.iter().map(|at| &program.states.declared()[*at].name);
        let names = read.zip(&self.states).fold(names, |names, (name, value)| names.lent(name, value));
        let names = rule.condition.bind(names, &self.lets);
        let names = match &self.items {
            Some(Value::List(items)) => match items.get(self.next.item) {
                Some(item) => names.lent(ITEM, item),
                None => names,
            },
            _ => names,
        };
        names.value(TURN, i64::from(self.next.turn))
    }
}

fn length(items: &Value) -> usize {
    match items {
        Value::List(items) => items.len(),
        _ => 0,
    }
}
