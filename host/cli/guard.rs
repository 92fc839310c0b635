//! `ostler guard`: not for people. It stands between a host and a command that
//! the host runs, so that neither outlives the other; [`guard`](crate::host::guard)
//! is the host's side.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Args;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgid, getpid, getppid, kill_process, kill_process_group,
    set_child_subreaper, set_parent_process_death_signal, setpgid, wait,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::complain;
use crate::config::units::Period;
use crate::host::guard::{Ended, Word};

/// Shells' word for a command that cannot be started.
const EXIT_NOT_STARTED: u8 = 127;
/// How long what was sent SIGKILL may take to be gone.
const GOING: Duration = Duration::from_secs(2);

/// What to guard.
#[derive(Debug, Args)]
pub(super) struct Guard {
    /// From SIGTERM to SIGKILL.
    #[arg(long)]
    stop_within: Period,
    /// A folder that goes with the command.
    #[arg(long)]
    remove: Option<PathBuf>,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// What it wakes up for.
struct Wakes {
    child: Signals,
    stop: [Signals; 4],
    /// The thread that started us has ended, and perhaps its process.
    parent: Signals,
}

impl Wakes {
    fn new() -> io::Result<Wakes> {
        let of = |kind: fn() -> SignalKind| signal(kind());
        Ok(Wakes {
            child: of(SignalKind::child)?,
            stop: [
                of(SignalKind::terminate)?,
                of(SignalKind::interrupt)?,
                of(SignalKind::hangup)?,
                of(SignalKind::quit)?,
            ],
            parent: of(SignalKind::user_defined1)?,
        })
    }

    /// Asked to stop by a signal.
    async fn stopped(stop: &mut [Signals; 4]) {
        let [terminate, interrupt, hangup, quit] = stop;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

impl Guard {
    pub(super) async fn run(self) -> ExitCode {
        let remove = self.remove.clone();
        let code = self.guard().await.unwrap_or_else(|error| {
            complain(&format!("the guard cannot work: {error}"));
            EXIT_NOT_STARTED
        });
        if let Some(folder) = remove {
            let _ = std::fs::remove_dir_all(folder);
        }
        ExitCode::from(code)
    }

    async fn guard(self) -> io::Result<u8> {
        // Before there is anything to miss a signal for.
        let mut wakes = Wakes::new()?;
        let host = getppid();
        // Orphans among its descendants become ours, so that none is lost sight of.
        let _ = set_child_subreaper(Some(getpid()));
        // Beside the pair, which is what counts: this one fires when the
        // thread that started us ends, whatever becomes of its process.
        let _ = set_parent_process_death_signal(Some(Signal::USR1));
        let pair = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        pair.set_nonblocking(true)?;
        let (mut hear, mut tell) = UnixStream::from_std(pair)?.into_split();

        let [program, arguments @ ..] = self.command.as_slice() else { return Ok(EXIT_NOT_STARTED) };
        let main = match Command::new(program).args(arguments).stdin(Stdio::null()).spawn() {
            Ok(child) => Pid::from_child(&child),
            Err(error) => {
                let words = format!("`{}` cannot be started: {error}", program.display());
                let _ = tell.write_all(Word::Failed(words).to_string().as_bytes()).await;
                return Ok(EXIT_NOT_STARTED);
            }
        };
        let _ = tell.write_all(Word::Started(main.as_raw_pid() as u32).to_string().as_bytes()).await;

        let mut ended = None;
        let mut deadline: Option<Instant> = None;
        let mut buffer = [0; 64];
        loop {
            let mut stop = false;
            tokio::select! {
                _ = wakes.child.recv() => {}
                () = host_ended(&mut hear, &mut buffer), if deadline.is_none() => stop = true,
                () = Wakes::stopped(&mut wakes.stop) => stop = true,
                _ = wakes.parent.recv() => stop = getppid() != host,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
            }
            let before = ended;
            let nobody_left = reap(main, &mut ended);
            if before.is_none()
                && let Some(ended) = ended
            {
                let _ = tell.write_all(Word::Ended(ended).to_string().as_bytes()).await;
            }
            // What is left of a command that ended by itself has no use.
            if nobody_left || (ended.is_some() && deadline.is_none() && !stop) {
                break;
            }
            if stop && deadline.is_none() {
                deadline = Some(Instant::now() + self.stop_within.0);
                // Ourselves included, and unharmed.
                let _ = kill_process_group(getpid(), Signal::TERM);
            }
        }
        end_the_rest(host, main, &mut ended).await;
        Ok(match ended {
            Some(Ended::Exited(code)) => code as u8,
            Some(Ended::Killed(signal)) => 128 | signal as u8,
            Some(Ended::Unguarded) | None => 128 | Signal::KILL.as_raw() as u8,
        })
    }
}

/// Waits until the host has ended, or has let go of the command.
async fn host_ended(hear: &mut OwnedReadHalf, buffer: &mut [u8]) {
    loop {
        if hear.readable().await.is_err() {
            return;
        }
        match hear.try_read(buffer) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

/// Takes note of every descendant that has ended; true if none is left.
fn reap(main: Pid, ended: &mut Option<Ended>) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == main => *ended = Some(how(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

fn how(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Killed(signal),
        (None, None) => Ended::Unguarded,
    }
}

/// SIGKILL to all that is left, in the group and out of it.
async fn end_the_rest(host: Option<Pid>, main: Pid, ended: &mut Option<Ended>) {
    let group = getpid();
    // Out of the group first, or SIGKILL would end this process too. Where the
    // host is gone there may be no other group to go to; then they are ended
    // one by one.
    let other = host.filter(|_| getppid() == host).and_then(|host| getpgid(Some(host)).ok());
    let out = other.is_some_and(|other| other != group && setpgid(None, Some(other)).is_ok());
    if out {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let deadline = Instant::now() + GOING;
    while !reap(main, ended) {
        if Instant::now() >= deadline {
            if !out {
                // This process among them.
                let _ = kill_process_group(group, Signal::KILL);
            }
            return;
        }
        for pid in children() {
            let _ = kill_process(pid, Signal::KILL);
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// The processes whose parent this one is, as the system lists them.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_pid().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // Behind the name, which may hold anything, come the state and the parent.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            (parent == own).then(|| Pid::from_raw(pid)).flatten()
        })
        .collect()
}
