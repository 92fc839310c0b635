//! A request's body as a service reads it: framed as gRPC has it, within its
//! bounds, and honest about how it ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::framing::{Cardinality, Framing};

/// The body, and what is held against it.
pub(super) struct Incoming<B> {
    body: B,
    framing: Framing,
    /// How long the one message of a call may take.
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl<B> Incoming<B> {
    pub(super) fn new(body: B, cardinality: Cardinality, largest: u64, patience: Duration) -> Incoming<B> {
        let patience = (cardinality == Cardinality::One).then_some(patience);
        Incoming { body, framing: Framing::new(cardinality, largest), patience, timer: None, ended: false }
    }

    fn overdue(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = self.patience else { return Poll::Pending };
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(context)
    }
}

impl<B> Body for Incoming<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if polled.is_pending() {
            ready!(this.overdue(context));
            this.ended = true;
            return Poll::Ready(Some(Err(Status::deadline_exceeded("the request's message did not arrive in time"))));
        }
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |data| this.framing.pass(data)).map(|()| frame),
            // Not CANCELLED: tonic reads that as a clean end, and a handler
            // would take half an upload for a whole one.
            Some(Err(_)) => Err(Status::aborted("the client broke the call off")),
            None => match this.framing.end() {
                Ok(()) => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Err(status) => Err(status),
            },
        };
        this.ended = frame.is_err();
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        // The body's own word is not enough: an end without a message is told apart.
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
