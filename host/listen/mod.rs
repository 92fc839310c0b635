//! Where calls come from: sockets bound, connections accepted, HTTP/2 spoken,
//! and all of it ended in order.
//!
//! The accept loop is ours, below tonic, so that every limit is ours to set;
//! sockets that a new configuration still names stay open through a reload.

mod socket;

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use super::{Entrance, Host, Phase};
use crate::config::{Address, Listen, Listener, Problem, Problems};
use socket::Socket;

/// Streams one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 100;
/// h2 charges a small DATA frame 256 bytes against half the *connection*
/// window until its handler reads it. A stream window of 64 KiB beside a
/// connection window of 16 MiB keeps a correct client that streams tiny
/// messages to a stalled handler below that bound.
const STREAM_WINDOW_BYTES: u32 = 65_535;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// All of a call's headers, metadata included.
const HEADER_LIST_BYTES: u32 = 16 << 10;
/// What is buffered of one answer that its client does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// `None` means no limit to hyper, so these two are always set.
const LOCAL_ERROR_RESETS: usize = 1024;
const PENDING_RESETS: usize = 20;
/// A quiet peer is asked whether it lives, and closed if it does not say.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(60);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// One open socket and its accept loop.
struct Open {
    listener: Listener,
    bound: Address,
    stop: CancellationToken,
}

/// Every open socket, and the connections that came from them.
pub struct Front {
    entrance: Entrance,
    open: Vec<Open>,
    connections: TaskTracker,
    /// Connections finish the calls they have and take no more.
    drain: CancellationToken,
}

/// Sockets bound for a configuration that is not installed yet.
#[derive(Debug, Default)]
pub struct Prepared(Vec<(Listener, Socket)>);

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.addresses()).finish()
    }
}

impl Front {
    /// No sockets yet.
    pub fn new(host: &Host) -> Front {
        Front {
            entrance: Entrance::new(host),
            open: Vec::new(),
            connections: TaskTracker::new(),
            drain: CancellationToken::new(),
        }
    }

    /// Binds what is asked for and not open yet. Nothing is accepted, and
    /// nothing that is open is touched, before [`commit`](Self::commit).
    pub async fn prepare(&self, listen: &Listen, base: &Path) -> Result<Prepared, Problems> {
        let mut problems = Problems::default();
        let mut prepared = Prepared::default();
        for (at, listener) in listen.0.iter().enumerate() {
            if self.open.iter().any(|open| open.listener.address == listener.address) {
                continue;
            }
            let bound = Socket::bind(&listener.address, base).await.map_err(|error| {
                let what = if error.kind() == io::ErrorKind::AddrInUse {
                    "it is in use".to_owned()
                } else {
                    error.to_string()
                };
                Problem::new(format!("cannot listen on {}: {what}", listener.address))
                    .label("cannot be bound")
                    .within(at)
                    .within("listen")
            });
            prepared.0.extend(problems.take(bound).map(|socket| (listener.clone(), socket)));
        }
        problems.or(prepared)
    }

    /// Accepts on what was prepared, and stops accepting on what is no longer
    /// asked for; connections that came from there finish their calls.
    pub fn commit(&mut self, listen: &Listen, prepared: Prepared) {
        self.open.retain(|open| {
            let wanted = listen.0.iter().any(|listener| listener.address == open.listener.address);
            if !wanted {
                open.stop.cancel();
            }
            wanted
        });
        for (listener, socket) in prepared.0 {
            let stop = self.drain.child_token();
            let bound = socket.address();
            let accepting = accept(socket, self.entrance.clone(), self.connections.clone(), stop.clone());
            self.connections.spawn(accepting);
            self.open.push(Open { listener, bound, stop });
        }
    }

    /// Where it can be reached, ports as the system chose them.
    pub fn addresses(&self) -> Vec<Address> {
        self.open.iter().map(|open| open.bound.clone()).collect()
    }

    /// Stops: says NOT_SERVING, keeps answering for a while, then takes no more
    /// and lets calls in flight end. Returns whether all did within `limit`.
    pub async fn drain(self, host: &Host, lame_duck: Duration, limit: Duration) -> bool {
        host.enter(Phase::LameDuck);
        tokio::time::sleep(lame_duck).await;
        host.enter(Phase::Closing);
        self.drain.cancel();
        self.connections.close();
        tokio::time::timeout(limit, self.connections.wait()).await.is_ok()
    }
}

/// Accepts until told to stop.
async fn accept(socket: Socket, entrance: Entrance, connections: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(socket::Stream::Tcp(stream)) => {
                // Small frames go out when they are written; nothing here profits from waiting.
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, entrance.clone(), stop.clone()));
            }
            Ok(socket::Stream::Unix(stream)) => {
                connections.spawn(serve(stream, entrance.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Speaks HTTP/2 with one peer until it goes, or until told to stop and its
/// last call has ended.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    entrance: Entrance,
    stop: CancellationToken,
) {
    let calls = service_fn(move |request: http::Request<Incoming>| {
        let entrance = entrance.clone();
        async move { Ok::<_, std::convert::Infallible>(entrance.call(request.map(Body::new)).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_local_error_reset_streams(LOCAL_ERROR_RESETS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        .serve_connection(TokioIo::new(stream), calls);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
