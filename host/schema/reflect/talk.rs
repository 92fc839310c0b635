//! Questions to a host about itself, over server reflection v1 or, where a host
//! is older, v1alpha: the two differ in nothing but their name.

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
pub(super) use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::Failure;
use crate::config::Problem;
use crate::config::units::Period;
use crate::host::forward::Link;
use crate::host::schema::clean;
use crate::host::status;

/// In the order they are tried.
const VERSIONS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// Hosts keep an answer to some MiB, as that is what clients take.
const LARGEST_ANSWER_BYTES: usize = 16 << 20;

/// One conversation with a host about itself.
pub(super) struct Talk {
    link: Link,
    metadata: MetadataMap,
    /// How long one look-up may take, all its questions together.
    limit: Period,
    until: Instant,
    version: usize,
    open: Option<Open>,
}

struct Open {
    questions: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Talk {
    pub(super) fn new(link: Link, metadata: MetadataMap, limit: Period) -> Talk {
        Talk { link, metadata, limit, until: Instant::now() + limit.0, version: 0, open: None }
    }

    /// The time of another look-up begins.
    pub(super) fn restart(&mut self) {
        self.until = Instant::now() + self.limit.0;
    }

    /// The names of all services, sorted.
    pub(super) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        match self.ask(Question::ListServices(String::new())).await? {
            Answer::ListServicesResponse(list) => {
                let mut names: Vec<_> = list.service.into_iter().map(|service| clean(&service.name)).collect();
                names.sort();
                names.dedup();
                Ok(names)
            }
            answer => Err(strange("its services", &answer)),
        }
    }

    /// The files that answer a question; none where the host knows no such thing.
    pub(super) async fn files(&mut self, question: Question, about: &str) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        match self.ask(question).await? {
            Answer::FileDescriptorResponse(files) => Ok(Some(files.file_descriptor_proto)),
            Answer::ErrorResponse(error) if error.error_code == i32::from(Code::NotFound) => Ok(None),
            answer => Err(strange(about, &answer)),
        }
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, Failure> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        loop {
            // A host may end a conversation that has gone quiet, but not one that has just begun.
            let is_new = self.open.is_none();
            let asked = timeout_at(self.until, self.exchange(request.clone())).await;
            let answer = asked.unwrap_or_else(|_| {
                Err(Status::deadline_exceeded(format!("the host did not describe itself within {}", self.limit)))
            });
            match answer {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) if is_new => return Err(Problem::new("the host's reflection gives no answer").into()),
                Ok(None) => self.open = None,
                Err(status) if status.code() == Code::Unimplemented && is_new => {
                    if self.version + 1 < VERSIONS.len() {
                        self.version += 1;
                    } else {
                        return Err(Problem::new("the host does not describe itself: it has no server reflection")
                            .help("a host of ostler's has it unless its file says `reflection: false`")
                            .into());
                    }
                }
                Err(status) => {
                    return Err(Failure::Answered(format!("the host's reflection failed: {}", status::told(&status))));
                }
            }
        }
    }

    /// One question and its answer; `None` where the host has ended the conversation.
    async fn exchange(&mut self, request: ServerReflectionRequest) -> Result<Option<Answer>, Status> {
        if self.open.is_none() {
            // The first question goes before the answers are waited for: a host
            // may say nothing at all until it has one.
            let (questions, receiver) = mpsc::channel(1);
            let _ = questions.try_send(request);
            let answers = self.begin(receiver).await?;
            self.open = Some(Open { questions, answers });
        } else if let Some(open) = &self.open
            && open.questions.send(request).await.is_err()
        {
            self.open = None;
            return Ok(None);
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        let answer = open.answers.message().await;
        if !matches!(answer, Ok(Some(_))) {
            self.open = None;
        }
        Ok(answer?.and_then(|answer| answer.message_response))
    }

    async fn begin(
        &self,
        questions: mpsc::Receiver<ServerReflectionRequest>,
    ) -> Result<Streaming<ServerReflectionResponse>, Status> {
        let mut grpc = Grpc::new(self.link.clone())
            .max_decoding_message_size(LARGEST_ANSWER_BYTES)
            .accept_compressed(CompressionEncoding::Gzip);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let questions = stream::unfold(questions, async |mut questions| Some((questions.recv().await?, questions)));
        let mut request = Request::new(Box::pin(questions));
        *request.metadata_mut() = self.metadata.clone();
        let path = PathAndQuery::from_static(VERSIONS[self.version]);
        let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        Ok(grpc.streaming(request, path, codec).await?.into_inner())
    }
}

/// An answer that is none to the question.
fn strange(about: &str, answer: &Answer) -> Failure {
    Failure::Answered(match answer {
        Answer::ErrorResponse(error) => {
            let status = Status::new(Code::from(error.error_code), error.error_message.as_str());
            format!("the host does not describe {about}: {}", status::told(&status))
        }
        _ => format!("asked for {about}, the host's reflection answers something else"),
    })
}
