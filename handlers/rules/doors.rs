//! For the fuzz targets alone: expressions and rules over a schema that has
//! everything, with bounds that keep a search quick.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use prost_reflect::{Cardinality, DynamicMessage, Kind, MapKey, MessageDescriptor, Value as Proto};
use serde_json::json;

use super::Rules;
use super::expr::{Expression, Failed, Key, Names, Scope, Template, Timestamp, Type, Value};
use super::settings::{Config, Repeat, Rule, Service};
use crate::config::Problems;
use crate::config::units::Period;
use crate::host::{BoxError, Build, Mount, Plugin, Schema};

/// Steps of one evaluation.
const STEPS: u64 = 10_000;
/// Steps of one rule, of which a call may work out many.
const STEPS_A_RULE: u32 = 1_000;
/// Times that replies are repeated.
const TIMES: u32 = 4;

/// What is said of a name without a value.
const UNBOUND: &str = "has%20no%20value%20here";

/// A message with every field set to something, or to the utmost of its type.
pub(crate) fn filled(of: &MessageDescriptor, utmost: bool, depth: usize) -> DynamicMessage {
    let one = |kind: &Kind| -> Option<Proto> {
        Some(match kind {
            Kind::Double => Proto::F64(if utmost { f64::NEG_INFINITY } else { 1.5 }),
            Kind::Float => Proto::F32(if utmost { f32::NAN } else { -2.25 }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Proto::I32(if utmost { i32::MIN } else { 3 }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Proto::I64(if utmost { i64::MIN } else { -4 }),
            Kind::Uint32 | Kind::Fixed32 => Proto::U32(if utmost { u32::MAX } else { 5 }),
            Kind::Uint64 | Kind::Fixed64 => Proto::U64(if utmost { u64::MAX } else { 6 }),
            Kind::Bool => Proto::Bool(true),
            Kind::String => Proto::String(if utmost { "é\u{1F600}\0".repeat(9) } else { "a b".to_owned() }),
            Kind::Bytes => Proto::Bytes(if utmost { vec![0xff; 40] } else { b"ab".to_vec() }.into()),
            Kind::Enum(_) => Proto::EnumNumber(if utmost { i32::MAX } else { 1 }),
            Kind::Message(_) if depth == 0 => return None,
            Kind::Message(of) => Proto::Message(filled(of, utmost, depth - 1)),
        })
    };
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        let value = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let key = match entry.map_entry_key_field().kind() {
                    Kind::Bool => MapKey::Bool(true),
                    Kind::String => MapKey::String("a b".to_owned()),
                    Kind::Uint64 => MapKey::U64(u64::MAX),
                    _ => MapKey::I32(3),
                };
                one(&entry.map_entry_value_field().kind()).map(|value| Proto::Map([(key, value)].into()))
            }
            kind if field.cardinality() == Cardinality::Repeated => {
                one(&kind).map(|value| Proto::List(vec![value.clone(), value]))
            }
            kind => one(&kind),
        };
        if let Some(value) = value {
            // What does not fit is left unset.
            let _ = message.try_set_field(&field, value);
        }
    }
    message
}

/// Nothing, something, and too much.
pub(crate) fn samples(of: &MessageDescriptor) -> Vec<DynamicMessage> {
    vec![DynamicMessage::new(of.clone()), filled(of, false, 2), filled(of, true, 1)]
}

/// The language over one message type.
pub(crate) struct Language {
    of: MessageDescriptor,
    scope: Scope,
    requests: Vec<DynamicMessage>,
    states: Vec<Value>,
}

impl Language {
    pub(crate) fn new(of: MessageDescriptor) -> Language {
        let scope = Scope::default()
            .schema(of.parent_pool())
            .with("request", Type::Message(of.clone()))
            .with("metadata", Type::map(Type::String, Type::String))
            .with("now", Type::Timestamp)
            .with("state", Type::Dyn);
        let state = json!({"a": [1, -2.5, "x", null, true, {"b": 18446744073709551615u64}], "b": {"c": {"d": []}}});
        Language { scope, requests: samples(&of), of, states: vec![Value::Null, Value::from(&state)] }
    }

    /// Compiles a text and works it out, wherever it may stand; says whether it is an expression.
    pub(crate) fn try_out(&self, text: &str) -> bool {
        for field in ["name", "at"] {
            self.fill(&json!({ field: text }));
        }
        let expression = match Expression::compile(text, &self.scope) {
            Ok(expression) => expression,
            Err(problem) => {
                assert!(!problem.words().is_empty(), "refused without a word");
                return false;
            }
        };
        let metadata = Value::from(&json!({"who": "a caller"}));
        for (request, state) in self.both() {
            let names = self.names(request, &metadata, state);
            match expression.evaluate(&names) {
                Ok(value) => {
                    let due = expression.gives();
                    assert!(is_of(&value, due), "`{due}` was said, and there is {value:?}");
                    // As somebody looks at what is kept.
                    let _ = (value.size_bytes(), format!("{value:?}").len());
                }
                Err(failed) => assert!(!matches!(failed, Failed::Unbound(_)), "`{text}`: {failed}"),
            }
            if *expression.gives() == Type::Bool {
                let _ = expression.is_true(&names);
            }
        }
        let written = format!("={text}");
        for field in ["i32", "anything", "shelves", "parent", "lasts"] {
            self.fill(&json!({ field: written }));
        }
        true
    }

