//! A command kept running: started, found ready by its own health, followed,
//! and started again when it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use super::LISTEN;
use super::backoff::Backoff;
use super::folder;
use super::logs::{Last, Of, pump};
use super::settings::{Config, Restart};
use super::state::Tell;
use crate::config::Problem;
use crate::config::units::Period;
use crate::host::forward::{Health, health};
use crate::host::guard::{Ended, Guarded, Guarding};

/// How long the last lines of an ended command may take to come.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A command, and whom to tell how it is.
pub(super) struct Command {
    pub(super) service: String,
    pub(super) config: Config,
    /// The folder it runs in.
    pub(super) base: PathBuf,
    pub(super) tell: Tell,
    /// Told when nobody wants it any more.
    pub(super) stop: CancellationToken,
    /// Told when a build wants it up, whatever it waits for.
    pub(super) nudge: Arc<Notify>,
}

/// One run, looked back on.
struct Run<'a> {
    how: How,
    /// How long it was ready for; `None` if it never was.
    ready: Option<Duration>,
    last: Last,
    /// Ready when a build has wanted it up since its end, if only while the rest of it was going.
    nudged: Notified<'a>,
}

enum How {
    /// Nobody wanted it any more.
    Stopped,
    NotStarted(String),
    Ended(Ended),
    /// It runs, and does not serve: why.
    Silent(String),
}

impl How {
    fn words(&self, limit: Period) -> String {
        match self {
            How::Stopped => "was stopped".to_owned(),
            How::NotStarted(why) => format!("did not start: {why}"),
            How::Ended(ended) => ended.to_string(),
            How::Silent(why) => format!("did not serve within {limit}: {why}"),
        }
    }
}

impl Command {
    /// Keeps it up until it is to stop.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        let mut was_ready = false;
        loop {
            let run = self.once().await;
            let words = run.how.words(self.config.start_within);
            let again = match (&run.how, self.config.restart) {
                (How::Stopped, _) => return,
                _ if run.ready.is_none() && !was_ready => {
                    return self.tell.failed(self.problem(&words, &run.last));
                }
                (_, Restart::Never) | (How::Ended(Ended::Exited(0)), Restart::OnFailure) => false,
                _ => true,
            };
            was_ready = true;
            let wait = backoff.after(run.ready.unwrap_or_default());
            let service = &self.service;
            if again {
                self.tell.down(&format!("its process {words}, and is started again"));
                tracing::warn!(service, wait = %Period(wait), last = run.last.lines().join("\n"), "the process {words}; it is started again");
            } else {
                self.tell.down(&format!("its process {words}"));
                tracing::warn!(
                    service,
                    last = run.last.lines().join("\n"),
                    "the process {words}; it stays down until a reload"
                );
            }
            tokio::select! {
                () = sleep(wait), if again => {}
                () = run.nudged => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// From its start to its end.
    async fn once(&self) -> Run<'_> {
        let mut run = Run { how: How::Stopped, ready: None, last: Last::default(), nudged: self.nudge.notified() };
        let started = async {
            let folder = folder::private().map_err(|error| format!("no folder for its socket: {error}"))?;
            self.start(&folder).map(|guarded| (folder::socket(&folder), guarded))
        };
        let (socket, mut guarded) = match started.await {
            Ok(started) => started,
            Err(why) => return Run { how: How::NotStarted(why), ..run },
        };
        let mut pumps = JoinSet::new();
        let output = guarded.output();
        run.how = match guarded.started().await {
            Ok(pid) => {
                for (stream, name) in output.into_iter().flatten().zip(["stdout", "stderr"]) {
                    let of = Of { service: self.service.clone(), stream: name, pid };
                    pumps.spawn(pump(stream, of, self.config.logs, run.last.clone()));
                }
                tracing::info!(service = self.service, pid, "the process has started");
                self.accompany(socket, &mut guarded, pid, &mut run.ready).await
            }
            Err(why) => How::NotStarted(why),
        };
        run.nudged = self.nudge.notified();
        if run.ready.is_some() {
            self.tell.down(&format!("its process {}", run.how.words(self.config.start_within)));
        }
        guarded.stop().await;
        let read = async { while pumps.join_next().await.is_some() {} };
        let _ = timeout(LAST_LINES, read).await;
        run
    }

    fn start(&self, folder: &Path) -> Result<Guarded, String> {
        let listen = format!("unix:{}", folder::socket(folder).display());
        let mut env: Vec<(&str, &str)> =
            self.config.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        env.push((LISTEN, &listen));
        let guarding = Guarding {
            command: &self.config.command,
            folder: &self.base,
            env,
            stop_within: self.config.stop_within.0,
            remove: folder.to_owned(),
        };
        Guarded::start(guarding).map_err(|error| {
            let _ = std::fs::remove_dir_all(folder);
            format!("in {}: {error}", self.base.display())
        })
    }

    /// Tells how it is for as long as it is any good.
    async fn accompany(
        &self,
        socket: PathBuf,
        guarded: &mut Guarded,
        pid: u32,
        ready_for: &mut Option<Duration>,
    ) -> How {
        let peer = super::at(socket, &self.service);
        let (tell, mut found) = watch::channel(Health::Nobody("nobody listens there".into()));
        let tell = move |health| drop(tell.send_replace(health));
        let mut following = std::pin::pin!(health::follow(peer.clone(), self.service.clone(), tell));
        let mut ready: Option<Instant> = None;
        let mut why = "nobody listens there".to_owned();
        // Until when it must serve, or be heard of again.
        let mut until = Some(Instant::now() + self.config.start_within.0);
        let how = loop {
            tokio::select! {
                () = self.stop.cancelled() => break How::Stopped,
                ended = guarded.ended() => break How::Ended(ended),
                never = &mut following => match never {},
                _ = found.changed() => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => break How::Silent(why),
            }
            match &*found.borrow_and_update() {
                Health::Nobody(words) => {
                    why = words.to_string();
                    if ready.is_some() && until.is_none() {
                        until = Some(Instant::now() + self.config.start_within.0);
                        self.tell.down(&format!("its process does not answer: {words}"));
                    }
                }
                Health::Somebody { status, .. } => {
                    why = "it listens, and says it is not serving".to_owned();
                    if ready.is_none() && *status == ServingStatus::Serving {
                        ready = Some(Instant::now());
                        tracing::info!(service = self.service, pid, "the process is ready");
                    }
                    if ready.is_some() {
                        until = None;
                        self.tell.up(vec![peer.clone()], *status);
                    }
                }
            }
        };
        *ready_for = ready.map(|since| since.elapsed());
        how
    }

    /// What an operator reads whose command does not come up.
    fn problem(&self, words: &str, last: &Last) -> Problem {
        let command = self.config.command.join(" ");
        let problem = Problem::new(format!("the command `{command}` {words}")).label("did not come to serve");
        let lines = last.lines();
        let problem = match lines.is_empty() {
            true => problem.help("it wrote nothing"),
            false => problem.help(format!("its last words:\n{}", lines.join("\n"))),
        };
        problem.help(format!("it is to serve gRPC where ${LISTEN} says")).within("command")
    }
}
