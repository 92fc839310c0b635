//! What an operator may set: the command and its bounds, or where somebody
//! else's sockets are.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Problem;
use crate::config::units::{Period, Size};

/// A process that speaks gRPC on a Unix socket, in any language: one that we
/// start, or one that is there.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Process")]
pub struct Config {
    /// The program and its arguments, run in the file's folder without a shell; it listens where OSTLER_LISTEN says.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "named")]
    pub(super) command: Vec<String>,
    /// Variables for the command, beside those of the host.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env: BTreeMap<String, String>,
    /// Instead of a command: the socket of a process that somebody else starts, before us or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) socket: Option<PathBuf>,
    /// Instead of a command: a folder where processes leave sockets; those that know this service are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sockets: Option<PathBuf>,
    /// How long the command may take until it answers that it serves.
    pub(super) start_within: Period,
    /// When a command that has ended is started again.
    pub(super) restart: Restart,
    /// How long the command has from SIGTERM to SIGKILL.
    pub(super) stop_within: Period,
    /// What it writes to stdout and stderr goes to our log, within these bounds.
    pub(super) logs: Logs,
}

/// A command that is given, and so has a program.
fn named<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let command = Vec::deserialize(from)?;
    match command.is_empty() {
        false => Ok(command),
        true => Err(serde::de::Error::custom(
            "the command is empty\nwrite the program and its arguments: `[python3, reports.py]`",
        )),
    }
}

/// When to start a command again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Restart {
    /// After any end but one with code 0.
    #[default]
    OnFailure,
    /// After every end.
    Always,
    /// Not before a reload.
    Never,
}

/// How much a command may log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Logs {
    /// The most lines a second, of stdout and of stderr; more are counted and dropped.
    pub(super) lines_per_second: NonZeroU32,
    /// The longest line; the rest of a longer one is cut off.
    pub(super) line: Size,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = |seconds| Period(Duration::from_secs(seconds));
        Config {
            command: Vec::new(),
            env: BTreeMap::new(),
            socket: None,
            sockets: None,
            start_within: seconds(5),
            restart: Restart::default(),
            stop_within: seconds(5),
            logs: Logs::default(),
        }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Logs { lines_per_second: NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN), line: Size(8 << 10) }
    }
}

/// The one thing that is asked for.
pub(super) enum Source {
    Command,
    Socket(PathBuf),
    Folder(PathBuf),
}

impl Config {
    /// Which of the three it is; not two of them, and not none.
    pub(super) fn source(&self) -> Result<Source, Problem> {
        let one = "one of `command`, `socket` and `sockets` says where the service is";
        match (self.command.first(), &self.socket, &self.sockets) {
            (Some(program), None, None) if program.is_empty() => {
                Err(Problem::new("the command has no name").label("empty").within(0).within("command"))
            }
            (Some(_), None, None) => self.variables().map(|()| Source::Command),
            (None, Some(path), None) => self.not_ours().map(|()| Source::Socket(path.clone())),
            (None, None, Some(path)) => self.not_ours().map(|()| Source::Folder(path.clone())),
            (None, None, None) => Err(Problem::new("there is no process to ask")
                .label("needs `command`")
                .help("write `process: { command: [python3, reports.py] }`")
                .help(one)),
            (_, socket, _) => {
                let second = if socket.is_some() && !self.command.is_empty() { "socket" } else { "sockets" };
                Err(Problem::new("there are two processes to ask").label("a second one").within(second).key().help(one))
            }
        }
    }

    /// What is set for a command where there is none would be set for nothing.
    fn not_ours(&self) -> Result<(), Problem> {
        let usual = Config::default();
        let set = [
            ("env", self.env != usual.env),
            ("start_within", self.start_within != usual.start_within),
            ("restart", self.restart != usual.restart),
            ("stop_within", self.stop_within != usual.stop_within),
            ("logs", self.logs != usual.logs),
        ];
        match set.iter().find(|(_, set)| *set) {
            Some((name, _)) => Err(Problem::new(format!("`{name}` is for a command that we start"))
                .label("no command")
                .help("take it out: somebody else starts this process")
                .within(*name)
                .key()),
            None => Ok(()),
        }
    }

    /// What no environment can hold is said before anything is started.
    fn variables(&self) -> Result<(), Problem> {
        for (name, value) in &self.env {
            let words = if name.is_empty() || name.contains(['=', '\0']) {
                "a variable's name is not empty and has no `=`"
            } else if name == super::LISTEN {
                "this variable is ours: it says where the command listens"
            } else if value.contains('\0') {
                "a variable cannot hold a zero byte"
            } else {
                continue;
            };
            return Err(Problem::new(words).within(name.as_str()).within("env").key());
        }
        match self.command.iter().position(|argument| argument.contains('\0')) {
            Some(at) => Err(Problem::new("an argument cannot hold a zero byte").within(at).within("command")),
            None => Ok(()),
        }
    }
}
