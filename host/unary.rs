//! One message in, one message out, straight from the bytes and into them.
//!
//! tonic's codec takes two buffers and a stream a call, made for any number of
//! messages. Where there is one of each, and it is not compressed, it lies in
//! the frame it came in, and its answer is framed once.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost::Message;
use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::mount::{self, Route, Work};

/// A message's flag and length.
const PREFIX_BYTES: usize = 5;
/// Most messages are no longer.
const USUAL_BYTES: usize = 128 - PREFIX_BYTES;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Headers that are the protocol's own, whatever a handler says.
const RESERVED: [&str; 5] = ["te", "user-agent", "grpc-status", "grpc-message", "grpc-encoding"];

/// A method of certain messages, and where its compressed calls go.
pub(super) struct Unary<F, M, R> {
    answer: Arc<F>,
    otherwise: Arc<dyn Route>,
    types: PhantomData<fn(M) -> R>,
}

impl<F, M, R> Unary<F, M, R> {
    pub(super) fn new(answer: F, otherwise: Arc<dyn Route>) -> Self {
        Unary { answer: Arc::new(answer), otherwise, types: PhantomData }
    }
}

impl<F, M, R, W> Route for Unary<F, M, R>
where
    M: Message + Default + 'static,
    R: Message + 'static,
    F: Fn(Request<M>) -> W + Send + Sync + 'static,
    W: Future<Output = Result<Response<R>, Status>> + Send + 'static,
{
    fn call(&self, request: mount::Request, due: Option<Instant>) -> Work {
        if is_encoded(&request) {
            return self.otherwise.call(request, due);
        }
        let answer = self.answer.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let read = read(body, |bytes| M::decode(&bytes[..]).map_err(|error| error.to_string()));
            match read.await {
                Ok((message, trailers)) => {
                    let mut headers = head.headers;
                    headers.extend(trailers.unwrap_or_default());
                    let request = Request::from_parts(MetadataMap::from_headers(headers), head.extensions, message);
                    answer(request).await.map_or_else(Status::into_http, framed)
                }
                Err(status) => status.into_http(),
            }
        })
    }
}

/// Whether a call's message may be compressed, and so is not for here.
pub(super) fn is_encoded(request: &mount::Request) -> bool {
    request.headers().contains_key(ENCODING)
}

/// The one message of a body, which the entrance has seen to, and what follows it.
pub(super) async fn read<M>(
    mut body: Body,
    decode: impl FnOnce(Bytes) -> Result<M, String>,
) -> Result<(M, Option<HeaderMap>), Status> {
    // Nearly always all of it is in one frame, and lies there until it is read.
    let mut first = Bytes::new();
    let mut pieces = Vec::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) if first.is_empty() => first = data,
            Ok(data) => {
                if pieces.is_empty() {
                    pieces.extend_from_slice(&first);
                }
                pieces.extend_from_slice(&data);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let mut whole = if pieces.is_empty() { first } else { Bytes::from(pieces) };
    if whole.first() == Some(&1) {
        return Err(Status::internal("a message is compressed, and nothing says how"));
    }
    let message = whole.split_off(PREFIX_BYTES.min(whole.len()));
    Ok((decode(message).map_err(Status::internal)?, trailers))
}

/// A message as it goes out, of about so many bytes.
fn frame(message: &impl Message, bytes: usize) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + bytes);
    frame.put_bytes(0, PREFIX_BYTES);
    message.encode_raw(&mut frame);
    // What is longer than a length can say is longer than any answer may be.
    let length = u32::try_from(frame.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    frame[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    frame.freeze()
}

/// An answer of one message.
fn framed<R: Message>(response: Response<R>) -> mount::Response {
    let (metadata, message, extensions) = response.into_parts();
    let bytes = frame(&message, message.encoded_len());
    let mut answer = whole(metadata, One::Message(bytes, None));
    *answer.extensions_mut() = extensions;
    answer
}

/// An answer of a message known by descriptor, if there is one, that ends with a
/// status. To measure such a message takes as long as to write it, so it is not.
pub(super) fn ended(
    metadata: MetadataMap,
    message: Option<&DynamicMessage>,
    status: Option<Status>,
) -> mount::Response {
    let trailers = status.map(|status| {
        let mut trailers = HeaderMap::new();
        match status.add_header(&mut trailers) {
            Ok(()) => Box::new(trailers),
            // Metadata that no header can hold.
            Err(status) => Box::new(HeaderMap::from_iter([(STATUS, HeaderValue::from(i32::from(status.code())))])),
        }
    });
    let body = match message {
        Some(message) => One::Message(frame(message, USUAL_BYTES), trailers),
        None => One::Trailers(trailers),
    };
    whole(metadata, body)
}

fn whole(metadata: MetadataMap, body: One) -> mount::Response {
    let mut answer = mount::Response::new(Body::new(body));
    *answer.headers_mut() = metadata.into_headers();
    if !answer.headers().is_empty() {
        for name in RESERVED {
            answer.headers_mut().remove(name);
        }
    }
    answer.headers_mut().insert(CONTENT_TYPE, GRPC);
    answer
}

/// A body of one message and a status; OK, where nothing else is said.
enum One {
    Message(Bytes, Option<Box<HeaderMap>>),
    Trailers(Option<Box<HeaderMap>>),
    Over,
}

impl http_body::Body for One {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (frame, rest) = match std::mem::replace(&mut *self, One::Over) {
            One::Message(bytes, trailers) => (Frame::data(bytes), One::Trailers(trailers)),
            One::Trailers(trailers) => {
                let ok = || HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
                (Frame::trailers(trailers.map_or_else(ok, |trailers| *trailers)), One::Over)
            }
            One::Over => return Poll::Ready(None),
        };
        *self = rest;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, One::Over)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
