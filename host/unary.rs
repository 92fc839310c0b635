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
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::mount::{self, Route, Work};

/// A message's flag and length.
const PREFIX_BYTES: usize = 5;
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
    fn call(&self, request: mount::Request) -> Work {
        if request.headers().contains_key(ENCODING) {
            return self.otherwise.call(request);
        }
        let answer = self.answer.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match read(body).await {
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

/// The one message of a body, which the entrance has seen to, and what follows it.
async fn read<M: Message + Default>(mut body: Body) -> Result<(M, Option<HeaderMap>), Status> {
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
    let whole = if pieces.is_empty() { &first[..] } else { &pieces };
    if whole.first() == Some(&1) {
        return Err(Status::internal("a message is compressed, and nothing says how"));
    }
    let message = whole.get(PREFIX_BYTES..).unwrap_or_default();
    let message = M::decode(message).map_err(|error| Status::internal(error.to_string()))?;
    Ok((message, trailers))
}

/// An answer of one message.
fn framed<R: Message>(response: Response<R>) -> mount::Response {
    let (metadata, message, extensions) = response.into_parts();
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    // What is longer than a length can say is longer than any answer may be.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut bytes);
    let mut answer = mount::Response::new(Body::new(One::Message(bytes.freeze())));
    *answer.headers_mut() = metadata.into_headers();
    if !answer.headers().is_empty() {
        for name in RESERVED {
            answer.headers_mut().remove(name);
        }
    }
    answer.headers_mut().insert(CONTENT_TYPE, GRPC);
    *answer.extensions_mut() = extensions;
    answer
}

/// A body of one message and the status OK.
enum One {
    Message(Bytes),
    Trailers,
    Over,
}

impl http_body::Body for One {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (frame, rest) = match std::mem::replace(&mut *self, One::Over) {
            One::Message(bytes) => (Frame::data(bytes), One::Trailers),
            One::Trailers => {
                (Frame::trailers(HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])), One::Over)
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
