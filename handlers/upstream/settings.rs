//! What an operator may set.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::units::Period;
use crate::config::{Problem, Problems};
use crate::host::forward::Address;

/// A service that another gRPC server answers: calls are sent on as they come.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Upstream")]
pub struct Config {
    /// The servers, one or several alike: http://host:port, https://host:port or unix:/path.
    #[schemars(length(min = 1, max = 64))]
    pub(super) to: Vec<Server>,
    /// How https servers are known, and how they know this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls>,
    /// The most a unary call may take, tries and all; then it is DEADLINE_EXCEEDED. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<Period>,
    /// How long a connection may take.
    #[serde(default = "two_seconds")]
    pub(super) connect: Period,
    /// After so long without a word from a server, while calls wait, it is asked whether it lives.
    #[serde(default = "twenty_seconds")]
    pub(super) keepalive: Period,
    /// Calls in flight, to all the servers together; one more is RESOURCE_EXHAUSTED.
    #[serde(default = "a_thousand")]
    pub(super) calls: NonZeroU32,
    /// What is sent again where that is safe.
    #[serde(default)]
    pub(super) retry: Retry,
    /// When a server that fails is left alone.
    #[serde(default)]
    pub(super) breaker: Breaker,
    /// Writes calls down as rules that answer them without the server. Off by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<Record>,
}

/// How https servers are known, and how they know this host.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UpstreamTls")]
pub(super) struct Tls {
    /// A PEM file: the authorities to know the servers by.
    pub(super) ca: PathBuf,
    /// The name in the servers' certificates; by default the one each is reached by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// A PEM file: a certificate to show, and below it those that lead to its authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<PathBuf>,
    /// A PEM file: the certificate's private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<PathBuf>,
}

/// A call that no server has looked at is sent to another; one that was UNAVAILABLE
/// is sent again where its method is declared to have no side effects, or to be
/// idempotent, and its client does not stream.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retry {
    /// How often a call is tried in all; 1 is never again.
    pub(super) attempts: NonZeroU32,
    /// Further tries there may be in a row; each call that needs none earns a fifth of one back.
    pub(super) budget: NonZeroU32,
}

/// When a server that fails is left alone.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Breaker {
    /// Failures in a row: no connection, a lost one, UNAVAILABLE, or `timeout` passed,
    /// each before the answer has begun.
    pub(super) failures: NonZeroU32,
    /// For how long it is left alone; then one call tries it.
    pub(super) open: Period,
}

/// Each call that the server ended becomes a rule of the kind `rules`: what was asked, and
/// what was answered. Methods to which clients stream are left out, and metadata of requests.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The file, this service's own, in place of the last recording: a method's rules below its name.
    pub(super) file: PathBuf,
    /// Rules in it; one more, and the oldest goes. There is one for each request, with its last answer.
    #[serde(default = "a_thousand_rules")]
    pub(super) calls: NonZeroU32,
}

impl Config {
    /// Times that are none: no call could be answered, or servers would be asked without end.
    pub(super) fn times(&self) -> Result<(), Problems> {
        let times = [("timeout", self.timeout), ("connect", Some(self.connect)), ("keepalive", Some(self.keepalive))];
        let mut problems = Problems::default();
        for (setting, time) in times {
            if let Some(time) = time.filter(|time| *time < Period::SHORTEST) {
                let problem = Problem::new(format!("{time} for `{setting}` is no time at all")).label("too little");
                problems.push(problem.help(format!("write {} or more", Period::SHORTEST)).within(setting));
            }
        }
        problems.or(())
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: count(3), budget: count(100) }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker { failures: count(5), open: Period(Duration::from_secs(1)) }
    }
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn two_seconds() -> Period {
    Period(Duration::from_secs(2))
}

fn twenty_seconds() -> Period {
    Period(Duration::from_secs(20))
}

fn a_thousand() -> NonZeroU32 {
    count(1024)
}

fn a_thousand_rules() -> NonZeroU32 {
    count(1000)
}

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) struct Server(pub(super) Address);

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Server).map_err(de::Error::custom)
    }
}

impl Serialize for Server {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl JsonSchema for Server {
    fn schema_name() -> Cow<'static, str> {
        "Server".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^(https?://.+:[0-9]+/?|unix:.+)$",
            "description": "A gRPC server: http://host:port, https://host:port or unix:/path.",
        })
    }
}