    fn fill(&self, tree: &serde_json::Value) {
        let Ok(template) = Template::compile(tree, &self.of, &self.scope) else { return };
        let metadata = Value::from(&json!({"who": "a caller"}));
        for (request, state) in self.both() {
            if let Ok(message) = template.fill(&self.names(request, &metadata, state)) {
                let bytes = message.encode_to_vec();
                let again = DynamicMessage::decode(self.of.clone(), bytes.as_slice());
                assert!(again.is_ok(), "what was filled in cannot be read: {tree}: {again:?}");
            }
        }
    }

    fn both(&self) -> impl Iterator<Item = (&DynamicMessage, &Value)> {
        self.requests.iter().flat_map(|request| self.states.iter().map(move |state| (request, state)))
    }

    fn names<'a>(&self, request: &'a DynamicMessage, metadata: &'a Value, state: &'a Value) -> Names<'a> {
        let names = Names::default().steps(STEPS).message("request", request).lent("metadata", metadata);
        names.value("now", Timestamp::now()).lent("state", state)
    }
}

/// Whether a value is of the type that was said.
fn is_of(value: &Value, due: &Type) -> bool {
    match (value, due) {
        (_, Type::Dyn)
        | (Value::Null, Type::Null)
        | (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Uint(_), Type::Uint)
        | (Value::Double(_), Type::Double)
        | (Value::String(_), Type::String)
        | (Value::Bytes(_), Type::Bytes)
        | (Value::Timestamp(_), Type::Timestamp)
        | (Value::Duration(_), Type::Duration) => true,
        (Value::List(items), Type::List(of)) => items.iter().all(|item| is_of(item, of)),
        (Value::Map(fields), Type::Map(of)) => {
            fields.iter().all(|(key, value)| key_is_of(key, &of.0) && is_of(value, &of.1))
        }
        (Value::Message(message), Type::Message(of)) => {
            prost_reflect::ReflectMessage::descriptor(message.as_ref()) == *of
        }
        _ => false,
    }
}

fn key_is_of(key: &Key, due: &Type) -> bool {
    matches!(
        (key, due),
        (_, Type::Dyn)
            | (Key::Bool(_), Type::Bool)
            | (Key::Int(_), Type::Int)
            | (Key::Uint(_), Type::Uint)
            | (Key::String(_), Type::String)
    )
}

/// The kind `rules`, within bounds that an operator may exceed and a search should not.
pub(crate) struct Bounded;

impl Plugin for Bounded {
    const KIND: &'static str = Rules::KIND;
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let config = match config {
            Config::Service(service) => Config::Service(bounded(service)),
            Config::Method(mut rules) => {
                rules.iter_mut().for_each(few);
                Config::Method(rules)
            }
        };
        Rules.build(config, build).await
    }
}

fn bounded(mut service: Service) -> Service {
    service.steps = service.steps.min(STEPS_A_RULE);
    for (_, table) in &mut service.tables.0 {
        // What lies in a file is this machine's.
        if table.file.take().is_some() {
            let rows = match table.of {
                Some(_) => json!([{ "name": "a b" }, {}]),
                None => json!([{ "name": "OATS", "price": 4.2 }, { "name": "HAY", "price": 1.75 }]),
            };
            table.inline = rows.as_array().cloned();
        }
    }
    for (_, method) in &mut service.methods.0 {
        let events = [&mut method.on_start, &mut method.on_message, &mut method.on_end];
        events.into_iter().flatten().for_each(few);
    }
    service
}

fn few(rule: &mut Rule) {
    if let Some(Repeat { times, every }) = &mut rule.repeat {
        *times = times.map(|times| times.min(TIMES));
        *every = every.map(|every| every.max(Period(Duration::from_millis(1))));
    }
}

/// What is wrong with a text of rules as the host would tell it, or one of its
/// methods as it answers.
pub(crate) async fn behave(plan: crate::host::Plan, schema: &Arc<Schema>, most_bytes: usize) -> Result<(), Problems> {
    for mount in crate::host::doors::build(plan, schema).await? {
        for (method, answered) in crate::host::doors::call_all(&mount, samples, most_bytes).await {
            if let Some(Err(error)) = answered.messages.iter().find(|message| message.is_err()) {
                assert!(answered.code.is_none(), "{method} answers with what cannot be read: {error}");
            }
            // Every name that the check lets pass stands for something.
            let is_unbound = answered.words.starts_with("the%20rule%20") && answered.words.ends_with(UNBOUND);
            assert!(!is_unbound, "{method}: {}", answered.words);
            assert!(answered.code.is_none_or(|code| (0..=16).contains(&code)), "{method}: {:?}", answered.code);
        }
    }
    Ok(())
}
