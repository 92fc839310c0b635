//! When to build anew, and what to do with the result.
//!
//! SIGHUP asks at once. The watcher asks when the content of any file read by
//! the last attempt differs from what was read then, and has kept still for a
//! while: an editor, a deployment tool and a Kubernetes volume all write in
//! their own way, and each must be met once and whole. Polling sees what
//! notification interfaces miss on network and container mounts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Host;
use super::listen::Front;
use crate::config::{Document, Failure, Problem, Problems, Sources};

/// Looking more often than this buys nothing.
const SHORTEST_LOOK: Duration = Duration::from_millis(20);

/// The file a host serves, and how the last attempt to read it went.
#[derive(Debug)]
pub(super) struct Reloader {
    file: PathBuf,
    /// As the last attempt read them, and as they looked since.
    sources: Arc<Mutex<Sources>>,
    watch: bool,
    settle: Duration,
}

impl Reloader {
    /// Starts from a document that was just installed.
    pub(super) fn new(file: &Path, document: &Document, sources: Sources) -> Reloader {
        let mut reloader =
            Reloader { file: file.to_owned(), sources: shared(sources), watch: true, settle: Duration::ZERO };
        reloader.follow(document);
        reloader
    }

    fn follow(&mut self, document: &Document) {
        self.watch = document.shape.reload.watch;
        self.settle = document.shape.reload.settle.0;
    }

    /// Waits until the files have changed and kept still.
    pub(super) async fn changed(&self) {
        if !self.watch {
            return std::future::pending().await;
        }
        let mut seen: Option<(u64, Instant)> = None;
        loop {
            tokio::time::sleep((self.settle / 2).max(SHORTEST_LOOK)).await;
            let sources = self.sources.clone();
            let look = move || sources.lock().unwrap_or_else(PoisonError::into_inner).changed();
            let found = tokio::task::spawn_blocking(look).await.unwrap_or_default();
            seen = match (found, seen) {
                (Some(now), Some((before, since))) if now == before => {
                    if since.elapsed() >= self.settle {
                        return;
                    }
                    Some((before, since))
                }
                (Some(now), _) => Some((now, Instant::now())),
                (None, _) => None,
            };
        }
    }

    /// Builds the file anew and puts it in place of what serves, or changes
    /// nothing and says why.
    pub(super) async fn reload(&mut self, host: &Host, front: &mut Front) -> Result<(), Problems> {
        let attempt = self.attempt(host, front).await;
        match attempt {
            Ok(document) => {
                self.sources = shared(document.sources.clone());
                self.follow(&document);
                Ok(())
            }
            Err(Failure { problems, sources }) => {
                self.sources = shared(sources);
                Err(problems)
            }
        }
    }

    async fn attempt(&self, host: &Host, front: &mut Front) -> Result<Document, Failure> {
        let document = open(&self.file).await?;
        let generation = host.build(document).await?;
        let document = generation.document.clone();
        let prepared = front.prepare(&document.shape, &document.base).await.map_err(|problems| Failure {
            problems: problems.map(|problem| document.problem(problem)),
            sources: document.sources.clone(),
        })?;
        host.install(generation);
        front.commit(&document.shape.listen, prepared);
        Ok(document)
    }
}

/// Opens a document where waiting for its file keeps nothing else waiting: it
/// may come by a pipe, or lie where the network is slow.
pub(super) async fn open(file: &Path) -> Result<Document, Failure> {
    let file = file.to_owned();
    let opened = tokio::task::spawn_blocking(move || Document::open(&file)).await;
    opened.unwrap_or_else(|error| {
        let problems = Problem::new(format!("the file cannot be read: {error}")).into();
        Err(Failure { problems, sources: Sources::default() })
    })
}

fn shared(sources: Sources) -> Arc<Mutex<Sources>> {
    Arc::new(Mutex::new(sources))
}
