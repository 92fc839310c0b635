//! RouteChat: notes left at places, kept within bounds.
//!
//! Each profile's scope is the same store with another owner: the call, or the
//! service. Whoever owns them, all notes of a service count against one
//! [`Ledger`], so its bounds hold however many calls are open.

mod notes;
mod rate;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tonic::Status;

use super::profile::Scope;
use super::settings;
use crate::host::Build;
use crate::proto::routeguide::RouteNote;
use notes::{Ledger, Notes, Refused};
use rate::Bucket;

/// How often all boards are looked through for old notes: an eighth of their
/// age, and no oftener than this.
const SHORTEST_SWEEP: Duration = Duration::from_secs(1);

/// Notes that one owner's callers see.
type Board = Arc<Mutex<Notes>>;

/// Every board of a service that somebody still has, and what all of them weigh.
#[derive(Debug, Default)]
struct Boards {
    ledger: Arc<Ledger>,
    open: Mutex<Vec<Weak<Mutex<Notes>>>>,
}

impl Boards {
    fn open(&self) -> Board {
        let board = Arc::new(Mutex::new(Notes::new(self.ledger.clone())));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are gone leave when the list would have to grow.
        if open.len() == open.capacity() {
            open.retain(|board| board.strong_count() > 0);
        }
        open.push(Arc::downgrade(&board));
        board
    }

    /// Forgets what has grown old on boards where nobody leaves notes, too.
    fn sweep(&self, keep: &settings::Keep) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for board in open.iter().filter_map(Weak::upgrade) {
            board.lock().unwrap_or_else(PoisonError::into_inner).sweep(keep, Instant::now());
        }
    }
}

/// Where a configuration's notes go.
#[derive(Clone, Debug)]
pub(super) struct Chat {
    settings: Arc<settings::Chat>,
    boards: Arc<Boards>,
    /// Everybody's notes, where they are shared: kept for the next
    /// configuration as long as one holds them.
    shared: Option<Arc<Board>>,
}

impl Chat {
    /// Shared notes and what all notes weigh outlive the configuration that
    /// took them; the sweeping ends with it.
    pub(super) fn new(settings: &settings::Chat, build: &Build) -> Chat {
        let boards = build.keep("boards", Boards::default);
        let shared = (settings.scope == Scope::Shared).then(|| build.keep("shared notes", || boards.open()));
        let (swept, keep) = (boards.clone(), settings.keep.clone());
        build.spawn(async move {
            loop {
                tokio::time::sleep((keep.age.0 / 8).max(SHORTEST_SWEEP)).await;
                swept.sweep(&keep);
            }
        });
        Chat { settings: Arc::new(settings.clone()), boards, shared }
    }

    /// With nothing kept and nothing swept.
    #[cfg(test)]
    pub(super) fn alone(settings: &settings::Chat) -> Chat {
        Chat { settings: Arc::new(settings.clone()), boards: Arc::default(), shared: None }
    }

    /// A call begins.
    pub(super) fn talk(&self) -> Talk {
        let board = self.shared.as_deref().map_or_else(|| self.boards.open(), Board::clone);
        let bucket = self.settings.rate.map(|rate| Bucket::new(rate, Instant::now()));
        Talk { settings: self.settings.clone(), board, bucket }
    }
}

/// One call's side of the conversation.
#[derive(Debug)]
pub(super) struct Talk {
    settings: Arc<settings::Chat>,
    board: Board,
    bucket: Option<Bucket>,
}

impl Talk {
    /// Leaves a note, and answers with what was kept at its place, oldest first.
    pub(super) fn leave(&mut self, note: RouteNote) -> Result<Vec<Arc<RouteNote>>, Status> {
        let now = Instant::now();
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now).map_err(|wait| {
                let mut status = Status::resource_exhausted("notes come faster than this host takes them");
                let wait = wait.as_millis().max(1).to_string();
                if let Ok(wait) = wait.parse() {
                    status.metadata_mut().insert("grpc-retry-pushback-ms", wait);
                }
                status
            })?;
        }
        let keep = &self.settings.keep;
        if note.message.len() as u64 > keep.note.0 {
            return Err(Status::invalid_argument(format!("a note's message has at most {}", keep.note)));
        }
        let mut notes = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        notes.leave(note, keep, self.settings.send_back, now).map_err(|refused| {
            Status::resource_exhausted(match refused {
                Refused::Places => "notes are kept at as many places as they may be; known places still take notes",
                Refused::Total => "notes take as much memory as they may",
            })
        })
    }
}
