//! RouteChat: notes left at places, kept within bounds.
//!
//! Each profile's scope is the same store with another owner: the call, or the
//! service. Whoever owns them, all notes of a service count against one
//! [`Ledger`], so its bounds hold however many calls are open.

mod notes;
mod rate;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tonic::Status;

use super::profile::Scope;
use super::settings;
use crate::proto::routeguide::RouteNote;
use notes::{Ledger, Notes, Refused};
use rate::Bucket;

/// What outlives a configuration: the shared notes, and what all notes weigh.
#[derive(Debug, Default)]
pub(super) struct Kept {
    ledger: Arc<Ledger>,
    shared: Mutex<Option<Notes>>,
}

impl Kept {
    fn shared(&self) -> MutexGuard<'_, Option<Notes>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's side of the conversation.
#[derive(Debug)]
pub(super) struct Talk {
    settings: settings::Chat,
    kept: Arc<Kept>,
    /// This call's own notes, where notes are not shared.
    own: Option<Notes>,
    bucket: Option<Bucket>,
}

impl Talk {
    /// A call begins.
    pub(super) fn new(settings: &settings::Chat, kept: Arc<Kept>) -> Talk {
        let own = (settings.scope == Scope::Stream).then(|| Notes::new(kept.ledger.clone()));
        let bucket = settings.rate.map(|rate| Bucket::new(rate, Instant::now()));
        Talk { settings: settings.clone(), kept, own, bucket }
    }

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
        let mut shared;
        let notes = match &mut self.own {
            Some(own) => own,
            None => {
                shared = self.kept.shared();
                shared.get_or_insert_with(|| Notes::new(self.kept.ledger.clone()))
            }
        };
        notes.leave(note, keep, self.settings.send_back, now).map_err(|refused| {
            Status::resource_exhausted(match refused {
                Refused::Places => "notes are kept at as many places as they may be; known places still take notes",
                Refused::Total => "notes take as much memory as they may",
            })
        })
    }
}
