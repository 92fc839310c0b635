//! What a process is asked outside of calls: whether it is there, how it is,
//! and what it has, on a connection of its own. Calls have the forwarded road.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

/// After so long without a word it is asked whether it lives, and so long it has to say so.
const QUIET: Duration = Duration::from_secs(5);

/// A connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    sender: SendRequest<Body>,
    open: watch::Receiver<bool>,
}

impl Link {
    pub(super) async fn open(socket: &Path) -> Result<Link, String> {
        let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
        let mut http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new());
        // A process may live, keep its socket and do nothing more.
        http.keep_alive_interval(QUIET).keep_alive_timeout(QUIET).keep_alive_while_idle(true);
        let shaken = http.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        let (tell, open) = watch::channel(true);
        tokio::spawn(async move {
            let _ = connection.await;
            tell.send_replace(false);
        });
        Ok(Link { sender, open })
    }

    /// Waits until the connection has ended.
    pub(super) async fn closed(&self) {
        let _ = self.open.clone().wait_for(|open| !open).await;
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.sender.poll_ready(context).map_err(|error| Status::unavailable(error.to_string()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(Authority::from_static("localhost"));
        let mut sender = self.sender.clone();
        Box::pin(async move {
            *request.uri_mut() = http::Uri::from_parts(parts).map_err(|_| Status::internal("the path is no path"))?;
            let answered = sender.send_request(request).await;
            answered.map(|answer| answer.map(Body::new)).map_err(|error| Status::unavailable(error.to_string()))
        })
    }
}
