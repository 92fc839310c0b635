//! Behaviour of a service that was not compiled in.
//!
//! One shape carries all four kinds of RPC: requests come as a stream, answers
//! go as a stream, and a unary side is a stream of one. A behaviour that
//! answers before it has read the next request makes a true conversation.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};

use super::mount::{Request, Route, Work};
use super::peer::Peer;
use super::unary;

/// The answers of one call, in order. An error ends the call with its status;
/// one whose code is OK ends it well, and its metadata are the call's trailers.
pub type Messages = Pin<Box<dyn Stream<Item = Result<DynamicMessage, Status>> + Send>>;

/// One call: which method, whose, with what metadata, and the requests as they come.
pub struct Conversation {
    /// The method called, with its request and response types.
    pub method: MethodDescriptor,
    /// Who calls.
    pub peer: Peer,
    /// The call's metadata.
    pub metadata: MetadataMap,
    /// The requests; one where the client does not stream.
    pub requests: Requests,
}

/// The requests of a call as they come.
pub struct Requests(Source);

enum Source {
    /// The only one, which has come.
    One(Option<DynamicMessage>),
    Stream(Streaming<DynamicMessage>),
}

impl Requests {
    /// The next; `None` when the client has sent its last.
    pub async fn message(&mut self) -> Result<Option<DynamicMessage>, Status> {
        match &mut self.0 {
            Source::One(one) => Ok(one.take()),
            Source::Stream(stream) => stream.message().await,
        }
    }
}

impl Stream for Requests {
    type Item = Result<DynamicMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Source::One(one) => Poll::Ready(one.take().map(Ok)),
            Source::Stream(stream) => stream.poll_next_unpin(context),
        }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

/// By the method's name: a descriptor of a type that holds itself has no end.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("method", &self.method.full_name()).finish_non_exhaustive()
    }
}

/// How a call is answered.
pub struct Reply {
    /// What goes ahead of the messages.
    pub metadata: MetadataMap,
    /// The messages, and their end; where the server does not stream there is
    /// exactly one, and the call ends when they do.
    pub messages: Messages,
}

impl From<Messages> for Reply {
    fn from(messages: Messages) -> Reply {
        Reply { metadata: MetadataMap::new(), messages }
    }
}

/// How a service behaves that is known only by descriptor.
pub trait Dynamic: Send + Sync + 'static {
    /// Answers one call of any of the four kinds. Some clients send no message
    /// before they are answered so far that the metadata are there.
    fn call(
        self: Arc<Self>,
        conversation: Conversation,
    ) -> impl Future<Output = Result<Reply, Status>> + Send + 'static;
}

/// A behaviour put where calls go.
pub(super) struct Behaved<D> {
    methods: FxHashMap<String, MethodDescriptor>,
    behaviour: Arc<D>,
}

impl<D: Dynamic> Behaved<D> {
    pub(super) fn new(service: ServiceDescriptor, behaviour: D) -> Self {
        let methods = service.methods().map(|method| (method.name().to_owned(), method)).collect();
        Behaved { methods, behaviour: Arc::new(behaviour) }
    }
}

impl<D: Dynamic> Route for Behaved<D> {
    fn call(&self, request: Request, _: Option<Instant>) -> Work {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let method = self.methods.get(name).cloned();
        let behaviour = self.behaviour.clone();
        Box::pin(async move {
            // The entrance lets only methods of the descriptor pass.
            let Some(method) = method else { return Status::unimplemented("unknown method").into_http() };
            if !method.is_client_streaming() && !method.is_server_streaming() && !unary::is_encoded(&request) {
                return one_for_one(method, behaviour, request).await.unwrap_or_else(Status::into_http);
            }
            let mut grpc = Grpc::new(DynamicCodec(method.input()));
            let mut accepted = EnabledCompressionEncodings::default();
            accepted.enable(CompressionEncoding::Gzip);
            grpc = grpc.apply_compression_config(accepted, EnabledCompressionEncodings::default());
            grpc.streaming(OneCall { method, behaviour }, request).await
        })
    }
}

/// One message in, one message out: what tonic's codec takes for streams is
/// more than most of such calls cost.
async fn one_for_one<D: Dynamic>(
    method: MethodDescriptor,
    behaviour: Arc<D>,
    request: Request,
) -> Result<super::mount::Response, Status> {
    let (mut head, body) = request.into_parts();
    let (message, trailers) = unary::read(body, |bytes| decoded(method.input(), bytes)).await?;
    head.headers.extend(trailers.unwrap_or_default());
    let peer = head.extensions.remove().unwrap_or_default();
    let metadata = MetadataMap::from_headers(head.headers);
    let requests = Requests(Source::One(Some(message)));
    let Reply { metadata, messages } = behaviour.call(Conversation { method, peer, metadata, requests }).await?;
    let mut messages = exactly_one(messages);
    let (message, status) = match messages.next().await {
        Some(Ok(message)) => (Some(message), messages.next().await.and_then(Result::err)),
        Some(Err(status)) => (None, Some(status)),
        None => (None, None),
    };
    Ok(unary::ended(metadata, message.as_ref(), status))
}

