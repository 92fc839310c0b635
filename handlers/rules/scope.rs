//! The names that rules may use, and what they stand for in a call.

use prost_reflect::MethodDescriptor;

use super::expr::{Record, Scope, Type};
use super::settings;
use super::tables::Loaded;
use crate::config::{Problem, Problems};

/// Names that are there by themselves.
pub(super) const REQUEST: &str = "request";
pub(super) const METADATA: &str = "metadata";
pub(super) const PEER: &str = "peer";
pub(super) const METHOD: &str = "method";
pub(super) const NOW: &str = "now";
pub(super) const ELAPSED: &str = "elapsed";
pub(super) const NUMBER: &str = "number";
pub(super) const ITEM: &str = "item";
pub(super) const TURN: &str = "turn";
const OWN: [&str; 9] = [REQUEST, METADATA, PEER, METHOD, NOW, ELAPSED, NUMBER, ITEM, TURN];

/// What is known of a peer.
pub(super) const ADDRESS: &str = "address";

static METADATA_RECORD: Record =
    Record { known: &[], entry: |name| Some(if name.ends_with("-bin") { Type::Bytes } else { Type::String }) };
static PEER_RECORD: Record = Record { known: &[ADDRESS], entry: |name| (name == ADDRESS).then_some(Type::String) };

/// What happens that rules are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Start,
    Message,
    End,
}

impl Event {
    /// In their order in a call.
    pub(super) const ALL: [Event; 3] = [Event::Start, Event::Message, Event::End];

    /// Its key in the settings.
    pub(super) fn key(self) -> &'static str {
        match self {
            Event::Start => "on_start",
            Event::Message => "on_message",
            Event::End => "on_end",
        }
    }
}

/// The names of one event of a method.
pub(super) fn of(method: &MethodDescriptor, event: Event, tables: &[Loaded], states: &settings::Service) -> Scope {
    let scope = Scope::default().schema(method.parent_pool());
    let scope = match event {
        Event::Message => scope.with(REQUEST, Type::of_message(&method.input())),
        Event::Start | Event::End => scope,
    };
    let scope = scope
        .with(METADATA, Type::Record(&METADATA_RECORD))
        .with(PEER, Type::Record(&PEER_RECORD))
        .with(METHOD, Type::String)
        .with(NOW, Type::Timestamp)
        .with(ELAPSED, Type::Duration)
        .with(NUMBER, Type::Int);
    let tables = tables.iter().map(|table| (&table.name, table.of.clone()));
    let states = states.state.0.iter().map(|(name, _)| (name, Type::Dyn));
    tables.chain(states).fold(scope, |scope, (name, of)| declared(&scope, name, of))
}

/// The scope and a name that is declared, unless it is another's: that is told,
/// and not what follows from it.
pub(super) fn declared(scope: &Scope, name: &str, of: Type) -> Scope {
    if OWN.contains(&name) { scope.clone() } else { scope.with(name, of) }
}

/// Whether a name can be given to something.
pub(super) fn check(name: &str) -> Result<(), Problem> {
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_identifier {
        return Err(Problem::new(format!("`{name}` is no name for an expression to use"))
            .label("not a name")
            .key()
            .help("a name is letters, digits and `_`"));
    }
    if OWN.contains(&name) {
        return Err(Problem::new(format!("`{name}` stands for something already")).label("taken").key());
    }
    Ok(())
}

/// Whether the names of tables and states are names, and each somebody's alone.
pub(super) fn distinct(service: &settings::Service) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (name, _) in &service.tables.0 {
        problems.take(check(name).map_err(|problem| problem.within(name.as_str()).within("tables")));
    }
    for (name, _) in &service.state.0 {
        problems.take(check(name).map_err(|problem| problem.within(name.as_str()).within("state")));
        if service.tables.0.iter().any(|(table, _)| table == name) {
            let problem = Problem::new(format!("`{name}` is a table already")).label("taken").key();
            problems.push(problem.within(name.as_str()).within("state"));
        }
    }
    problems.or(())
}
