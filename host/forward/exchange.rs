//! One call over one connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::SendRequest;
use http::header::CONTENT_LENGTH;
use tonic::Status;
use tonic::body::Body;

use super::address::Address;
use super::answer::{Answer, Held};
use super::call::{Call, Payload};
use super::connection::Place;
use super::fault::{Fault, foreign};
use super::upload::Upload;
use crate::host::mount::Response;

/// A call that has no answer. Where all of it is still there, the call can be
/// sent again.
#[derive(Debug)]
pub struct Refused {
    /// What its client is told, unless somebody else answers.
    pub status: Status,
    /// How it came to that.
    pub cause: Cause,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no connection: the server has not heard of it.
    Unsent,
    /// The server says that it has not looked at it: sending it once more, here
    /// or elsewhere, is as good as sending it once.
    Unprocessed,
    /// The server broke it off, or the connection was lost.
    Broken,
    /// The server did not answer in the time that the call gives it.
    Overdue,
    /// The request is not in order, or its time was up.
    Request,
}

impl Refused {
    /// What an error on a stream means for its call.
    fn by(error: &h2::Error, name: &str) -> Refused {
        let Fault { status, unprocessed } = Fault::of(error, name);
        Refused { status, cause: if unprocessed { Cause::Unprocessed } else { Cause::Broken } }
    }
}

/// Sends a call on, and gives back the head of its answer, with a body that
/// follows. Dropped, before or after, the call is cancelled there as well.
pub(super) async fn exchange(
    address: &Address,
    (mut sender, place): (SendRequest<Bytes>, Place),
    call: &mut Call,
) -> Result<Response, Refused> {
    let Some(request) = call.head(address) else {
        let status = Status::deadline_exceeded("the deadline passed before the call was sent on");
        return Err(Refused { status, cause: Cause::Request });
    };
    let empty = matches!(&call.payload, Payload::Whole(bytes) if bytes.is_empty());
    let (mut answering, mut sending) = sender.send_request(request, empty).map_err(|error| {
        // It was never written.
        Refused { cause: Cause::Unprocessed, ..Refused::by(&error, place.name()) }
    })?;
    let upload = match call.payload.take() {
        Payload::Whole(bytes) if !empty => {
            // Where that fails, the answer says why.
            let _ = sending.send_data(bytes, true);
            None
        }
        Payload::Open(ahead, body) => Some(Upload::begin(ahead, body, sending)),
        Payload::Whole(_) | Payload::Sent => None,
    };
    let limit = call.limit.map(|limit| Box::pin(tokio::time::sleep_until(limit)));
    let mut held = Held { upload, limit, place, _kept: call.kept.clone() };
    let answered = poll_fn(|context| match Pin::new(&mut answering).poll(context) {
        Poll::Ready(answer) => Poll::Ready(Ok(answer)),
        Poll::Pending => held.poll_ended(context).map(Err),
    });
    match answered.await {
        Ok(Ok(answer)) => {
            if let Some(upload) = &held.upload {
                upload.settle();
            }
            Ok(pass(answer, held))
        }
        Ok(Err(error)) => {
            if let Some(payload) = held.upload.take().and_then(Upload::take_back) {
                call.payload = payload;
            }
            Err(Refused::by(&error, held.place.name()))
        }
        Err(refused) => Err(refused),
    }
}

/// An answer as it is; what is no gRPC is told in gRPC.
fn pass(answer: http::Response<h2::RecvStream>, held: Held) -> Response {
    let (mut head, stream) = answer.into_parts();
    if let Some(status) = foreign(head.status, &head.headers, held.place.name()) {
        return status.into_http();
    }
    // An answer may still be cut short here.
    head.headers.remove(CONTENT_LENGTH);
    let body = if stream.is_end_stream() { Body::empty() } else { Body::new(Answer::new(stream, held)) };
    Response::from_parts(head, body)
}
