//! A request's body as a service reads it: framed as gRPC has it, within its
//! bounds, and honest about how it ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::caller::Caller;
use super::framing::{Cardinality, Framing};
use super::load::no_room;
use super::room::Room;

/// What a body may take.
pub(super) struct Bounds {
    pub(super) cardinality: Cardinality,
    /// Of one message.
    pub(super) largest: u64,
    /// How long the one message of a call may take.
    pub(super) patience: Duration,
    /// Of all that is held, for this call and every other.
    pub(super) most: u64,
}

/// The body, and what is held against it.
pub(super) struct Incoming<B> {
    body: B,
    framing: Framing,
    /// Where a message that comes in pieces finds room, how much there is, and
    /// what it has.
    caller: Arc<Caller>,
    most: u64,
    room: Option<Room>,
    /// How long the one message of a call may take.
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl<B> Incoming<B> {
    /// A body of messages no larger than `largest`, or of one that is to come
    /// within `patience`; all bodies together make the host hold no more than
    /// `most` bytes of its budget.
    pub(super) fn new(body: B, bounds: Bounds, caller: Arc<Caller>) -> Incoming<B> {
        let Bounds { cardinality, largest, patience, most } = bounds;
        Incoming {
            body,
            framing: Framing::new(cardinality, largest),
            caller,
            most,
            room: None,
            patience: (cardinality == Cardinality::One).then_some(patience),
            timer: None,
            ended: false,
        }
    }

    /// Takes note of a piece, and finds room for the whole of a message of
    /// which it is a part.
    fn pass(&mut self, piece: &Bytes) -> Result<(), Status> {
        self.framing.pass(piece)?;
        let arriving = self.framing.arriving();
        if arriving != self.room.as_ref().map_or(0, Room::bytes) {
            self.room = None;
            if arriving > 0 {
                self.room = Some(self.caller.entrance().budget.room(arriving, self.most).ok_or_else(no_room)?);
            }
        }
        Ok(())
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
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |data| this.pass(data)).map(|()| frame),
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
