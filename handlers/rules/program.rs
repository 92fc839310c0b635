//! A service's rules, checked against its schema: what is wrong with them is
//! wrong with the configuration, and told with its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::act::{Place, Rule};
use super::scope::{self, Event};
use super::settings::{self, Method, Service};
use super::state::States;
use super::tables::Loaded;
use crate::config::{Problem, Problems};
use crate::host::Build;

/// Everything a call needs.
#[derive(Debug)]
pub(super) struct Program {
    methods: BTreeMap<String, Rules>,
    pub(super) tables: Arc<[Loaded]>,
    pub(super) states: States,
    pub(super) explain: bool,
    pub(super) steps: u64,
}

/// The rules of one method, by event.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) start: Vec<Rule>,
    pub(super) message: Vec<Rule>,
    pub(super) end: Vec<Rule>,
    /// What of a call is to be a value.
    pub(super) wants: Wants,
}

/// What rules read of a call, beside its messages: the rest is not made a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    pub(super) metadata: bool,
    pub(super) peer: bool,
    pub(super) clock: bool,
}

impl Rules {
    pub(super) fn of(&self, event: Event) -> &[Rule] {
        match event {
            Event::Start => &self.start,
            Event::Message => &self.message,
            Event::End => &self.end,
        }
    }

    /// Whether any of them reads a name of the call.
    fn read(&self, name: &str) -> bool {
        [&self.start, &self.message, &self.end].into_iter().flatten().any(|rule| rule.reads(name))
    }

    /// Whether metadata may depend on what the client says first.
    pub(super) fn have_headers(&self) -> bool {
        [&self.start, &self.message, &self.end].into_iter().flatten().any(|rule| !rule.headers.is_empty())
    }
}

impl Program {
    /// Checks everything; problems have paths from the settings on.
    pub(super) fn compile(
        settings: &Service,
        service: &ServiceDescriptor,
        tables: Arc<[Loaded]>,
        build: &Build,
    ) -> Result<Program, Problems> {
        let mut problems = Problems::default();
        let mut methods = BTreeMap::new();
        for (name, method) in &settings.methods.0 {
            let found = descriptor(service, name).map_err(|problem| problem.within(name.as_str()));
            let Some(found) = problems.take(found) else { continue };
            let rules = compile(method, &found, &tables, settings);
            let rules = rules.map_err(|found| found.within(name.as_str()));
            methods.extend(problems.take(rules).map(|rules| (name.clone(), rules)));
        }
        problems.or(Program {
            methods,
            tables,
            states: States::new(&settings.state, build),
            explain: settings.explain,
            steps: settings.steps.into(),
        })
    }

    /// The rules of a method, where it has any.
    pub(super) fn rules(&self, method: &str) -> Option<&Rules> {
        self.methods.get(method)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for (method, rules) in &self.methods {
            for rule in [&rules.start, &rules.message, &rules.end].into_iter().flatten() {
                tracing::debug!(method, rule = rule.label, hits = rule.hits(), "a rule retires");
            }
        }
    }
}

fn descriptor(service: &ServiceDescriptor, name: &str) -> Result<MethodDescriptor, Problem> {
    service.methods().find(|method| method.name() == name).ok_or_else(|| {
        let names: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
        let problem = Problem::new(format!("`{}` has no method `{name}`", service.full_name()));
        let problem = problem.label("unknown method").key();
        let problem =
            problem.meant(name, names.iter().map(String::as_str).chain(["tables", "state", "explain", "steps"]));
        problem.help(format!("methods: {}", names.join(", ")))
    })
}

fn compile(
    method: &Method,
    descriptor: &MethodDescriptor,
    tables: &[Loaded],
    settings: &Service,
) -> Result<Rules, Problems> {
    let mut problems = Problems::default();
    let mut event = |event: Event, rules: &[settings::Rule], bare: bool| {
        let place = Place {
            method: descriptor,
            event,
            scope: scope::of(descriptor, event, tables, settings),
            states: settings.state.0.iter().map(|(name, _)| name.as_str()).collect(),
        };
        let mut compiled = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let label = rule
                .name
                .clone()
                .unwrap_or_else(|| format!("{}[{number}]", if bare { descriptor.name() } else { event.key() }));
            let checked = Rule::compile(rule, label, &place).map_err(|found| {
                found.map(|problem| {
                    let problem = problem.within(number);
                    if bare { problem } else { problem.within(event.key()) }
                })
            });
            compiled.extend(problems.take(checked));
        }
        compiled
    };
    let collects = descriptor.is_client_streaming() && !descriptor.is_server_streaming();
    let rules = match method {
        // The one answer to many messages comes when the last of them has.
        Method { on_message, bare: true, .. } if collects => {
            Rules { end: event(Event::End, on_message, true), ..Rules::default() }
        }
        Method { on_message, bare: true, .. } => {
            Rules { message: event(Event::Message, on_message, true), ..Rules::default() }
        }
        Method { on_start, on_message, on_end, .. } => Rules {
            start: event(Event::Start, on_start, false),
            message: event(Event::Message, on_message, false),
            end: event(Event::End, on_end, false),
            ..Rules::default()
        },
    };
    if !descriptor.is_client_streaming() {
        for (key, given) in [("on_start", &method.on_start), ("on_end", &method.on_end)] {
            if !given.is_empty() {
                problems.push(
                    Problem::new(format!("`{}` takes exactly one message", descriptor.name()))
                        .label("for streams of messages")
                        .within(key)
                        .key()
                        .help("its rules are a list, or `on_message`"),
                );
            }
        }
    }
    let wants = Wants {
        metadata: rules.read(scope::METADATA),
        peer: rules.read(scope::PEER),
        clock: rules.read(scope::NOW) || rules.read(scope::ELAPSED),
    };
    problems.or(Rules { wants, ..rules })
}
