//! A server's answer on its way back, and what lasts as long as it.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::connection::Place;
use super::refused::{Cause, Refused};
use super::upload::Upload;

/// A call under way: dropped, its stream is reset and its client read no further.
pub(super) struct Held {
    pub(super) upload: Option<Upload>,
    /// Runs where the call is ended here.
    pub(super) limit: Option<Pin<Box<Sleep>>>,
    pub(super) place: Place,
    pub(super) _kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl Held {
    /// Ready where a call ends before its server ends it.
    pub(super) fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<Refused> {
        if let Some(limit) = &mut self.limit
            && limit.as_mut().poll(context).is_ready()
        {
            let words = format!("the server of {} did not answer in time", self.place.name());
            return Poll::Ready(Refused { status: Status::deadline_exceeded(words), cause: Cause::Overdue });
        }
        match &mut self.upload {
            Some(upload) => upload.poll_failed(context).map(|status| Refused { status, cause: Cause::Request }),
            None => Poll::Pending,
        }
    }
}

/// The body of an answer.
pub(super) struct Answer {
    stream: RecvStream,
    /// Gone with the last frame, even where the body itself is kept.
    held: Option<Held>,
}

impl Answer {
    pub(super) fn new(stream: RecvStream, held: Held) -> Answer {
        Answer { stream, held: Some(held) }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        let name = || held.place.name();
        let polled = match self.stream.poll_data(context) {
            Poll::Ready(Some(Ok(data))) => {
                // Passed on only when there is room for more, so that much may come.
                let _ = self.stream.flow_control().release_capacity(data.len());
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Refused::by(&error, name()).status)),
            Poll::Ready(None) => self.stream.poll_trailers(context).map(|trailers| match trailers {
                Ok(Some(trailers)) => Ok(trailers),
                Ok(None) => Err(Status::internal(format!("the server of {} ended without a status", name()))),
                Err(error) => Err(Refused::by(&error, name()).status),
            }),
            Poll::Pending => Poll::Pending,
        };
        match polled {
            Poll::Ready(ended) => Poll::Ready(Some(ended.map(Frame::trailers))),
            Poll::Pending => held.poll_ended(context).map(|refused| Some(Err(refused.status))),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(this.poll_next(context));
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            this.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
