//! The file's keys, typed: everything at the top level but the services' own
//! settings. Each field's words are what `ostler schema` says of it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::listen::Listen;
use super::schema::Schema;
use super::tls::Tls;
use super::units::Period;

/// The top level, but for `services`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Where to be reached: an address, or a list. A port of 0 lets the system choose.
    pub listen: Listen,
    /// How connections are encrypted; without it, none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Read entry by entry, each by its own plugin; known here so that a
    /// misspelling of it is told as one.
    #[serde(skip_serializing)]
    #[schemars(skip)]
    services: IgnoredAny,
    /// What a peer may ask of the host before it is held back.
    pub limits: Limits,
    /// What health says beside each service and the host as a whole.
    pub health: Health,
    /// Whether clients may discover services; false answers UNIMPLEMENTED.
    pub reflection: Reflection,
    /// When a changed file is applied.
    pub reload: Reload,
    /// How the host stops.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
}

/// On or off; on by default.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Reflection(pub bool);

impl Default for Reflection {
    fn default() -> Self {
        Reflection(true)
    }
}

/// Health's own settings.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Further names that answer as the whole host does, such as `liveness`.
    pub also: Vec<String>,
}

/// When a changed file is applied.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// Whether to watch the files, and servers that schemas come from; SIGHUP reloads either way.
    pub watch: bool,
    /// How long a changed file must keep still before it is applied.
    pub settle: Period,
    /// What becomes of a schema that old callers would misunderstand.
    pub wire_breaks: WireBreaks,
}

impl Default for Reload {
    fn default() -> Self {
        let settle = Period(std::time::Duration::from_millis(500));
        Reload { watch: true, settle, wire_breaks: WireBreaks::Warn }
    }
}

/// What becomes of a schema that old callers would misunderstand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WireBreaks {
    /// It is applied, and each break is told in the log.
    #[default]
    Warn,
    /// It is refused with all that comes with it, and the running one stays.
    Refuse,
}

/// How the host stops.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long to say NOT_SERVING while still taking calls; by default 5s
    /// under Kubernetes and 0s elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lame_duck: Option<Period>,
    /// How long calls in flight may still take before they are cut off.
    pub drain: Period,
    /// A Unix socket where a process that starts with the same path takes this
    /// one's place: it gets the listening sockets, and this one drains once it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<PathBuf>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { lame_duck: None, drain: Period(std::time::Duration::from_secs(20)), hand_over: None }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is amiss.
    Warn,
    /// Starts, stops and reloads.
    #[default]
    Info,
    /// Connections too.
    Debug,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For eyes.
    Human,
    /// For machines, one object a line.
    Json,
}

/// The host's keys for one service. What is under `handler` is its plugin's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    #[allow(dead_code)] // this and the next are named for the sake of the keys' names
    handler: IgnoredAny,
    #[allow(dead_code)]
    methods: Option<IgnoredAny>,
    pub(super) schema: Option<Schema>,
}
