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
use super::refused::{Cause, Refused, foreign};
use super::upload::Upload;
use crate::host::mount::Response;

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
