//! `ostler call`: one call of any of the four kinds, JSON in and JSON out.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use futures_util::{Stream, StreamExt as _, stream};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::input::{Given, Input};
use super::schema::Schema;
use super::target::Target;
use super::{Failure, complain, complete, finish, json, output};
use crate::config::Problem;
use crate::config::units::Period;
use crate::host::dynamic::DynamicCodec;
use crate::host::forward::Link;

/// The largest answer taken.
const LARGEST_ANSWER_BYTES: usize = 64 << 20;

/// What to call, with what.
#[derive(Debug, Args)]
pub(in crate::host::cli) struct Call {
    /// The method: package.Service/Method, or package.Service.Method.
    #[arg(add = ArgValueCompleter::new(complete::methods))]
    method: String,
    /// The message as JSON, or several one after another. `-`, or nothing where stdin is no terminal: read from
    /// stdin, each sent as it comes. Otherwise an empty message.
    json: Option<String>,
    /// How long the call may take; by default as long as the host lets it.
    #[arg(long)]
    deadline: Option<Period>,
    /// Answers over several lines, as on a terminal; by default each is one.
    #[arg(long)]
    pretty: bool,
    /// Also print the answer's headers and trailers, on stderr.
    #[arg(long)]
    headers: bool,
    #[command(flatten)]
    target: Target,
}

impl Call {
    pub(in crate::host::cli) async fn run(self) -> ExitCode {
        finish(self.call()).await
    }

    async fn call(self) -> Result<(), Failure> {
        let link = self.target.connect().await?;
        let metadata = self.target.metadata();
        let mut schema = Schema::of(&self.target, link.clone());
        let method = schema.method(&self.method).await?;
        let (broken, is_broken) = oneshot::channel();
        let requests = requests(&method, self.input(&method), broken).await?;
        let call = OneCall { call: &self, method, link, metadata };
        tokio::select! {
            biased;
            // The call is dropped with the message that is none: the host sees
            // it cancelled, and does not take what it has for all there was.
            Ok(problem) = is_broken => Err(problem.into()),
            ended = call.run(requests, &mut schema) => ended,
        }
    }

    /// Where the messages come from.
    fn input(&self, method: &MethodDescriptor) -> Input {
        match self.json.as_deref() {
            Some("-") => Input::Stdin,
            Some(json) => Input::Argument(json.to_owned()),
            None if !std::io::stdin().is_terminal() => Input::Stdin,
            None if method.is_client_streaming() => {
                complain("messages are read from the terminal, as JSON; Ctrl-D ends them");
                Input::Stdin
            }
            None => Input::Argument(String::new()),
        }
    }
}

/// A method's requests, as they come. Where it takes one, that is read to the end first.
async fn requests(
    method: &MethodDescriptor,
    input: Input,
    broken: oneshot::Sender<Problem>,
) -> Result<impl Stream<Item = DynamicMessage> + Send + 'static, Failure> {
    let descriptor = method.input();
    let mut values = input.values();
    if method.is_client_streaming() {
        let state = (values, descriptor, broken);
        let stream = stream::unfold(state, async |(mut values, descriptor, broken)| {
            let value: Result<Given, Problem> = values.recv().await?;
            match value.and_then(|given| json::message(&descriptor, &given)) {
                Ok(message) => Some((message, (values, descriptor, broken))),
                Err(problem) => {
                    let _ = broken.send(problem);
                    // An end would tell the host that this was all.
                    std::future::pending().await
                }
            }
        });
        return Ok(stream.left_stream());
    }
    let message = only(&mut values, method).await?;
    // Nothing more can be wrong with it; the sender lives as long as the call does.
    Ok(stream::unfold((Some(message), broken), async |(message, broken)| Some((message?, (None, broken))))
        .right_stream())
}

/// The one message of a method that takes no stream; an empty one where none is given.
async fn only(
    values: &mut mpsc::Receiver<Result<Given, Problem>>,
    method: &MethodDescriptor,
) -> Result<DynamicMessage, Failure> {
    let descriptor = method.input();
    let Some(first) = values.recv().await.transpose()? else { return Ok(DynamicMessage::new(descriptor)) };
    let message = json::message(&descriptor, &first)?;
    match values.recv().await.transpose()? {
        None => Ok(message),
        Some(second) => {
            let problem = Problem::new(format!("`{}` takes one message, and this is a second", method.full_name()));
            Err(problem.at(second.place(0..second.text.len())).into())
        }
    }
}

/// One call under way.
struct OneCall<'a> {
    call: &'a Call,
    method: MethodDescriptor,
    link: Link,
    metadata: MetadataMap,
}

impl OneCall<'_> {
    async fn run(
        self,
        requests: impl Stream<Item = DynamicMessage> + Send + 'static,
        schema: &mut Schema,
    ) -> Result<(), Failure> {
        let conversing = self.converse(requests, schema);
        let ended = match self.call.deadline {
            None => conversing.await,
            Some(deadline) => timeout(deadline.0, conversing)
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded(format!("no end within {deadline}")).into())),
        };
        told(ended, schema).await
    }

    async fn converse(
        &self,
        requests: impl Stream<Item = DynamicMessage> + Send + 'static,
        schema: &mut Schema,
    ) -> Result<(), Ended> {
        let mut grpc = Grpc::new(self.link.clone())
            .max_decoding_message_size(LARGEST_ANSWER_BYTES)
            .accept_compressed(CompressionEncoding::Gzip);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(Box::pin(requests));
        *request.metadata_mut() = self.metadata.clone();
        if let Some(deadline) = self.call.deadline {
            request.set_timeout(deadline.0);
        }
        let path = format!("/{}/{}", self.method.parent_service().full_name(), self.method.name());
        let path = PathAndQuery::try_from(path)
            .map_err(|error| Failure::from(Problem::new(format!("the method's name cannot be called: {error}"))))?;
        let answers = grpc.streaming(request, path, DynamicCodec(self.method.output())).await;
        let (headers, mut answers, _) =
            answers.inspect_err(|status| self.show("trailer", status.metadata()))?.into_parts();
        self.show("header", &headers);
        let pretty = self.call.pretty || output::is_for_eyes();
        let mut count = 0_u64;
        while let Some(answer) =
            answers.message().await.inspect_err(|status| self.show("trailer", status.metadata()))?
        {
            count += 1;
            if !output::print(answer, schema, pretty).await? {
                return Ok(());
            }
        }
        if let Some(trailers) = answers.trailers().await? {
            self.show("trailer", &trailers);
        }
        if !self.method.is_server_streaming() && count != 1 {
            let words = format!("the host ended the call with OK and {count} answers, where one is due");
            return Err(Status::internal(words).into());
        }
        Ok(())
    }

    fn show(&self, what: &str, metadata: &MetadataMap) {
        if self.call.headers {
            output::metadata(what, metadata);
        }
    }
}

/// How a call ended that did not end well.
enum Ended {
    Status(Status),
    Failure(Failure),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Ended {
        Ended::Status(status)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failure(failure)
    }
}

/// A status is put in words, which may take asking what its details are.
async fn told(ended: Result<(), Ended>, schema: &mut Schema) -> Result<(), Failure> {
    match ended {
        Ok(()) => Ok(()),
        Err(Ended::Failure(failure)) => Err(failure),
        Err(Ended::Status(status)) => Err(output::failure(&status, schema).await),
    }
}
