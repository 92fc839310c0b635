//! For the fuzz targets alone: one mount without a host around it, and calls
//! that reach it as they would from the entrance.

use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use prost_reflect::DynamicMessage;
use tonic::body::Body;

use super::keep::Keep;
use super::mount::{Mount, Request};
use super::plugin::Build;
use super::registry::Plan;
use super::schema::Schema;
use crate::config::Problems;

/// A schema of files in folders, all of which are there.
pub(crate) fn schema(folders: &[&Path], files: &[&str]) -> Option<Arc<Schema>> {
    let mut compiler = protox::Compiler::new(folders).ok()?;
    compiler.include_imports(true).open_files(files).ok()?;
    Schema::decode(&compiler.encode_file_descriptor_set()).ok().map(Arc::new)
}

/// Every mount of a plan, that of the service first.
pub(crate) async fn build(mut plan: Plan, schema: &Arc<Schema>) -> Result<Vec<Mount>, Problems> {
    let mut problems = Problems::default();
    let mut mounts = Vec::new();
    let methods = std::mem::take(&mut plan.methods);
    for plan in std::iter::once(plan).chain(methods) {
        let build = Build::new(&plan.entry, Some(schema.clone()), Path::new("/nonexistent"), Keep::default());
        mounts.extend(problems.take(plan.build(&build).await));
    }
    problems.or(mounts)
}

/// What a call gave, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// Whole messages, by the type they are due to be.
    pub(crate) messages: Vec<Result<DynamicMessage, String>>,
    /// The code at its end, where it got there.
    pub(crate) code: Option<i32>,
    /// The words beside it, as they go over the wire.
    pub(crate) words: String,
}

/// Calls every method, each with these messages, and reads at most so many bytes of an answer.
pub(crate) async fn call_all(
    mount: &Mount,
    messages: impl Fn(&prost_reflect::MessageDescriptor) -> Vec<DynamicMessage>,
    most_bytes: usize,
) -> Vec<(String, Answered)> {
    let mut answers = Vec::new();
    for method in mount.service.methods() {
        let framed = |messages: &[DynamicMessage]| {
            let mut bytes = BytesMut::new();
            for message in messages {
                let message = prost::Message::encode_to_vec(message);
                bytes.put_u8(0);
                bytes.put_u32(u32::try_from(message.len()).unwrap_or_default());
                bytes.extend_from_slice(&message);
            }
            bytes.freeze()
        };
        let messages = messages(&method.input());
        let bodies: Vec<Bytes> = match method.is_client_streaming() {
            true => vec![framed(&messages), Bytes::new()],
            false => messages.chunks(1).map(framed).collect(),
        };
        for body in bodies {
            let mut request = Request::new(Body::new(Full::new(body)));
            *request.uri_mut() =
                format!("/{}/{}", mount.service.full_name(), method.name()).parse().unwrap_or_default();
            *request.method_mut() = http::Method::POST;
            let headers = request.headers_mut();
            headers.insert("content-type", http::HeaderValue::from_static("application/grpc"));
            headers.insert("te", http::HeaderValue::from_static("trailers"));
            headers.insert("who", http::HeaderValue::from_static("a caller"));
            let (head, mut body) = mount.route.call(request, None).await.into_parts();
            let mut answered = Answered::default();
            let code = |headers: &http::HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
            let words = |headers: &http::HeaderMap| {
                let words = headers.get("grpc-message").and_then(|words| words.to_str().ok());
                words.unwrap_or_default().to_owned()
            };
            answered.code = code(&head.headers);
            answered.words = words(&head.headers);
            let mut bytes = BytesMut::new();
            while let Some(Ok(frame)) = body.frame().await {
                match frame.into_data() {
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(frame) => {
                        answered.code = frame.trailers_ref().and_then(code).or(Some(-1));
                        answered.words = frame.trailers_ref().map(words).unwrap_or_default();
                    }
                }
                if bytes.len() >= most_bytes {
                    break;
                }
            }
            let mut rest = &bytes[..];
            while let [0, a, b, c, d, after @ ..] = rest {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                let Some(message) = after.get(..length) else { break };
                let decoded = DynamicMessage::decode(method.output(), message);
                answered.messages.push(decoded.map_err(|error| error.to_string()));
                rest = &after[length..];
            }
            if !rest.is_empty() {
                answered.messages.push(Err("a part of a message".to_owned()));
            }
            answers.push((method.name().to_owned(), answered));
        }
    }
    answers
}
