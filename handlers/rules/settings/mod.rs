//! What an operator writes below `rules:`.

mod reading;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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

/// What stands beside the methods.
pub(super) const KEYS: [&str; 4] = ["tables", "state", "explain", "steps"];

/// Steps that working out one rule may take: some ten milliseconds at the most,
/// and enough to copy the largest message a host takes.
const STEPS: u32 = 400_000;
/// Bytes that one state may take.
const STATE_BYTES: u64 = 16 << 20;

/// Rows to look things up in, loaded with the configuration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table, such as `{ file: rows.json }`")]
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
#[serde(deny_unknown_fields, expecting = "a state, such as `{ start: 0 }`")]
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
#[serde(default, deny_unknown_fields, expecting = "a rule, such as `{ reply: { … } }`")]
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
#[serde(deny_unknown_fields, expecting = "a map, such as `{ times: 3, every: 1s }`")]
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
#[serde(default, deny_unknown_fields, expecting = "a change, such as `{ set: 0 }` or `{ add: 1 }`")]
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
#[serde(deny_unknown_fields, expecting = "a status, such as `{ code: NOT_FOUND, message: nobody }`")]
#[schemars(inline)]
pub(crate) struct Fail {
    /// The code, such as NOT_FOUND.
    #[serde(deserialize_with = "reading::code")]
    pub(super) code: String,
    /// The words; a text that starts with `=` is an expression.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    /// Messages with an `@type`, such as google.rpc.ErrorInfo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<Json>,
}