struct OneCall<D> {
    method: MethodDescriptor,
    behaviour: Arc<D>,
}

impl<D: Dynamic> StreamingService<DynamicMessage> for OneCall<D> {
    type Response = DynamicMessage;
    type ResponseStream = Messages;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Messages>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Streaming<DynamicMessage>>) -> Self::Future {
        let (metadata, mut extensions, requests) = request.into_parts();
        let peer = extensions.remove().unwrap_or_default();
        let streams = self.method.is_server_streaming();
        let reply = self.behaviour.clone().call(Conversation {
            method: self.method.clone(),
            peer,
            metadata,
            requests: Requests(Source::Stream(requests)),
        });
        Box::pin(async move {
            let Reply { metadata, messages } = reply.await?;
            let messages = if streams { messages } else { Box::pin(exactly_one(messages)) };
            Ok(tonic::Response::from_parts(metadata, messages, http::Extensions::default()))
        })
    }
}

/// One answer and how it ends, or a status that says that there was none, or more.
struct ExactlyOne {
    messages: Messages,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Due,
    Given,
    Ended,
}

fn exactly_one(messages: Messages) -> ExactlyOne {
    ExactlyOne { messages, stage: Stage::Due }
}

impl Stream for ExactlyOne {
    type Item = Result<DynamicMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let wrong = |words| Some(Err(Status::internal(words)));
        let (next, stage) = match self.stage {
            Stage::Due => match ready!(self.messages.as_mut().poll_next(context)) {
                Some(Ok(message)) => (Some(Ok(message)), Stage::Given),
                Some(Err(status)) if status.code() != tonic::Code::Ok => (Some(Err(status)), Stage::Ended),
                _ => (wrong("the service gave no answer"), Stage::Ended),
            },
            Stage::Given => match ready!(self.messages.as_mut().poll_next(context)) {
                Some(Ok(_)) => (wrong("the service gave more than one answer"), Stage::Ended),
                end => (end, Stage::Ended),
            },
            Stage::Ended => (None, Stage::Ended),
        };
        self.stage = stage;
        Poll::Ready(next)
    }
}

/// Codes messages by descriptor: any of them out, those of one type in.
pub(super) struct DynamicCodec(pub(super) MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicDecoder {
        DynamicDecoder(self.0.clone())
    }
}

pub(super) struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // To measure a message takes as long as to write it.
        message.encode_raw(to);
        Ok(())
    }
}

pub(super) struct DynamicDecoder(MessageDescriptor);

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        decoded(self.0.clone(), bytes).map(Some).map_err(Status::internal)
    }
}

fn decoded(of: MessageDescriptor, bytes: Bytes) -> Result<DynamicMessage, String> {
    DynamicMessage::decode(of, bytes).map_err(|error| format!("the message cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use prost_reflect::DescriptorPool;
    use tonic::Code;

    use super::*;

    fn message() -> DynamicMessage {
        let pool = DescriptorPool::decode(crate::proto::DESCRIPTORS).unwrap();
        DynamicMessage::new(pool.get_message_by_name("grpc.health.v1.HealthListRequest").unwrap())
    }

    /// How each part of an answer ends, where some of it is waited for.
    async fn ends(messages: Vec<Result<DynamicMessage, Status>>) -> Vec<Code> {
        let late = stream::iter(messages).then(|message| async {
            tokio::task::yield_now().await;
            message
        });
        let given = exactly_one(Box::pin(late)).map(|given| given.map_or_else(|status| status.code(), |_| Code::Ok));
        given.collect().await
    }

    #[tokio::test]
    async fn an_answer_is_one_message_and_how_it_ends_whenever_that_is() {
        assert_eq!(ends(vec![Ok(message())]).await, [Code::Ok]);
        assert_eq!(ends(vec![Ok(message()), Err(Status::aborted("late"))]).await, [Code::Ok, Code::Aborted]);
        assert_eq!(ends(vec![Err(Status::not_found("none"))]).await, [Code::NotFound]);
        assert_eq!(ends(vec![]).await, [Code::Internal]);
        assert_eq!(ends(vec![Ok(message()), Ok(message())]).await, [Code::Ok, Code::Internal], "one too many");
    }
}
