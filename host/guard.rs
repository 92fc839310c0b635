//! A command that cannot outlive its host, whatever ends either.
//!
//! The host starts not the command but a guard: this very binary once more, as
//! `ostler guard`. It leads a process group, starts the command in it, and
//! holds one end of a socket pair whose other end only the host has. However
//! the host ends, SIGKILL included, the pair ends with it, and the guard stops
//! the command and all that came of it. If the guard is killed, the host ends
//! the group.
//!
//! ```text
//! host ══ socket pair ══ guard ── command ── what it starts
//!                        └───── one process group ─────┘
//! ```
//!
//! It takes a binary whose command line is [`cli::main`](super::cli::main).

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use crate::config::units::Period;

/// Whatever file that name has on disk by now, this is the binary that runs.
const OURSELVES: &str = "/proc/self/exe";
/// The hidden verb.
pub(super) const VERB: &str = "guard";
/// How long a guard that was killed may take to be gone.
const GOING: Duration = Duration::from_secs(5);
/// What a service manager tells one process, and no child of it.
const ONLY_OURS: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// Its guard was killed, and it was with it.
    Unguarded,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited(code) => write!(f, "exited with code {code}"),
            Ended::Killed(signal) => write!(f, "was ended by signal {signal}"),
            Ended::Unguarded => f.write_str("was ended with its guard"),
        }
    }
}

/// What the guard says over the pair, a line each.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// The command runs, under this process id.
    Started(u32),
    /// It could not be started.
    Failed(String),
    /// It has ended.
    Ended(Ended),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Started(pid) => writeln!(f, "started {pid}"),
            Word::Failed(words) => writeln!(f, "failed {}", words.replace('\n', " ")),
            Word::Ended(Ended::Exited(code)) => writeln!(f, "exited {code}"),
            Word::Ended(Ended::Killed(signal)) => writeln!(f, "killed {signal}"),
            Word::Ended(Ended::Unguarded) => Ok(()),
        }
    }
}

impl Word {
    fn parse(line: &str) -> Option<Word> {
        let (word, rest) = line.split_once(' ')?;
        Some(match word {
            "started" => Word::Started(rest.parse().ok()?),
            "failed" => Word::Failed(rest.to_owned()),
            "exited" => Word::Ended(Ended::Exited(rest.parse().ok()?)),
            "killed" => Word::Ended(Ended::Killed(rest.parse().ok()?)),
            _ => return None,
        })
    }
}

/// What to run, and how.
#[derive(Debug)]
pub struct Guarding<'a> {
    /// The program and its arguments; no shell.
    pub command: &'a [String],
    /// The folder it runs in.
    pub folder: &'a Path,
    /// Added to this process's own environment.
    pub env: Vec<(&'a str, &'a str)>,
    /// How long it has from SIGTERM to SIGKILL.
    pub stop_within: Duration,
    /// A folder that goes with it.
    pub remove: PathBuf,
}

/// A command that runs under guard. Dropped, it is stopped: SIGTERM to the
/// whole group, and SIGKILL to what is left after `stop_within`.
#[derive(Debug)]
pub struct Guarded {
    /// The pair; its end is the guard's order to stop.
    alive: Option<OwnedWriteHalf>,
    state: watch::Receiver<State>,
    output: Option<[Receiver; 2]>,
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Started(u32),
    Failed(String),
    Ended(Ended),
    /// Nothing is left of it.
    Gone(Ended),
}

impl Guarded {
    /// Starts the guard, which starts the command.
    pub fn start(guarding: Guarding<'_>) -> io::Result<Guarded> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (host, alive) = UnixStream::from_std(ours)?.into_split();
        let mut command = Command::new(OURSELVES);
        command.arg0("ostler").arg(VERB);
        command.arg("--stop-within").arg(Period(guarding.stop_within).to_string());
        command.arg("--remove").arg(&guarding.remove);
        command.arg("--").args(guarding.command);
        for name in ONLY_OURS {
            command.env_remove(name);
        }
        command.envs(guarding.env).current_dir(guarding.folder).process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut guard = command.spawn()?;
        let output = match (guard.stdout.take(), guard.stderr.take()) {
            (Some(stdout), Some(stderr)) => {
                Some([Receiver::from_owned_fd(OwnedFd::from(stdout))?, Receiver::from_owned_fd(OwnedFd::from(stderr))?])
            }
            _ => None,
        };
        let (tell, state) = watch::channel(State::Starting);
        tokio::spawn(hear(guard, host, guarding.remove, tell));
        Ok(Guarded { alive: Some(alive), state, output })
    }

    /// What it writes: stdout and stderr, once.
    pub fn output(&mut self) -> Option<[Receiver; 2]> {
        self.output.take()
    }

    /// Its process id, once it runs, or why it does not.
    pub async fn started(&mut self) -> Result<u32, String> {
        loop {
            match &*self.state.borrow_and_update() {
                State::Starting => {}
                State::Started(pid) => return Ok(*pid),
                State::Failed(words) => return Err(words.clone()),
                State::Ended(ended) | State::Gone(ended) => return Err(format!("it {ended}")),
            }
            if self.state.changed().await.is_err() {
                return Err("its guard ended".to_owned());
            }
        }
    }

    /// Waits for its end; some that it started may still be ending.
    pub async fn ended(&mut self) -> Ended {
        loop {
            if let State::Ended(ended) | State::Gone(ended) = *self.state.borrow_and_update() {
                return ended;
            }
            if self.state.changed().await.is_err() {
                return Ended::Unguarded;
            }
        }
    }

    /// Stops it, and waits until nothing is left of it.
    pub async fn stop(mut self) -> Ended {
        self.alive = None;
        loop {
            if let State::Gone(ended) = *self.state.borrow_and_update() {
                return ended;
            }
            if self.state.changed().await.is_err() {
                return Ended::Unguarded;
            }
        }
    }
}

/// Hears the guard out, sees to it that nothing outlives it, and takes note of
/// its end.
async fn hear(mut guard: Child, host: OwnedReadHalf, remove: PathBuf, tell: watch::Sender<State>) {
    let group = Pid::from_child(&guard);
    let mut lines = BufReader::new(host).lines();
    let mut last = Ended::Unguarded;
    while let Ok(Some(line)) = lines.next_line().await {
        tell.send_replace(match Word::parse(&line) {
            Some(Word::Started(pid)) => State::Started(pid),
            Some(Word::Failed(words)) => State::Failed(words),
            Some(Word::Ended(ended)) => {
                last = ended;
                State::Ended(ended)
            }
            None => continue,
        });
    }
    // The guard is ending, or was killed. Until it is waited for its number is
    // nobody else's, so the group is surely the one meant.
    let _ = kill_process_group(group, Signal::KILL);
    let deadline = tokio::time::Instant::now() + GOING;
    while let Ok(None) = guard.try_wait() {
        if tokio::time::Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let _ = std::fs::remove_dir_all(&remove);
    if !matches!(*tell.borrow(), State::Failed(_)) {
        tell.send_replace(State::Gone(last));
    }
}
