//! One call, run by its method's rules.
//!
//! A message is read, the first rule that fits it is found, its changes are
//! made, and its replies go out one by one as the client takes them; only then
//! is the next message read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::metadata::{KeyAndValueRef, MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::act::{Rule, bind};
use super::expr::{Failed, Names, Value};
use super::facts::Facts;
use super::program::Program;
use super::scope::{Event, ITEM, TURN};
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

/// A rule that was found to fit, as far as it has got.
struct Playing {
    event: Event,
    rule: usize,
    request: Option<DynamicMessage>,
    lets: Vec<Value>,
    /// Those that the rule still reads.
    states: Vec<Value>,
    /// What there is one reply each for.
    items: Option<Value>,
    item: usize,
    reply: usize,
    turn: u32,
    number: i64,
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

    /// Finds the rule for an event, and makes its changes.
    fn begin(&mut self, event: Event, request: Option<DynamicMessage>) -> Result<(), Status> {
        let program = self.program.clone();
        let Some(rules) = program.rules(self.method.name()) else { return Ok(()) };
        let mut explanation = program.explain.then(Vec::new);
        let mut held = program.states.hold(&mut self.own);
        let names = held.names(self.facts.names(&program, request.as_ref(), self.number));
        for (number, rule) in rules.of(event).iter().enumerate() {
            let Some(found) = fits(rule, &names, request.as_ref(), &mut explanation)? else { continue };
            let inner = bind(names.inner(), &rule.lets, &found);
            let changes = rule.changes(&inner).map_err(|failed| told(rule, failed))?;
            let items = match &rule.each {
                Some(each) => Some(each.evaluate(&inner).map_err(|failed| told(rule, failed))?),
                None => None,
            };
            rule.headers.work_out(&inner, &mut self.headers)?;
            drop(inner);
            drop(names);
            held.change(changes)?;
            let hits = rule.hit();
            let states = held.values(&rule.states);
            drop(held);
            explanation.iter_mut().for_each(|words| words.push(format!("{} answers (hit {hits})", rule.label)));
            self.explain(explanation);
            self.playing = Some(Playing {
                event,
                rule: number,
                request,
                lets: found,
                states,
                items,
                item: 0,
                reply: 0,
                turn: 1,
                number: self.number,
            });
            return Ok(());
        }
        drop(names);
        drop(held);
        explanation.iter_mut().for_each(|words| words.push("no rule fits".to_owned()));
        if event != Event::Start || !rules.of(event).is_empty() {
            self.explain(explanation);
        }
        let due = match event {
            Event::Start => false,
            Event::Message => !self.method.is_client_streaming(),
            Event::End => !self.method.is_server_streaming() && !self.replied,
        };
        if due {
            let method = self.method.name();
            return Err(self.with_trailers(Status::unimplemented(format!("no rule of {method} fits"))));
        }
        Ok(())
    }

