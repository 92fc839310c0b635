//! A service's rules, checked against its schema: what is wrong with them is
//! wrong with the configuration, and told with its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use super::expr::Scope;
use super::rule::{Context, Rule};
use super::scope::{self, Event};
use super::settings::{self, Method, Service};
use super::state::States;
use super::tables::Loaded;
use crate::config::{Path, Problem, Problems, closest};
use crate::host::Build;

/// Everything a call needs.
#[derive(Debug)]
pub(super) struct Program {
    methods: BTreeMap<String, MethodRules>,
    pub(super) tables: Arc<[Loaded]>,
    pub(super) states: States,
    pub(super) explain: bool,
    pub(super) steps: u64,
}

/// The rules of one method, by event.
#[derive(Debug, Default)]
pub(super) struct MethodRules {
    start: Vec<Rule>,
    message: Vec<Rule>,
    end: Vec<Rule>,
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

impl MethodRules {
    pub(super) fn of(&self, event: Event) -> &[Rule] {
        match event {
            Event::Start => &self.start,
            Event::Message => &self.message,
            Event::End => &self.end,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Rule> {
        [&self.start, &self.message, &self.end].into_iter().flatten()
    }

    /// Whether metadata may depend on what the client says first.
    pub(super) fn have_headers(&self) -> bool {
        self.all().any(|rule| !rule.answer.headers.is_empty())
    }

    fn wants(&self) -> Wants {
        let read = |name| self.all().any(|rule| rule.reads(name));
        Wants {
            metadata: read(scope::METADATA),
            peer: read(scope::PEER),
            clock: read(scope::NOW) || read(scope::ELAPSED),
        }
    }
}

/// Where in the settings something could not be read, and so is not there.
#[derive(Debug, Default)]
pub(super) struct Amiss(pub(super) Vec<Path>);

impl Amiss {
    /// The same, one step further in.
    pub(super) fn within(self, step: &str) -> Amiss {
        Amiss(self.0.iter().map(|path| Path::default().then(step).join(path)).collect())
    }

    /// Whether any of it lies below a path.
    fn is_below(&self, path: &Path) -> bool {
        self.0.iter().any(|amiss| amiss.starts_with(path))
    }
}

impl Program {
    /// Checks everything; problems have paths from the settings on. They are
    /// added to those there are, and only where there are none is there a program.
    pub(super) fn compile(
        settings: &Service,
        service: &ServiceDescriptor,
        tables: Vec<Loaded>,
        amiss: &Amiss,
        build: &Build,
        mut problems: Problems,
    ) -> Result<Program, Problems> {
        let declares = ["tables", "state"];
        // A name may be missing with what declares it, or declared where a method is due.
        let mut is_partial = declares.iter().any(|key| amiss.is_below(&Path::default().then(*key)));
        let mut known = Vec::new();
        for (name, method) in &settings.methods.0 {
            let found = descriptor(service, name).map_err(|problem| problem.within(name.as_str()));
            is_partial |= found.is_err() && closest(name, declares).is_some();
            known.extend(problems.take(found).map(|found| (found, method)));
        }
        let mut methods = BTreeMap::new();
        for (descriptor, method) in known {
            let name = descriptor.name();
            let subject = Subject { method: &descriptor, tables: &tables, settings, amiss, is_partial };
            let rules = subject.compile(method).map_err(|found| found.within(name));
            methods.extend(problems.take(rules).map(|rules| (name.to_owned(), rules)));
        }
        problems.or(())?;
        Ok(Program {
            methods,
            tables: tables.into(),
            states: States::new(&settings.state, build),
            explain: settings.explain,
            steps: settings.steps.into(),
        })
    }

    /// The rules of a method, where it has any.
    pub(super) fn rules(&self, method: &str) -> Option<&MethodRules> {
        self.methods.get(method)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for (method, rules) in &self.methods {
            for rule in rules.all() {
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
        let problem = problem.meant(name, names.iter().map(String::as_str).chain(settings::KEYS));
        problem.help(format!("methods: {}", names.join(", ")))
    })
}

/// A method whose rules are checked.
struct Subject<'a> {
    method: &'a MethodDescriptor,
    tables: &'a [Loaded],
    settings: &'a Service,
    amiss: &'a Amiss,
    /// Whether names may be missing that rules use.
    is_partial: bool,
}

impl Subject<'_> {
    fn compile(&self, method: &Method) -> Result<MethodRules, Problems> {
        let mut problems = Problems::default();
        let collects = self.method.is_client_streaming() && !self.method.is_server_streaming();
        let rules = match method {
            // The one answer to many messages comes when the last of them has.
            Method { on_message, bare: true, .. } if collects => {
                MethodRules { end: self.event(Event::End, on_message, true, &mut problems), ..MethodRules::default() }
            }
            Method { on_message, bare: true, .. } => MethodRules {
                message: self.event(Event::Message, on_message, true, &mut problems),
                ..MethodRules::default()
            },
            Method { on_start, on_message, on_end, .. } => MethodRules {
                start: self.event(Event::Start, on_start, false, &mut problems),
                message: self.event(Event::Message, on_message, false, &mut problems),
                end: self.event(Event::End, on_end, false, &mut problems),
                ..MethodRules::default()
            },
        };
        if !self.method.is_client_streaming() {
            for (key, given) in [("on_start", &method.on_start), ("on_end", &method.on_end)] {
                if !given.is_empty() {
                    problems.push(
                        Problem::new(format!("`{}` takes exactly one message", self.method.name()))
                            .label("for streams of messages")
                            .within(key)
                            .key()
                            .help("its rules are a list, or `on_message`"),
                    );
                }
            }
        }
        problems.or(())?;
        Ok(MethodRules { wants: rules.wants(), ..rules })
    }

    /// The rules of one event; `bare` where they stand without its key.
    fn event(&self, event: Event, rules: &[settings::Rule], bare: bool, problems: &mut Problems) -> Vec<Rule> {
        let context = Context {
            method: self.method,
            event,
            scope: self.scope(event),
            states: self.settings.state.0.iter().map(|(name, _)| name.as_str()).collect(),
        };
        let mut compiled = Vec::new();
        let path = Path::default().then(self.method.name());
        let path = if bare { path } else { path.then(event.key()) };
        let found = |found: Problems| if bare { found } else { found.within(event.key()) };
        let always = rules.iter().position(|rule| rule.when.is_none() && rule.is.is_none());
        if let Some(after) = always.map(|always| always + 1).filter(|after| *after < rules.len())
            && !self.amiss.is_below(&path)
        {
            let problem = Problem::new("this rule is never come to: the one before it fits whatever comes");
            let problem = problem.label("never fits").help("a rule without `when` and `is` goes last");
            let problem = problem.within(after);
            problems.push(if bare { problem } else { problem.within(event.key()) });
        }
        for (number, rule) in rules.iter().enumerate() {
            let label = rule.name.clone();
            let label =
                label.unwrap_or_else(|| format!("{}[{number}]", if bare { self.method.name() } else { event.key() }));
            let rule = Rule::compile(rule, label, &context, !self.amiss.is_below(&path.then(number)));
            compiled.extend(problems.take(rule.map_err(|problems| found(problems.within(number)))));
        }
        compiled
    }

    fn scope(&self, event: Event) -> Scope {
        let scope = scope::of(self.method, event, self.tables, self.settings);
        if self.is_partial { scope.partial() } else { scope }
    }
}
