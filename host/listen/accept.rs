//! From a socket to a connection on a worker: accepted, counted, its hands
//! shaken where that is due, and served.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::clock::Stall;
use super::connection::{Visit, serve};
use super::socket::{Socket, Stream};
use super::tally::{Reason, Tally};
use super::workers::Workers;
use super::{ACCEPT_REST, Which, metered, tls};
use crate::config::Listener;
use crate::host::entrance::Caller;
use crate::host::{Entrance, Peer};

/// Trouble that repeats is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// One socket's accept loop.
pub(super) struct Accepting {
    pub(super) which: Which,
    /// As it was asked for when the socket was opened.
    pub(super) listener: Listener,
    pub(super) socket: Arc<Socket>,
    pub(super) entrance: Entrance,
    pub(super) admission: Admission,
    pub(super) tally: Tally,
    pub(super) workers: Arc<Workers>,
    pub(super) connections: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Accepting {
    /// Accepts until told to stop, and then what has been waiting: to its
    /// client, a connection in the queue is a connection.
    pub(super) async fn run(self) {
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok(stream) => self.take(stream),
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                        told = Some(Instant::now());
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        while let Some(stream) = self.socket.queued() {
            self.take(stream);
        }
    }

    /// Serves a connection, or closes it at once where there are too many.
    fn take(&self, stream: Stream) {
        let generation = self.entrance.current();
        let (address, number) = &self.which;
        // What still waited at a socket that has just been given up is served as it was asked for.
        let listener = generation.document.shape.listen.find(address, *number).unwrap_or(&self.listener);
        let limits = &generation.document.shape.limits;
        let peer = stream.peer();
        let admitted = match self.admission.admit(peer.map(|peer| peer.ip()), limits) {
            Ok(admitted) => admitted,
            Err(reason) => return self.tally.count(reason),
        };
        let Some((runtime, idle, place)) = self.workers.deal() else { return };
        let Ok(stream) = stream.leave() else { return };
        let visit = Visit {
            caller: Caller::new(self.entrance.clone(), Peer::new(peer, []), listener.serves, admitted.calls.clone()),
            tally: self.tally.clone(),
            limits: limits.clone(),
            idle,
            deadline: Instant::now() + limits.handshake.0,
            stop: self.stop.clone(),
        };
        let encryption = generation.encryption().filter(|_| listener.is_encrypted(self.socket.address())).cloned();
        let served = async move {
            let place = (admitted, place);
            let (stall, tally) = (visit.limits.write_stall.0, visit.tally.clone());
            match stream.enter() {
                Ok(Stream::Tcp(stream)) => {
                    let stream = Stall::new(stream, stall, tally, place);
                    match encryption {
                        Some(encryption) => encrypted(stream, encryption, visit).await,
                        None => serve(stream, visit).await,
                    }
                }
                Ok(Stream::Unix(stream)) => serve(Stall::new(stream, stall, tally, place), visit).await,
                Err(error) => tracing::warn!(%error, "a connection could not be handed to its worker"),
            }
        };
        self.connections.spawn_on(served, &runtime);
    }
}

/// Serves a connection once hands are shaken, if that comes about in time.
async fn encrypted(stream: impl metered::Stream, encryption: Arc<ServerConfig>, visit: Visit) {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout_at(visit.deadline, tls::accept(stream, encryption)) => shaken,
        () = visit.stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let peer = Peer::new(visit.caller.peer.address(), tls::certificates(&stream));
            serve(stream, Visit { caller: visit.caller.known_as(peer), ..visit }).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            visit.tally.count(Reason::Tls);
        }
        Err(_) => visit.tally.count(Reason::Late),
    }
}
