//! A process's own description of its service, by server reflection, until the
//! host's way of asking takes its place.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::link::Link;
use super::state::Known;
use crate::config::Problem;

/// In the order they are tried; they differ in nothing but their name.
const VERSIONS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// What one process may have us hold.
const MOST_FILES: usize = 1024;

/// The descriptors of a service, and of all that they import.
pub(super) async fn ask(known: &Known, service: &str) -> Result<Vec<u8>, Problem> {
    let link = known.next().map_err(Problem::new)?;
    let untold = |status: Status| {
        Problem::new(format!("the process does not describe `{service}`: {:?}: {}", status.code(), status.message()))
            .help("have it serve reflection")
    };
    let mut files = BTreeMap::new();
    let mut questions = vec![Question::FileContainingSymbol(service.to_owned())];
    while let Some(question) = questions.pop() {
        if matches!(&question, Question::FileByFilename(name) if files.contains_key(name)) {
            continue;
        }
        for bytes in answer(&link, question).await.map_err(untold)? {
            let file = FileDescriptorProto::decode(bytes.as_slice())
                .map_err(|error| untold(Status::internal(error.to_string())))?;
            questions.extend(file.dependency.iter().cloned().map(Question::FileByFilename));
            files.insert(file.name().to_owned(), file);
        }
        if files.len() > MOST_FILES {
            return Err(untold(Status::resource_exhausted("it has too many files")));
        }
    }
    Ok(FileDescriptorSet { file: files.into_values().collect() }.encode_to_vec())
}

async fn answer(link: &Link, question: Question) -> Result<Vec<Vec<u8>>, Status> {
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
            Ok(Some(ServerReflectionResponse {
                message_response: Some(Answer::FileDescriptorResponse(files)),
                ..
            })) => return Ok(files.file_descriptor_proto),
            Ok(Some(ServerReflectionResponse { message_response: Some(Answer::ErrorResponse(error)), .. })) => {
                return Err(Status::new(Code::from(error.error_code), error.error_message));
            }
            Ok(_) => return Err(Status::internal("its reflection answers something else")),
            Err(status) if status.code() == Code::Unimplemented => last = status,
            Err(status) => return Err(status),
        }
    }
    Err(last)
}
