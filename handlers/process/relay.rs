//! Calls go to a process that answers, or are told at once that none does: a
//! client that may try again knows best when, and calls that pile up here
//! would meet a command that has just started all at one time.

use std::future::Future;
use std::sync::Arc;

use tonic::Status;

use super::Kept;
use super::state::Peers;
use crate::host::forward::{Call, Cause, Refused};
use crate::host::{Request, Response};

/// The way to one service's processes, which live as long as somebody may go it.
pub(super) struct Relay {
    pub(super) service: Arc<str>,
    pub(super) kept: Arc<Kept>,
}

impl Relay {
    /// Has one call answered.
    pub(super) fn answer(&self, request: Request) -> impl Future<Output = Response> + Send + use<> {
        let peers = self.kept.known.next();
        let service = self.service.clone();
        async move {
            match peers {
                Ok(peers) => send(peers, Call::new(request)).await.unwrap_or_else(Status::into_http),
                Err(why) => Status::unavailable(format!("{service} is down: {why}")).into_http(),
            }
        }
    }
}

/// Sends a call to the first who takes it; one that somebody may have done
/// something about goes to nobody else, nor does one of which some is gone.
async fn send(peers: Peers, mut call: Call) -> Result<Response, Status> {
    let mut last = Status::unavailable("nobody answers");
    for peer in peers {
        match peer.send(&mut call).await {
            Ok(answer) => return Ok(answer),
            Err(Refused { status, cause: Cause::Unsent | Cause::Unprocessed }) if call.is_whole() => last = status,
            Err(Refused { status, .. }) => return Err(status),
        }
    }
    Err(last)
}
