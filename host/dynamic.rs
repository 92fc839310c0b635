//! Behaviour of a service that was not compiled in.
//!
//! One shape carries all four kinds of RPC: requests come as a stream, answers
//! go as a stream, and a unary side is a stream of one. A behaviour that
//! answers before it has read the next request makes a true conversation.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use futures_util::{Stream, StreamExt as _, stream};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};

use super::mount::{Request, Route, Work};
use super::peer::Peer;

/// The answers of one call, in order; an error ends the call with its status.
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

/// How a service behaves that is known only by descriptor.
pub trait Dynamic: Send + Sync + 'static {
    /// Answers one call of any of the four kinds. Where the server does not
    /// stream, the first answer is the answer.
    fn call(&self, conversation: Conversation) -> Messages;
}

/// A behaviour put where calls go.
pub(super) struct Behaved<D> {
    service: ServiceDescriptor,
    behaviour: Arc<D>,
}

impl<D: Dynamic> Behaved<D> {
    pub(super) fn new(service: ServiceDescriptor, behaviour: D) -> Self {
        Behaved { service, behaviour: Arc::new(behaviour) }
    }
}

impl<D: Dynamic> Route for Behaved<D> {
    fn call(&self, request: Request) -> Work {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let method = self.service.methods().find(|method| method.name() == name);
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
    type Future = std::future::Ready<Result<tonic::Response<Messages>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<DynamicMessage>>) -> Self::Future {
        let (metadata, mut extensions, requests) = request.into_parts();
        let peer = extensions.remove().unwrap_or_default();
        let streams = self.method.is_server_streaming();
        let messages = self.behaviour.call(Conversation { method: self.method.clone(), peer, metadata, requests });
        let messages = if streams { messages } else { exactly_one(messages) };
        std::future::ready(Ok(tonic::Response::new(messages)))
    }
}

/// The first answer, or a status that says there was none.
fn exactly_one(mut messages: Messages) -> Messages {
    Box::pin(stream::once(async move {
        let none = || Err(Status::internal("the service gave no answer"));
        messages.next().await.unwrap_or_else(none)
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
