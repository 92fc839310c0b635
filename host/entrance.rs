//! Every call comes in here: look its name up, pin the generation, hand it
//! over, and hold the pin until the answer's last byte.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::uri::PathAndQuery;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tower_service::Service as _;

use super::generation::{Generation, Hold};
use super::health::Health;
use super::mount::{Request, Response};
use super::reflection::Reflection;
use super::{HEALTH, Host, REFLECTION, REFLECTION_ALPHA};
use crate::proto::health::health_server::HealthServer;

/// Where calls are answered; clones are one entrance.
#[derive(Clone)]
pub struct Entrance {
    current: watch::Receiver<Arc<Generation>>,
    health: HealthServer<Health>,
    reflection: ServerReflectionServer<Reflection>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entrance")
    }
}

impl Entrance {
    /// The entrance of a host.
    pub fn new(host: &Host) -> Entrance {
        let (current, phase) = (host.current.subscribe(), host.phase.subscribe());
        Entrance {
            health: HealthServer::new(Health::new(current.clone(), phase.clone())),
            reflection: ServerReflectionServer::new(Reflection::new(current.clone(), phase)),
            current,
        }
    }

    /// Answers one call. A handler that panics fails its call, and only that.
    pub async fn call(self, request: Request) -> http::Response<Held> {
        let answer = AssertUnwindSafe(self.route(request)).catch_unwind().await;
        let (response, hold) = match answer.unwrap_or_else(|_| Err(panicked())) {
            Ok(answered) => answered,
            Err(status) => (status.into_http(), None),
        };
        response.map(|body| Held { body, hold, ended: false })
    }

    /// Hands a call to the service its path names. Only a mounted service's
    /// answer holds the generation: a Watch that stays open for weeks does not.
    async fn route(mut self, mut request: Request) -> Result<(Response, Option<Hold>), Status> {
        let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str).to_owned();
        let (service, method) = path
            .strip_prefix('/')
            .and_then(|names| names.split_once('/'))
            .ok_or_else(|| Status::unimplemented("the path is not /service/method"))?;
        match service {
            HEALTH => Ok((self.health.call(request).await.unwrap_or_else(|never| match never {}), None)),
            REFLECTION | REFLECTION_ALPHA if self.current.borrow().reflects() => {
                // The two versions have the same messages, so one engine answers both.
                let one = format!("/{REFLECTION}/{method}");
                *request.uri_mut() = one.parse().map_err(|_| no_such_method(service, method))?;
                Ok((self.reflection.call(request).await.unwrap_or_else(|never| match never {}), None))
            }
            _ => {
                let hold = Hold::new(self.current.borrow().clone());
                let mounted = hold.generation().service(service).ok_or_else(|| no_such_service(service))?;
                if !mounted.methods.contains(method) {
                    return Err(no_such_method(service, method));
                }
                let response = mounted.route.call(request).await;
                Ok((response, Some(hold)))
            }
        }
    }
}

/// A name from the wire, short enough to be sent back.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

fn no_such_service(service: &str) -> Status {
    Status::unimplemented(format!("unknown service {}", shown(service)))
}

fn no_such_method(service: &str, method: &str) -> Status {
    Status::unimplemented(format!("unknown method {} of service {}", shown(method), shown(service)))
}

/// What a caller learns of a panic.
fn panicked() -> Status {
    Status::internal("internal error")
}

/// An answer's body, and the hold on the generation that makes it.
#[derive(Debug)]
pub struct Held {
    body: Body,
    /// Gone with the last byte, even where the body itself is kept.
    hold: Option<Hold>,
    ended: bool,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let frame = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(context)));
        let frame = match frame {
            Ok(frame) => ready!(frame),
            Err(_) => Some(Ok(Frame::trailers(panicked().into_http::<Body>().into_parts().0.headers))),
        };
        let last = match &frame {
            None | Some(Err(_)) => true,
            Some(Ok(frame)) => frame.is_trailers() || this.body.is_end_stream(),
        };
        if last {
            this.body = Body::empty();
            this.hold = None;
            this.ended = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
