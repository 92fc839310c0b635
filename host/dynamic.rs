//! Behaviour of a service that was not compiled in.
//!
//! One shape carries all four kinds of RPC: requests come as a stream, answers
//! go as a stream, and a unary side is a stream of one. A behaviour that
//! answers before it has read the next request makes a true conversation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use rustc_hash::FxHashMap;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};

use super::mount::{Request, Route, Work};
use super::peer::Peer;

/// The answers of one call, in order. An error ends the call with its status;
/// one whose code is OK ends it well, and its metadata are the call's trailers.
pub type Messages = Pin<Box<dyn Stream<Item = Result<DynamicMessage, Status>> + Send>>;

/// One call: which method, whose, with what metadata, and the requests as they come.
#[derive(Debug)]
pub struct Conversation {
    /// The method called, with its request and response types.
    pub method: MethodDescriptor,
    /// Who calls.
    pub peer: Peer,
    /// The call's metadata.
    pub metadata: MetadataMap,
    /// The requests; one where the client does not stream.
    pub requests: Streaming<DynamicMessage>,
}

/// How a call is answered.
pub struct Reply {
    /// What goes ahead of the messages.
    pub metadata: MetadataMap,
    /// The messages; where the server does not stream, the first is the answer.
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
    fn call(&self, request: Request) -> Work {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let method = self.methods.get(name).cloned();
        let behaviour = self.behaviour.clone();
        Box::pin(async move {
            // The entrance lets only methods of the descriptor pass.
            let Some(method) = method else { return Status::unimplemented("unknown method").into_http() };
            let mut grpc = Grpc::new(DynamicCodec(method.input()));
            let mut accepted = EnabledCompressionEncodings::default();
            accepted.enable(CompressionEncoding::Gzip);
            grpc = grpc.apply_compression_config(accepted, EnabledCompressionEncodings::default());
            grpc.streaming(OneCall { method, behaviour }, request).await
        })
    }
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
        let reply = self.behaviour.clone().call(Conversation { method: self.method.clone(), peer, metadata, requests });
        Box::pin(async move {
            let Reply { metadata, messages } = reply.await?;
            let messages = if streams { messages } else { exactly_one(messages) };
            Ok(tonic::Response::from_parts(metadata, messages, http::Extensions::default()))
        })
    }
}

/// The first answer and how it ends, or a status that says there was none.
fn exactly_one(messages: Messages) -> Messages {
    Box::pin(stream::unfold((messages, 0), |(mut messages, given)| async move {
        let next = match given {
            0 => match messages.next().await {
                Some(Err(status)) if status.code() == tonic::Code::Ok => None,
                answer => answer,
            }
            .unwrap_or_else(|| Err(Status::internal("the service gave no answer"))),
            // More than one is more than there may be; a status is its end.
            1 => messages.next().now_or_never()??,
            _ => return None,
        };
        Some((next, (messages, given + 1)))
    }))
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
        // prost-reflect measures nested messages again at each level, so the
        // buffer is grown by writing and not by asking first.
        to.put_slice(&message.encode_to_vec());
        Ok(())
    }
}

pub(super) struct DynamicDecoder(MessageDescriptor);

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        DynamicMessage::decode(self.0.clone(), bytes)
            .map(Some)
            .map_err(|error| Status::internal(format!("the message cannot be decoded: {error}")))
    }
}