    /// The next reply of the rule that fits; `None` when it has no more.
    async fn play(&mut self) -> Result<Option<DynamicMessage>, Status> {
        let program = self.program.clone();
        let (Some(playing), Some(rules)) = (&mut self.playing, program.rules(self.method.name())) else {
            return Ok(None);
        };
        let rule = &rules.of(playing.event)[playing.rule];
        loop {
            let items = playing.items.as_ref().map_or(1, length);
            let is_first = playing.turn == 1 && playing.item == 0 && playing.reply == 0;
            if rule.replies.is_empty() || items == 0 || rule.times.is_some_and(|times| playing.turn > times) {
                break;
            }
            if playing.reply == rule.replies.len() {
                (playing.reply, playing.item) = (0, playing.item + 1);
                continue;
            }
            if playing.item == items {
                (playing.item, playing.turn) = (0, playing.turn.saturating_add(1));
                if rule.times.is_none_or(|times| playing.turn <= times)
                    && let Some(every) = rule.every
                {
                    tokio::time::sleep(every).await;
                }
                continue;
            }
            if let Some(delay) = rule.delay.filter(|_| is_first) {
                tokio::time::sleep(delay).await;
            }
            let names = playing.names(&program, &self.facts, rule);
            let reply = rule.replies[playing.reply].fill(&names).map_err(|failed| told(rule, failed))?;
            drop(names);
            playing.reply += 1;
            if !self.method.is_server_streaming() {
                self.stage = Stage::Over;
            }
            return Ok(Some(reply));
        }
        if let (true, Some(delay)) = (rule.replies.is_empty(), rule.delay) {
            tokio::time::sleep(delay).await;
        }
        let names = playing.names(&program, &self.facts, rule);
        rule.trailers.work_out(&names, &mut self.trailers)?;
        let failed = rule.fail.as_ref().map(|fail| fail.status(&names)).transpose()?;
        drop(names);
        if rule.end {
            self.stage = Stage::Over;
        }
        self.playing = None;
        match failed {
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
        self.trailers.is_empty() && rule.is_none_or(|rule| rule.trailers.is_empty() && rule.fail.is_none())
    }
}

impl Playing {
    fn names<'a>(&'a self, program: &'a Program, facts: &'a Facts, rule: &'a Rule) -> Names<'a> {
        let names = facts.names(program, self.request.as_ref(), self.number);
        let read = rule.states.iter().map(|at| &program.states.declared()[*at].name);
        let names = read.zip(&self.states).fold(names, |names, (name, value)| names.lent(name, value));
        let names = bind(names, &rule.lets, &self.lets);
        let names = match &self.items {
            Some(Value::List(items)) => match items.get(self.item) {
                Some(item) => names.lent(ITEM, item),
                None => names,
            },
            _ => names,
        };
        names.value(TURN, i64::from(self.turn))
    }
}

/// What a rule's own names stand for, where it fits.
fn fits(
    rule: &Rule,
    names: &Names<'_>,
    request: Option<&DynamicMessage>,
    explanation: &mut Option<Vec<String>>,
) -> Result<Option<Vec<Value>>, Status> {
    let failed = |failed| told(rule, failed);
    let work_out = || {
        let mut lets: Vec<Value> = Vec::with_capacity(rule.lets.len());
        for (_, expression) in &rule.lets {
            let value = expression.evaluate(&bind(names.inner(), &rule.lets, &lets)).map_err(failed)?;
            lets.push(value);
        }
        Ok::<_, Status>(lets)
    };
    // What a rule is not for is not worked out for it, where that can be told before.
    let early = if rule.lets_first { Some(work_out()?) } else { None };
    let known = early.as_deref().unwrap_or_default();
    if let (Some(is), Some(request)) = (&rule.is, request)
        && Value::of_message(is.fill(&bind(names.inner(), &rule.lets, known)).map_err(failed)?)
            != Value::of_message(request.clone())
    {
        explanation.iter_mut().for_each(|words| words.push(format!("{}: another message", rule.label)));
        return Ok(None);
    }
    if let Some((text, when)) = &rule.when
        && !when.is_true(&bind(names.inner(), &rule.lets, known)).map_err(failed)?
    {
        explanation.iter_mut().for_each(|words| words.push(format!("{}: not `{text}`", rule.label)));
        return Ok(None);
    }
    let lets = match early {
        Some(lets) => lets,
        None => work_out()?,
    };
    Ok(Some(lets))
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

fn length(items: &Value) -> usize {
    match items {
        Value::List(items) => items.len(),
        _ => 0,
    }
}

/// Why a rule could not be worked out, with its name; the operator is told too,
/// once a second at the most.
fn told(rule: &Rule, failed: Failed) -> Status {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if LAST.swap(now, Ordering::Relaxed) != now {
        tracing::warn!(rule = rule.label, why = %failed, "a rule cannot be worked out");
    }
    Status::new(failed.code(), format!("the rule {} cannot be worked out: {failed}", rule.label))
}
