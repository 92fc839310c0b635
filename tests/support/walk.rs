//! What a stranger does with a host: list the services, fetch their schemas,
//! put them together, and call every method, knowing nothing beforehand.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf as _, BufMut as _, Bytes};
use ostler::proto::health::{HealthListRequest, HealthListResponse};
use prost::Message as _;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// Both versions of reflection, by path.
pub const VERSIONS: [&str; 2] = ["v1", "v1alpha"];

/// An open reflection stream.
pub struct Reflection {
    questions: tokio::sync::mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Reflection {
    pub async fn open(channel: &Channel, version: &str) -> Result<Reflection, Status> {
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let (questions, mut asked) = tokio::sync::mpsc::channel(8);
        let asked = futures_util::stream::poll_fn(move |context| asked.poll_recv(context));
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        let answers = grpc.streaming(Request::new(asked), path.parse().unwrap(), codec).await?.into_inner();
        Ok(Reflection { questions, answers })
    }

    /// Sends a question whole and returns the answer whole; `None` where the stream ended.
    pub async fn ask_raw(
        &mut self,
        question: ServerReflectionRequest,
    ) -> Result<Option<ServerReflectionResponse>, Status> {
        let _ = self.questions.send(question).await;
        self.answers.message().await
    }

    pub async fn ask(&mut self, question: MessageRequest) -> MessageResponse {
        let question = ServerReflectionRequest { host: "stranger".to_owned(), message_request: Some(question) };
        self.ask_raw(question).await.unwrap().expect("an answer").message_response.unwrap()
    }

    /// The end of the stream, when the host ends it.
    pub async fn end(&mut self) -> Result<Option<ServerReflectionResponse>, Status> {
        self.answers.message().await
    }

    pub async fn list(&mut self) -> Vec<String> {
        match self.ask(MessageRequest::ListServices(String::new())).await {
            MessageResponse::ListServicesResponse(list) => {
                list.service.into_iter().map(|service| service.name).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The files of an answer, or the code of its error.
    pub async fn files(&mut self, question: MessageRequest) -> Result<Vec<FileDescriptorProto>, i32> {
        match self.ask(question).await {
            MessageResponse::FileDescriptorResponse(files) => {
                let decode = |bytes: &Vec<u8>| FileDescriptorProto::decode(bytes.as_slice()).unwrap();
                Ok(files.file_descriptor_proto.iter().map(decode).collect())
            }
            MessageResponse::ErrorResponse(error) => Err(error.error_code),
            other => panic!("{other:?}"),
        }
    }
}

/// health's List.
pub async fn health_list(channel: &Channel) -> HealthListResponse {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<HealthListRequest, HealthListResponse>::default();
    let path = "/grpc.health.v1.Health/List".parse().unwrap();
    grpc.unary(Request::new(HealthListRequest {}), path, codec).await.unwrap().into_inner()
}

/// List → symbol → closure → every method called once. Returns the services.
pub async fn walk(channel: &Channel, version: &str) -> BTreeSet<String> {
    let mut reflection = Reflection::open(channel, version).await.unwrap();
    let names = reflection.list().await;
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted, "the list is sorted");

    let mut files = BTreeMap::new();
    for name in &names {
        let found = reflection.files(MessageRequest::FileContainingSymbol(name.clone())).await;
        for file in found.unwrap_or_else(|code| panic!("{name} is listed and not found: {code}")) {
            files.insert(file.name().to_owned(), file);
        }
    }
    // Whatever an answer left out for its size is asked for by name.
    loop {
        let imports: BTreeSet<String> = files.values().flat_map(|file| file.dependency.iter().cloned()).collect();
        let Some(missing) = imports.into_iter().find(|import| !files.contains_key(import)) else { break };
        for file in reflection.files(MessageRequest::FileByFilename(missing)).await.unwrap() {
            files.insert(file.name().to_owned(), file);
        }
    }
    let set = FileDescriptorSet { file: files.into_values().collect() };
    let pool = DescriptorPool::from_file_descriptor_set(set).expect("the closures fit together");
    for name in &names {
        call_every_method(channel, &pool.get_service_by_name(name).unwrap()).await;
    }
    names.into_iter().collect()
}

/// One call of each method with one empty message, its first answer awaited.
async fn call_every_method(channel: &Channel, service: &ServiceDescriptor) {
    for method in service.methods() {
        let path = format!("/{}/{}", service.full_name(), method.name());
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        // Reflection takes no empty question: ask for the list (field 7, "").
        let message: &[u8] = if method.name() == "ServerReflectionInfo" { &[0x3a, 0x00] } else { &[] };
        let messages = futures_util::stream::iter([Bytes::from_static(message)]);
        let called = grpc.streaming(Request::new(messages), path.parse().unwrap(), Raw).await;
        let mut answers = called.unwrap_or_else(|status| panic!("{path}: {status}")).into_inner();
        let first = answers.message().await.unwrap_or_else(|status| panic!("{path}: {status}"));
        assert!(first.is_some() || method.is_server_streaming(), "{path} gave no answer");
    }
}

/// Bytes as they are.
#[derive(Clone, Copy)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, bytes: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
