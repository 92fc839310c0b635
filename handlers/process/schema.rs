//! A process's own description of its service, by server reflection, until the
//! host's way of asking takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use prost_types::FileDescriptorProto;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::link::Link;
use crate::config::Problem;
use crate::host::Schema;

/// In the order they are tried; they differ in nothing but their name.
const VERSIONS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// What one process may have us hold.
const MOST_FILES: usize = 1024;
const MOST_BYTES: usize = 16 << 20;
/// How long it may take to say what it has.
const LIMIT: Duration = Duration::from_secs(5);

/// A `FileDescriptorSet` whose files are kept to the byte.
#[derive(Clone, PartialEq, prost::Message)]
struct Set {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// The schema of a service, as its process tells it.
pub(super) async fn ask(link: &Link, service: &str) -> Result<Arc<Schema>, Problem> {
    let told = timeout(LIMIT, files(link, service)).await;
    let told = told.unwrap_or_else(|_| Err(Status::deadline_exceeded("its reflection gives no answer")));
    let set = told.map_err(|status| {
        Problem::new(format!("the process does not describe `{service}`: {:?}: {}", status.code(), status.message()))
            .help("say what it is by `schema`, or have it serve reflection")
    })?;
    Schema::decode(&set.encode_to_vec()).map(Arc::new)
}

/// A service's file, and all that it imports.
async fn files(link: &Link, service: &str) -> Result<Set, Status> {
    let mut files = BTreeMap::new();
    let mut bytes_in_all = 0;
    let mut questions = vec![Question::FileContainingSymbol(service.to_owned())];
    while let Some(question) = questions.pop() {
        if matches!(&question, Question::FileByFilename(name) if files.contains_key(name)) {
            continue;
        }
        for bytes in answer(link, question).await? {
            let file = FileDescriptorProto::decode(bytes.as_slice())
                .map_err(|error| Status::internal(format!("no file is like that: {error}")))?;
            questions.extend(file.dependency.iter().cloned().map(Question::FileByFilename));
            bytes_in_all += bytes.len();
            files.insert(file.name().to_owned(), bytes);
        }
        if files.len() > MOST_FILES || bytes_in_all > MOST_BYTES {
            return Err(Status::resource_exhausted("its schema is too large"));
        }
    }
    Ok(Set { file: files.into_values().collect() })
}

/// Holds what we say of a service against what its process says: a method that
/// it does not have would be served for nothing.
pub(super) fn compare(ours: &ServiceDescriptor, theirs: &ServiceDescriptor) -> Result<(), Problem> {
    let service = ours.full_name();
    for method in ours.methods() {
        let name = method.name();
        let Some(other) = theirs.methods().find(|other| other.name() == name) else {
            return Err(Problem::new(format!("the process has no method `{name}` of `{service}`"))
                .label("not what the schema says")
                .help("its own reflection says so; have `schema` and process agree"));
        };
        let shape = |method: &MethodDescriptor| {
            let streams = |streams| if streams { "stream " } else { "" };
            format!(
                "({}{}) returns ({}{})",
                streams(method.is_client_streaming()),
                method.input().full_name(),
                streams(method.is_server_streaming()),
                method.output().full_name()
            )
        };
        if shape(&method) != shape(&other) {
            return Err(Problem::new(format!("the process has another method `{name}` of `{service}`"))
                .label("not what the schema says")
                .help(format!("the schema: {}", shape(&method)))
                .help(format!("the process, by its reflection: {}", shape(&other))));
        }
    }
    Ok(())
}

/// Whether a process says that it has a service.
pub(super) async fn lists(link: &Link, service: &str) -> bool {
    let answered = timeout(LIMIT, exchange(link, Question::ListServices(String::new()))).await;
    matches!(answered, Ok(Ok(Answer::ListServicesResponse(list)))
        if list.service.iter().any(|listed| listed.name == service))
}

/// The files that answer a question.
async fn answer(link: &Link, question: Question) -> Result<Vec<Vec<u8>>, Status> {
    match exchange(link, question).await? {
        Answer::FileDescriptorResponse(files) => Ok(files.file_descriptor_proto),
        _ => Err(Status::internal("its reflection answers something else")),
    }
}

/// One question and its answer.
async fn exchange(link: &Link, question: Question) -> Result<Answer, Status> {
    let mut last = Status::unimplemented("it has no reflection");
    for version in VERSIONS {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question.clone()) };
        let request = Request::new(futures_util::stream::iter([request]));
        let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        let mut grpc = Grpc::new(link.clone());
        grpc.ready().await?;
        let answered = async {
            grpc.streaming(request, PathAndQuery::from_static(version), codec).await?.into_inner().message().await
        };
        match answered.await {
            Ok(Some(ServerReflectionResponse { message_response: Some(Answer::ErrorResponse(error)), .. })) => {
                return Err(Status::new(Code::from(error.error_code), error.error_message));
            }
            Ok(Some(ServerReflectionResponse { message_response: Some(answer), .. })) => return Ok(answer),
            Ok(_) => return Err(Status::internal("its reflection answers something else")),
            Err(status) if status.code() == Code::Unimplemented => last = status,
            Err(status) => return Err(status),
        }
    }
    Err(last)
}
