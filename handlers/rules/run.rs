//! One call, run by its method's rules.
//!
//! A message is read, the first rule that fits it is found, its changes are
//! made, and its replies go out one by one as the client takes them; only then
//! is the next message read.

use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::metadata::{KeyAndValueRef, MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::expr::{Failed, Value};
use super::facts::Facts;
use super::play::{Next, Playing};
use super::program::Program;
use super::rule::Rule;
use super::scope::Event;
use super::state::Own;
use crate::host::{Conversation, Messages, Reply, Requests};

/// The trailer that tells which rules answered, where that is asked for.
const EXPLAINED: &str = "ostler-rule";
/// Of a long stream, the first so many are explained.
const MOST_EXPLAINED: usize = 32;

/// Answers a call.
pub(super) async fn call(program: &Arc<Program>, conversation: Conversation) -> Result<Reply, Status> {
    let Conversation { method, peer, metadata, requests } = conversation;
    let Some(rules) = program.rules(method.name()) else {
        return Err(Status::unimplemented(format!("there are no rules for {}", method.name())));
    };
    // A client may wait for the metadata before it says anything.
    let at_once = method.is_client_streaming() && !rules.have_headers();
    let mut run = Run {
        facts: Facts::new(method.name(), &metadata, &peer, rules.wants),
        own: program.states.own(),
        program: program.clone(),
        method,
        requests,
        number: 0,
        stage: Stage::Start,
        playing: None,
        headers: MetadataMap::new(),
        trailers: MetadataMap::new(),
        explained: 0,
        replied: false,
    };
    if at_once {
        return Ok(run.into_messages(None).into());
    }
    let first = run.next().await.map_err(|status| {
        // A status alone has no place for headers: what was to go ahead goes with it.
        let mut status = run.with_trailers(status);
        add(std::mem::take(&mut run.headers), status.metadata_mut());
        status
    })?;
    let metadata = std::mem::take(&mut run.headers);
    Ok(Reply { metadata, messages: run.into_messages(first) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Messages,
    End,
    Over,
}

struct Run {
    program: Arc<Program>,
    method: MethodDescriptor,
    facts: Facts,
    own: Own,
    requests: Requests,
    /// Messages that have come.
    number: i64,
    stage: Stage,
    playing: Option<Playing>,
    headers: MetadataMap,
    trailers: MetadataMap,
    explained: usize,
    replied: bool,
}

/// A rule that fits, by its number, and what was worked out of it.
struct Found {
    rule: usize,
    lets: Vec<Value>,
    states: Vec<Value>,
    items: Option<Value>,
}

impl Run {
    /// The next reply; `None` when the call has ended well.
    async fn next(&mut self) -> Result<Option<DynamicMessage>, Status> {
        loop {
            if self.playing.is_some() {
                if let Some(reply) = self.play().await? {
                    self.replied = true;
                    return Ok(Some(reply));
                }
                continue;
            }
            match self.stage {
                Stage::Start => {
                    self.stage = Stage::Messages;
                    self.begin(Event::Start, None)?;
                }
                Stage::Messages => match self.requests.message().await? {
                    Some(request) => {
                        self.number += 1;
                        if !self.method.is_client_streaming() {
                            self.stage = Stage::Over;
                        }
                        self.begin(Event::Message, Some(request))?;
                    }
                    None => {
                        self.stage = Stage::End;
                        self.begin(Event::End, None)?;
                    }
                },
                Stage::End => self.stage = Stage::Over,
                Stage::Over => return Ok(None),
            }
        }
    }

    /// Finds the rule for an event, makes its changes, and says so where that is asked for.
    fn begin(&mut self, event: Event, request: Option<DynamicMessage>) -> Result<(), Status> {
        let program = self.program.clone();
        let Some(rules) = program.rules(self.method.name()) else { return Ok(()) };
        let rules = rules.of(event);
        let mut explanation = program.explain.then(Vec::new);
        let mut tell = |words: fmt::Arguments<'_>| explanation.iter_mut().for_each(|all| all.push(words.to_string()));
        let found = self.find(&program, rules, request.as_ref(), &mut tell);
        let is_due = self.is_answer_due(event);
        match &found {
            Ok(Some(Found { rule, .. })) => {
                let (label, hits) = (&rules[*rule].label, rules[*rule].hit());
                tell(format_args!("{label} answers (hit {hits})"));
            }
            Ok(None) if rules.is_empty() && !is_due => {}
            Ok(None) => tell(format_args!("no rule fits")),
            Err((rule, failed)) => tell(format_args!("{} cannot be worked out: {failed}", rules[*rule].label)),
        }
        self.explain(explanation);
        match found {
            Ok(Some(Found { rule, lets, states, items })) => {
                let (number, next) = (self.number, Next::default());
                self.playing = Some(Playing { event, rule, request, lets, states, items, number, next });
                Ok(())
            }
            Ok(None) if is_due => Err(Status::unimplemented(format!("no rule of {} fits", self.method.name()))),
            Ok(None) => Ok(()),
            Err((rule, failed)) => Err(rules[rule].failed(&self.method, &failed)),
        }
    }

    /// The first rule that fits, with its changes made and its headers set; of one that
    /// cannot be worked out, its number and why.
    fn find(
        &mut self,
        program: &Program,
        rules: &[Rule],
        request: Option<&DynamicMessage>,
        tell: &mut impl FnMut(fmt::Arguments<'_>),
    ) -> Result<Option<Found>, (usize, Failed)> {
        let mut held = program.states.hold(&mut self.own);
        // Of one moment, whatever becomes of the states.
        let facts = self.facts.names(program, request, self.number);
        let names = held.names(facts.inner());
        for (number, rule) in rules.iter().enumerate() {
            let at = |failed: Failed| (number, failed);
            let lets = match rule.condition.fits(&names, request).map_err(at)? {
                Ok(lets) => lets,
                Err(unfit) => {
                    tell(format_args!("{}: {unfit}", rule.label));
                    continue;
                }
            };
            let changes = rule.changes.work_out(&rule.condition.bind(names.inner(), &lets), &held).map_err(at)?;
            drop(names);
            let back = held.make(changes);
            let names = held.names(facts.inner());
            let opened = rule.answer.open(&rule.condition.bind(names.inner(), &lets), &mut self.headers);
            drop(names);
            // Nobody has seen the changes, and nobody is to: the states are held still.
            let items = opened.map_err(|failed| {
                held.make(back);
                (number, failed)
            })?;
            let states = held.values(&rule.answer.states);
            return Ok(Some(Found { rule: number, lets, states, items }));
        }
        Ok(None)
    }

    /// Whether the client waits for an answer to an event that no rule fits.
    fn is_answer_due(&self, event: Event) -> bool {
        match event {
            Event::Start => false,
            Event::Message => !self.method.is_client_streaming(),
            Event::End => !self.method.is_server_streaming() && !self.replied,
        }
    }

    /// The next reply of the rule that fits; `None` when it has no more.
    async fn play(&mut self) -> Result<Option<DynamicMessage>, Status> {
        let program = self.program.clone();
        let (Some(playing), Some(rules)) = (&mut self.playing, program.rules(self.method.name())) else {
            return Ok(None);
        };
        let rule = &rules.of(playing.event)[playing.rule];
        let failed = |failed: Failed| rule.failed(&self.method, &failed);
        if let Some(reply) = playing.reply(&program, &self.facts, rule).await.map_err(failed)? {
            if !self.method.is_server_streaming() {
                self.stage = Stage::Over;
            }
            return Ok(Some(reply));
        }
        let status = playing.end(&program, &self.facts, rule, &mut self.trailers).await.map_err(failed)?;
        if rule.answer.end {
            self.stage = Stage::Over;
        }
        self.playing = None;
        match status {
            Some(status) => Err(status),
            None => Ok(None),
        }
    }

    fn explain(&mut self, explanation: Option<Vec<String>>) {
        let Some(words) = explanation else { return };
        if self.explained < MOST_EXPLAINED {
            self.explained += 1;
            let words: String = words.join("; ").chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
            if let Ok(value) = MetadataValue::try_from(words) {
                self.trailers.append(EXPLAINED, value);
            }
        }
    }

    /// A status with the trailers that are due beside it.
    fn with_trailers(&mut self, mut status: Status) -> Status {
        add(std::mem::take(&mut self.trailers), status.metadata_mut());
        status
    }

    /// The replies as a stream, the first of which may be there already.
    fn into_messages(mut self, first: Option<DynamicMessage>) -> Messages {
        if !self.method.is_server_streaming() && first.is_some() && self.playing_is_done() {
            return Box::pin(stream::iter(first.map(Ok)));
        }
        let rest = stream::unfold(Some(self), |run| async move {
            let mut run = run?;
            match run.next().await {
                Ok(Some(reply)) => Some((Ok(reply), Some(run))),
                Ok(None) if run.trailers.is_empty() => None,
                Ok(None) => Some((Err(run.with_trailers(Status::new(Code::Ok, ""))), None)),
                Err(status) => Some((Err(run.with_trailers(status)), None)),
            }
        });
        match first {
            Some(first) => Box::pin(stream::iter([Ok(first)]).chain(rest)),
            None => Box::pin(rest),
        }
    }

    /// Whether nothing comes after an only reply: no trailers, no status.
    fn playing_is_done(&mut self) -> bool {
        let Some(playing) = &self.playing else { return self.trailers.is_empty() };
        let rules = self.program.rules(self.method.name());
        let rule = rules.and_then(|rules| rules.of(playing.event).get(playing.rule));
        self.trailers.is_empty()
            && rule.is_none_or(|rule| rule.answer.trailers.is_empty() && rule.answer.fail.is_none())
    }
}

/// Puts all of some metadata beside what is there.
fn add(from: MetadataMap, to: &mut MetadataMap) {
    for piece in from.iter() {
        match piece {
            KeyAndValueRef::Ascii(key, value) => {
                to.append(key.clone(), value.clone());
            }
            KeyAndValueRef::Binary(key, value) => {
                to.append_bin(key.clone(), value.clone());
            }
        }
    }
}
