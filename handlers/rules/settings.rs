//! What an operator writes below `rules:`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value as Json;

use super::named::Named;
use crate::config::units::{Period, Size};

/// Everything below `rules:`.
#[derive(Clone, Debug)]
pub enum Config {
    /// For a service.
    Service(Service),
    /// For the one method it is written at.
    Method(Vec<Rule>),
}

/// The rules of a service.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Service {
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub(super) tables: Named<Table>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    pub(super) state: Named<State>,
    pub(super) explain: bool,
    pub(super) steps: u32,
    #[serde(flatten)]
    pub(super) methods: Named<Method>,
}

impl Service {
    /// Rules of one method and nothing else.
    pub(super) fn of_method(method: &str, rules: Vec<Rule>) -> Service {
        let rules = Method { on_message: rules, bare: true, ..Method::default() };
        Service { steps: STEPS, methods: Named(vec![(method.to_owned(), rules)]), ..Service::default() }
    }
}

/// Steps that working out one rule may take: some ten milliseconds at the most,
/// and enough to copy the largest message a host takes.
const STEPS: u32 = 400_000;
/// Bytes that one state may take.
const STATE_BYTES: u64 = 16 << 20;

/// Rows to look things up in, loaded with the configuration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// A JSON file: a list of rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    /// Rows written out here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inline: Option<Vec<Json>>,
    /// The message type that each row is, in protobuf's JSON; without it, rows are maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
    /// An expression over `row`: the table becomes a map from what it gives to
    /// the first row that gives it. Without it, the table is a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

/// Something remembered from message to message.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// What it is at first.
    pub(super) start: Json,
    /// Whether each stream has its own, or all calls of the service share one.
    #[serde(default)]
    pub(super) scope: Scope,
    /// Entries of a list or a map, at most.
    #[serde(default = "entries")]
    pub(super) entries: u32,
    /// Items of a list that is kept in a map, at most.
    #[serde(default = "entries")]
    pub(super) each: u32,
    /// Memory, at most.
    #[serde(default = "size")]
    pub(super) size: Size,
    /// What happens to what does not fit.
    #[serde(default)]
    pub(super) full: Full,
}

fn entries() -> u32 {
    10_000
}

fn size() -> Size {
    Size(STATE_BYTES)
}

/// Whose a state is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// One call's.
    #[default]
    Stream,
    /// Every call's, from reload to reload.
    Service,
}

/// What happens to what does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Full {
    /// The call ends RESOURCE_EXHAUSTED.
    #[default]
    Refuse,
    /// A list lets go of its oldest item; a map still refuses.
    DropOldest,
}

/// How a method behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Method {
    /// What happens when a call begins.
    pub(super) on_start: Vec<Rule>,
    /// What happens with each message.
    pub(super) on_message: Vec<Rule>,
    /// What happens when the client has sent its last.
    pub(super) on_end: Vec<Rule>,
    /// The rules as a bare list: which event they are for is the method's kind's to say.
    pub(super) bare: bool,
}

/// The first rule that fits is what happens.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Rule {
    /// What it is called where it is counted and explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Expressions with names of their own, for what follows.
    #[serde(rename = "let", skip_serializing_if = "Named::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub(super) lets: Named<String>,
    /// The rule fits messages that are exactly this one, in protobuf's JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is: Option<Json>,
    /// An expression: whether the rule fits. Without it, it always does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<String>,
    /// What becomes of the state.
    #[serde(skip_serializing_if = "Named::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, Change>")]
    pub(super) change: Named<Change>,
    /// How long to wait before an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay: Option<Period>,
    /// An expression that gives a list: one reply for each `item` of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) each: Option<String>,
    /// One message, in protobuf's JSON; a text that starts with `=` is an expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply: Option<Json>,
    /// Several messages, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replies: Option<Vec<Json>>,
    /// The replies over again; `turn` counts from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeat: Option<Repeat>,
    /// Metadata ahead of the first message.
    #[serde(skip_serializing_if = "Named::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub(super) headers: Named<String>,
    /// Metadata after the last.
    #[serde(skip_serializing_if = "Named::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub(super) trailers: Named<String>,
    /// Ends the call with a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fail: Option<Fail>,
    /// Ends the call well, whatever the client still has to say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) end: bool,
}

