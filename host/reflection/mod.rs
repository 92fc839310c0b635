//! gRPC server reflection: one engine over raw descriptor bytes, behind v1 and
//! v1alpha alike.
//!
//! A stream answers from the generation it was opened in, so that what a
//! client puts together from several answers fits together. When a newer
//! generation is installed, a stream that has gone quiet is ended cleanly and
//! the client's next one sees the new list.

mod answer;
mod details;
mod index;
mod merge;
mod symbols;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflection;
use tonic_reflection::pb::v1::{ErrorResponse, ServerReflectionRequest, ServerReflectionResponse};

use super::Phase;
use super::generation::{Generation, Hold};

pub(crate) use index::Index;

/// How long a stream of an old generation may be quiet before it is ended.
const STALE_QUIET: Duration = Duration::from_secs(3);

/// The engine; clones are one.
#[derive(Clone)]
pub(super) struct Reflection {
    current: watch::Receiver<Arc<Generation>>,
    phase: watch::Receiver<Phase>,
}

impl Reflection {
    pub(super) fn new(current: watch::Receiver<Arc<Generation>>, phase: watch::Receiver<Phase>) -> Reflection {
        Reflection { current, phase }
    }
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let mut current = self.current.clone();
        let generation = current.borrow_and_update().clone();
        let session = Session {
            questions: request.into_inner(),
            hold: Hold::new(generation),
            sent: HashSet::new(),
            current,
            stale: false,
            phase: self.phase.clone(),
            ended: false,
        };
        let answers = stream::unfold(session, |mut session| async {
            let answer = session.next().await?;
            Some((answer, session))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// One open stream.
struct Session {
    questions: Streaming<ServerReflectionRequest>,
    hold: Hold,
    /// Files this stream has carried.
    sent: HashSet<usize>,
    current: watch::Receiver<Arc<Generation>>,
    stale: bool,
    phase: watch::Receiver<Phase>,
    ended: bool,
}

impl Session {
    /// The next answer; `None` ends the stream with OK.
    async fn next(&mut self) -> Option<Result<ServerReflectionResponse, Status>> {
        if self.ended {
            return None;
        }
        let question = loop {
            tokio::select! {
                biased;
                question = self.questions.next() => break question?,
                _ = self.phase.wait_for(|phase| *phase == Phase::Closing) => return None,
                gone = self.current.changed(), if !self.stale => {
                    gone.ok()?;
                    self.stale = true;
                }
                () = tokio::time::sleep(STALE_QUIET), if self.stale => return None,
            }
        };
        let answer = question.and_then(|question| self.answer(question));
        self.ended = answer.is_err();
        Some(answer)
    }

    fn answer(&mut self, request: ServerReflectionRequest) -> Result<ServerReflectionResponse, Status> {
        let question =
            request.message_request.clone().ok_or_else(|| Status::invalid_argument("the request asks nothing"))?;
        let answer = answer::answer(self.hold.generation(), question, &mut self.sent).unwrap_or_else(|| {
            Answer::ErrorResponse(ErrorResponse {
                error_code: Code::NotFound.into(),
                error_message: "not found".to_owned(),
            })
        });
        Ok(ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(answer),
        })
    }
}
