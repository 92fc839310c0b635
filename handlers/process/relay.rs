//! Calls go to a process that answers, or are told at once that none does: a
//! client that may try again knows best when, and calls that pile up here
//! would meet a command that has just started all at one time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tower_service::Service;

use super::Kept;
use super::state::Known;
use crate::host::{Request, Response};

/// The way to one service's processes; clones are one.
#[derive(Clone)]
pub(super) struct Relay {
    pub(super) service: Arc<str>,
    pub(super) known: Known,
    /// The process lives as long as somebody may call it.
    pub(super) _kept: Arc<Kept>,
}

impl Service<Request> for Relay {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let link = self.known.next();
        let service = self.service.clone();
        Box::pin(async move {
            let answered = match link {
                Ok(mut link) => link.call(request).await,
                Err(why) => Err(Status::unavailable(format!("{service} is down: {why}"))),
            };
            Ok(answered.unwrap_or_else(Status::into_http))
        })
    }
}
