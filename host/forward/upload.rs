//! What a client still sends while its server already answers: read no faster
//! than the server takes it, by a task that ends with the call.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;

/// An upload under way. Dropped, it stops, and the client is read no further.
#[derive(Debug)]
pub(super) struct Upload {
    task: AbortHandle,
    failed: oneshot::Receiver<Status>,
    over: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upload {
    /// Sends what came first, and the rest as it comes.
    pub(super) fn begin(ahead: Bytes, body: Body, to: SendStream<Bytes>) -> Upload {
        let (tell, failed) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Err(status) = pump(ahead, body, to).await {
                let _ = tell.send(status);
            }
        });
        Upload { task: task.abort_handle(), failed, over: false }
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

async fn pump(ahead: Bytes, mut body: Body, mut to: SendStream<Bytes>) -> Result<(), Status> {
    if !ahead.is_empty() && !send(&mut to, ahead).await {
        return Ok(());
    }
    loop {
        match poll_fn(|context| poll_next(&mut body, &mut to, context)).await {
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
            Next::Broken(status) => {
                to.send_reset(Reason::CANCEL);
                return Err(status);
            }
            Next::Unwanted => return Ok(()),
        }
    }
}

fn poll_next(body: &mut Body, to: &mut SendStream<Bytes>, context: &mut Context<'_>) -> Poll<Next> {
    if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
        return Poll::Ready(match frame {
            Some(Ok(frame)) => Next::Frame(frame),
            Some(Err(status)) => Next::Broken(status),
            None => Next::End,
        });
    }
    to.poll_reset(context).map(|_| Next::Unwanted)
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
