//! The house: registers kinds, builds what a document asks for, serves it, and
//! replaces it while it serves. It names no service.
//!
//! A [`Host`] owns the registry, what is kept from generation to generation,
//! and the current [`Generation`] behind a watch.
//! Everything a caller can see is read off that one pointer.
//!
//! ```text
//! Document ─ plan ─ build ─ assemble ─▶ Generation ─ install ─▶ current
//!                                                       calls ──▲ pin it
//! ```

mod assemble;
mod build;
pub mod cli;
#[cfg(fuzzing)]
pub(crate) mod doors;
mod dynamic;
pub(crate) mod entrance;
pub mod forward;
mod generation;
pub mod guard;
mod health;
mod keep;
pub mod listen;
mod mount;
mod peer;
mod plugin;
mod reflection;
mod registry;
mod reload;
mod schema;
mod status;
mod unary;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

pub use dynamic::{Conversation, Dynamic, Messages, Reply, Requests};
use entrance::Entrance;
pub use generation::Generation;
pub use mount::{Mount, Request, Response};
pub use peer::Peer;
pub use plugin::{BoxError, Build, Plugin};
pub use registry::{Plan, Registry};
pub use schema::Schema;
pub use status::overloaded;
pub use tonic_health::ServingStatus;

use crate::config::{Document, Failure, Problems};
use keep::Keep;

/// The services that are there whatever the file says.
const HOSTS_OWN: [&str; 3] = [HEALTH, REFLECTION, REFLECTION_ALPHA];
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// Where the process is in its life, as callers may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Calls are welcome.
    Serving,
    /// Health says NOT_SERVING; calls are still answered.
    LameDuck,
    /// Open streams of the host's own are ended.
    Closing,
}

/// Registers, builds, serves, replaces.
#[derive(Debug)]
pub struct Host {
    registry: Registry,
    keep: Keep,
    built: AtomicU64,
    current: watch::Sender<Arc<Generation>>,
    phase: watch::Sender<Phase>,
}

impl Host {
    /// A host that can build what the registry knows, and serves nothing yet.
    pub fn new(registry: Registry) -> Result<Host, Problems> {
        let empty = Generation::empty(Document::built_in()?)?;
        Ok(Host {
            registry,
            keep: Keep::default(),
            built: AtomicU64::new(0),
            current: watch::Sender::new(Arc::new(empty)),
            phase: watch::Sender::new(Phase::Serving),
        })
    }

    /// Builds everything a document asks for, or says everything that is in
    /// the way. Nothing that serves is touched.
    pub async fn build(&self, document: Document) -> Result<Generation, Failure> {
        let (plans, problems) = self.registry.plans(&document);
        if !problems.is_empty() {
            return Err(build::inspect(plans, document, problems, &self.keep).await);
        }
        let number = self.built.fetch_add(1, Ordering::Relaxed) + 1;
        Generation::build(number, document, plans, &self.keep, self.current()).await
    }

    /// Makes a generation the current one, in one step: calls that enter from
    /// now on are its calls, and calls under way keep the one they entered.
    pub fn install(&self, generation: Generation) {
        generation.tell_breaks();
        let old = self.current.send_replace(Arc::new(generation));
        generation::retire(old);
    }

    /// Serves nothing any more, and waits until what was kept from generation to
    /// generation is put away. Calls in flight keep what they use.
    pub async fn end(&self) {
        if let Ok(empty) = Document::built_in().and_then(Generation::empty) {
            self.install(empty);
        }
        self.keep.put_away().await;
    }

    /// The generation that calls enter now.
    pub fn current(&self) -> Arc<Generation> {
        self.current.borrow().clone()
    }

    /// Moves on in life; never back.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// The kinds it can build.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
