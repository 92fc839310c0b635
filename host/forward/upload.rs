//! What a client still sends while its server already answers: read no faster
//! than the server takes it, by a task that ends with the call.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use http_body::{Body as _, Frame};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;

use super::call::{Ahead, Payload};

/// An upload under way. Dropped, it stops, and the client is read no further.
#[derive(Debug)]
pub(super) struct Upload {
    task: AbortHandle,
    failed: oneshot::Receiver<Status>,
    over: bool,
    source: Arc<Mutex<Source>>,
}

/// Where the pieces come from, and those that have come as long as the call
/// may have to be sent again.
#[derive(Debug)]
struct Source {
    body: Body,
    read: Ahead,
    replays: bool,
    ended: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upload {
    /// Sends what came first, and the rest as it comes.
    pub(super) fn begin(ahead: Ahead, body: Body, to: SendStream<Bytes>) -> Upload {
        let (tell, failed) = oneshot::channel();
        let mut source = Source { body, read: Ahead::default(), replays: true, ended: false };
        ahead.pieces.iter().for_each(|piece| source.keep(piece));
        let source = Arc::new(Mutex::new(source));
        let from = source.clone();
        let task = tokio::spawn(async move {
            if let Err(status) = pump(ahead.pieces, &from, to).await {
                let _ = tell.send(status);
            }
        });
        Upload { task: task.abort_handle(), failed, over: false, source }
    }

    /// Ready with the status of a request that turned out not to be in order.
    pub(super) fn poll_failed(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if self.over {
            return Poll::Pending;
        }
        let failed = std::task::ready!(Pin::new(&mut self.failed).poll(context));
        self.over = true;
        failed.map_or(Poll::Pending, Poll::Ready)
    }

    /// The server has begun to answer, so nothing is sent again.
    pub(super) fn settle(&self) {
        lock(&self.source).forget();
    }

    /// Stops, and gives back the request as it was; `None` where more was read
    /// of it than is kept.
    pub(super) fn take_back(self) -> Option<Payload> {
        self.task.abort();
        let mut source = lock(&self.source);
        if !source.replays {
            return None;
        }
        let (read, body) = (std::mem::take(&mut source.read), std::mem::take(&mut source.body));
        // The task may be at work on another thread, and finds nothing more.
        source.forget();
        Some(if source.ended { Payload::Whole(read.join()) } else { Payload::Open(read, body) })
    }
}

impl Source {
    fn keep(&mut self, data: &Bytes) {
        if self.replays {
            self.read.push(data.clone());
        }
        if self.read.is_long() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.replays = false;
        self.read = Ahead::default();
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame.transpose() {
            Ok(None) => {
                self.ended = true;
                Next::End
            }
            Ok(Some(frame)) => {
                match frame.data_ref() {
                    Some(data) => self.keep(data),
                    None => self.forget(),
                }
                Next::Frame(frame)
            }
            Err(status) => {
                self.forget();
                Next::Broken(status)
            }
        })
    }
}

/// What comes next for an upload.
enum Next {
    Frame(Frame<Bytes>),
    End,
    /// The client's request is not in order.
    Broken(Status),
    /// The server wants no more of it.
    Unwanted,
}

async fn pump(ahead: Vec<Bytes>, source: &Mutex<Source>, mut to: SendStream<Bytes>) -> Result<(), Status> {
    for piece in ahead {
        if !send(&mut to, piece).await {
            return Ok(());
        }
    }
    loop {
        let next = poll_fn(|context| match lock(source).poll_next(context) {
            Poll::Ready(next) => Poll::Ready(next),
            Poll::Pending => to.poll_reset(context).map(|_| Next::Unwanted),
        });
        match next.await {
            Next::Frame(frame) => match frame.into_data() {
                Ok(data) => {
                    if !send(&mut to, data).await {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        let _ = to.send_trailers(trailers);
                    }
                    return Ok(());
                }
            },
            Next::End => {
                let _ = to.send_data(Bytes::new(), true);
                return Ok(());
            }
            // The call ends with this, and so does its stream.
            Next::Broken(status) => return Err(status),
            Next::Unwanted => return Ok(()),
        }
    }
}

/// Sends a piece as the server's window opens; false where it wants no more.
async fn send(to: &mut SendStream<Bytes>, mut data: Bytes) -> bool {
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        let mut room = to.capacity();
        while room == 0 {
            match poll_fn(|context| to.poll_capacity(context)).await {
                Some(Ok(more)) => room = more,
                Some(Err(_)) | None => return false,
            }
        }
        if to.send_data(data.split_to(room.min(data.len())), false).is_err() {
            return false;
        }
    }
    true
}
