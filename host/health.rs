//! gRPC health, derived: which names there are is read from the current
//! generation, how each is from its mount. Nothing is kept beside them.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response};

use super::Phase;
use super::generation::Generation;
use crate::proto::health::health_server;
use crate::proto::health::{HealthListRequest, HealthListResponse};

/// Longer names are nobody's service.
const LONGEST_NAME_BYTES: usize = 512;
/// Watches open at one time, over all connections.
const MOST_WATCHERS: usize = 4096;

type WireStatus = health_check_response::ServingStatus;

/// The engine; clones are one.
#[derive(Clone)]
pub(super) struct Health {
    current: watch::Receiver<Arc<Generation>>,
    phase: watch::Receiver<Phase>,
    watchers: Arc<Semaphore>,
}

impl Health {
    pub(super) fn new(current: watch::Receiver<Arc<Generation>>, phase: watch::Receiver<Phase>) -> Health {
        Health { current, phase, watchers: Arc::new(Semaphore::new(MOST_WATCHERS)) }
    }

    /// How a name is now; `None` where there is no such name.
    fn status(&self, generation: &Generation, name: &str) -> Option<WireStatus> {
        let status = generation.health(name)?;
        Some(if *self.phase.borrow() == Phase::Serving { wire(*status.borrow()) } else { WireStatus::NotServing })
    }
}

fn wire(status: ServingStatus) -> WireStatus {
    match status {
        ServingStatus::Serving => WireStatus::Serving,
        ServingStatus::NotServing => WireStatus::NotServing,
        ServingStatus::Unknown => WireStatus::Unknown,
    }
}

fn answer(status: WireStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn name_of(request: Request<HealthCheckRequest>) -> Result<String, Status> {
    let name = request.into_inner().service;
    if name.len() > LONGEST_NAME_BYTES {
        return Err(Status::invalid_argument(format!("a service's name has at most {LONGEST_NAME_BYTES} bytes")));
    }
    Ok(name)
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let name = name_of(request)?;
        let generation = self.current.borrow().clone();
        let status = self.status(&generation, &name).ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(Response::new(answer(status)))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let generation = self.current.borrow().clone();
        let statuses = generation
            .health_names()
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), answer(self.status(&generation, name)?))))
            .collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let name = name_of(request)?;
        let permit =
            self.watchers.clone().try_acquire_owned().map_err(|_| Status::resource_exhausted("too many watchers"))?;
        let watcher = Watcher { health: self.clone(), name, last: None, ended: false, _permit: permit };
        let updates = stream::unfold(watcher, |mut watcher| async {
            let update = watcher.next().await?;
            Some((update, watcher))
        });
        Ok(Response::new(Box::pin(updates)))
    }
}

/// One open Watch.
struct Watcher {
    health: Health,
    name: String,
    last: Option<WireStatus>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next status that differs from the last; older ones are skipped.
    async fn next(&mut self) -> Option<Result<HealthCheckResponse, Status>> {
        while !self.ended {
            // Marked seen before it is read, so that no change falls between.
            let phase = *self.health.phase.borrow_and_update();
            let own = self.health.current.borrow_and_update().health(&self.name);
            let status = match &own {
                None => WireStatus::ServiceUnknown,
                Some(_) if phase != Phase::Serving => WireStatus::NotServing,
                Some(own) => wire(*own.borrow()),
            };
            if self.last != Some(status) {
                self.last = Some(status);
                return Some(Ok(answer(status)));
            }
            if phase == Phase::Closing {
                self.ended = true;
                return Some(Err(Status::new(Code::Unavailable, "the host is stopping")));
            }
            tokio::select! {
                gone = self.health.current.changed() => self.ended = gone.is_err(),
                gone = self.health.phase.changed() => self.ended = gone.is_err(),
                () = changed(own) => {}
            }
        }
        None
    }
}

/// Waits for a mount's status to change; for ever where it never will.
async fn changed(own: Option<watch::Receiver<ServingStatus>>) {
    if let Some(mut own) = own
        && own.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
