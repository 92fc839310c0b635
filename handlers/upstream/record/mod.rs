//! Calls written down as rules: what a server answered today, the kind `rules`
//! answers tomorrow without it.
//!
//! ```text
//! call ── tap: a copy of its frames ──▶ queue ──▶ thread: rule ─ ledger ─▶ file
//! ```
//!
//! A call passes on the same bytes as ever and waits for nothing: copies have
//! bounds, and where one is reached a call is left out, and counted.

mod ledger;
mod messages;
mod rule;
mod tap;
mod text;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prost_reflect::MethodDescriptor;
use tokio::sync::oneshot;

use super::settings;
use crate::config::Problem;
use crate::host::{Build, Request};
use ledger::Ledger;
use tap::Copied;
pub(super) use tap::Tap;

/// Calls that have ended and are not rules yet.
const QUEUED: usize = 256;
/// What copies of calls, under way and ended, may take together.
const MOST_HELD_BYTES: usize = 16 << 20;
/// How often the file is written, at the most.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes down calls until it drops; kept from generation to generation.
#[derive(Debug)]
pub(super) struct Recorder {
    counts: Arc<Counts>,
    /// Gone when this drops, which ends the thread.
    queue: Option<SyncSender<Copied>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether a call has come that no rule could tell.
    passes: AtomicBool,
}

/// What calls and the thread both count.
#[derive(Debug, Default)]
struct Counts {
    /// What copies take.
    held_bytes: AtomicUsize,
    /// Calls that were not recorded, and not told of yet.
    left_out: AtomicU64,
}

impl Drop for Recorder {
    /// Waits until what has been recorded is in the file.
    fn drop(&mut self) {
        self.queue = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a recording broke off");
        }
    }
}

/// The recorder that the settings ask for; the one that is there already goes on.
pub(super) fn recorder(record: &settings::Record, build: &Build) -> Result<Arc<Recorder>, Problem> {
    let path = build.path(&record.file);
    let shown = record.file.display();
    let wrong = |words: String| Err(Problem::new(words).label("cannot be written").within("file"));
    if path.file_name().is_none() || path.is_dir() {
        return wrong(format!("`{shown}` is no file"));
    }
    if path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return wrong(format!("the folder of `{shown}` is not there"));
    }
    // Rules that were recorded before make room for new ones; nothing else does.
    if std::fs::read(&path).is_ok_and(|there| !there.is_empty() && !there.starts_with(ledger::HEAD.as_bytes())) {
        return wrong(format!("`{shown}` holds something else than a recording, and would be lost"));
    }
    let key = format!("record {}", path.display());
    Ok(build.keep(&key, || {
        let (recorder, written) = Recorder::start(path.clone(), Ledger::new(build.service()));
        // The host does not end before the last of it is in the file.
        build.accompany(async {
            let _ = written.await;
        });
        recorder
    }))
}

/// Whether calls of a method can be told as rules: those with one request.
pub(super) fn is_recorded(method: &MethodDescriptor) -> bool {
    !method.is_client_streaming()
}

impl Recorder {
    /// A recorder, and what ends when it has written its last.
    fn start(path: PathBuf, ledger: Ledger) -> (Recorder, oneshot::Receiver<()>) {
        let (over, written) = oneshot::channel::<()>();
        let (queue, calls) = sync_channel(QUEUED);
        let counts = Arc::<Counts>::default();
        let writer = Writer { path, ledger, counts: counts.clone(), due: None, last: None, fails: false };
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            writer.run(&calls);
            drop(over);
        });
        let thread = thread.inspect_err(|error| tracing::error!(%error, "nothing is recorded: there is no thread"));
        let thread = Mutex::new(thread.ok());
        (Recorder { counts, queue: Some(queue), thread, passes: AtomicBool::new(false) }, written)
    }

    /// Begins to copy a call: returns it as it is to be sent on, and what its
    /// answer is to be given to. With it, there may be so many rules at the most.
    pub(super) fn tap(self: &Arc<Self>, method: &MethodDescriptor, most: usize, request: Request) -> (Request, Tap) {
        Tap::begin(self, method.clone(), most, request)
    }

    /// Lets a call pass whose client streams, and says so once.
    pub(super) fn pass(&self, method: &str) {
        if !self.passes.load(Ordering::Relaxed) && !self.passes.swap(true, Ordering::Relaxed) {
            tracing::info!(method, "calls of methods to which clients stream are not recorded");
        }
    }

    /// Takes in a call that has ended.
    fn take(&self, call: Copied) {
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(call).is_err()) {
            self.counts.leave_out();
        }
    }
}

impl Counts {
    fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the thread works with.
struct Writer {
    path: PathBuf,
    ledger: Ledger,
    counts: Arc<Counts>,
    /// When the file is to be written, where it is behind.
    due: Option<Instant>,
    last: Option<Instant>,
    /// Whether it could not be written last time.
    fails: bool,
}

impl Writer {
    fn run(mut self, calls: &Receiver<Copied>) {
        loop {
            let left = self.due.map(|due| due.saturating_duration_since(Instant::now()));
            let next = match left {
                // First of all, however many calls come.
                Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
                Some(left) => calls.recv_timeout(left),
                None => calls.recv().map_err(RecvTimeoutError::from),
            };
            match next {
                Ok(call) => self.note(&call),
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.due.is_some() {
            self.write();
        }
        self.tell();
    }

    fn note(&mut self, call: &Copied) {
        if rule::of(call).is_some_and(|rule| self.ledger.put(rule, call.most)) {
            self.due.get_or_insert(self.last.map_or_else(Instant::now, |last| last + PAUSE));
        } else {
            self.counts.leave_out();
        }
    }

    fn write(&mut self) {
        let written = self.ledger.write(&self.path);
        self.last = Some(Instant::now());
        self.due = match &written {
            Ok(()) => None,
            Err(_) => self.last.map(|last| last + 5 * PAUSE),
        };
        if let Err(error) = &written
            && !self.fails
        {
            tracing::warn!(file = %self.path.display(), %error, "what is recorded cannot be written");
        }
        self.fails = written.is_err();
        self.tell();
    }

    fn tell(&self) {
        let calls = self.counts.left_out.swap(0, Ordering::Relaxed);
        if calls > 0 {
            let file = self.path.display();
            tracing::warn!(%file, calls, "calls were not recorded: too long, too many at once, or not to be told as rules");
        }
    }
}