/// How often replies come.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Repeat {
    /// How many times; without it, until the client has had enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u32>,
    /// How long from one time to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) every: Option<Period>,
}

/// What becomes of one state: exactly one of `set`, `add`, `append` and `remove`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Change {
    /// An expression: the key in a map that is meant, instead of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// The new value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) set: Option<Json>,
    /// What to add to a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) add: Option<Json>,
    /// What to append to a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) append: Option<Json>,
    /// Whether to take the key out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) remove: bool,
}

/// A status that ends a call.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Fail {
    /// The code, such as NOT_FOUND.
    pub(super) code: String,
    /// The words; a text that starts with `=` is an expression.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    /// Messages with an `@type`, such as google.rpc.ErrorInfo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    #[serde(default)]
    on_start: Vec<Rule>,
    #[serde(default)]
    on_message: Vec<Rule>,
    #[serde(default)]
    on_end: Vec<Rule>,
}

/// As it was written: a list, or a list for each event.
impl Serialize for Method {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Method { on_start, on_message, on_end, bare } = self;
        if *bare {
            return on_message.serialize(to);
        }
        let events = [("on_start", on_start), ("on_message", on_message), ("on_end", on_end)];
        to.collect_map(events.into_iter().filter(|(_, rules)| !rules.is_empty()))
    }
}

struct OneMethod;

impl<'de> de::Visitor<'de> for OneMethod {
    type Value = Method;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rules, or a map of `on_start`, `on_message` and `on_end`")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, rules: A) -> Result<Method, A::Error> {
        let on_message = Vec::deserialize(de::value::SeqAccessDeserializer::new(rules))?;
        Ok(Method { on_message, bare: true, ..Method::default() })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, events: A) -> Result<Method, A::Error> {
        let Events { on_start, on_message, on_end } = Events::deserialize(MapAccessDeserializer::new(events))?;
        Ok(Method { on_start, on_message, on_end, bare: false })
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneMethod)
    }
}

struct Whole;

impl<'de> de::Visitor<'de> for Whole {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from methods to their rules")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, rules: A) -> Result<Config, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(rules)).map(Config::Method)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let mut service = Service { steps: STEPS, ..Service::default() };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "tables" => service.tables = map.next_value()?,
                "state" => service.state = map.next_value()?,
                "explain" => service.explain = map.next_value()?,
                "steps" => service.steps = map.next_value()?,
                _ => service.methods.0.push((key, map.next_value()?)),
            }
        }
        Ok(Config::Service(service))
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Whole)
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Config::Service(service) => service.serialize(to),
            Config::Method(rules) => rules.serialize(to),
        }
    }
}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = generator.subschema_for::<Vec<Rule>>();
        let tables = generator.subschema_for::<std::collections::BTreeMap<String, Table>>();
        let state = generator.subschema_for::<std::collections::BTreeMap<String, State>>();
        json_schema!({
            "description": "Answers by rules written here: the first whose `when` fits a request says what happens.",
            "anyOf": [
                { "type": "object",
                  "properties": {
                    "tables": { "description": "Rows to look things up in, loaded with the configuration.", "anyOf": [tables] },
                    "state": { "description": "What is remembered from message to message.", "anyOf": [state] },
                    "explain": { "type": "boolean", "default": false,
                        "description": "Whether answers say in a trailer which rule gave them, and why the ones before it did not." },
                    "steps": { "type": "integer", "minimum": 1, "maximum": u32::MAX, "default": STEPS,
                        "description": "Steps that working out one rule may take before the call ends RESOURCE_EXHAUSTED." },
                  },
                  "additionalProperties": { "description": "A method's rules: a list, or a list for each event of a stream.", "anyOf": [
                    rules,
                    { "type": "object", "additionalProperties": false, "properties": {
                        "on_start": rules, "on_message": rules, "on_end": rules } },
                  ] } },
                rules,
            ],
        })
    }
}
