//! A call told as a rule: the request it is for, and what was answered.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use serde_json::{Map, Value as Json, json};
use tonic::{Code, Status};

use super::messages::{json_of, messages};
use super::tap::Copied;
use super::text::{line, literal, literals};

/// Values of a rule beside those of its messages, at most.
const OWN_VALUES: usize = 8;
/// HTTP's own, which say nothing of the service; and what is for one client alone.
const NOT_RECORDED: [&str; 12] = [
    "te",
    "date",
    "server",
    "trailer",
    "upgrade",
    "connection",
    "keep-alive",
    "set-cookie",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
];

/// Base64 with or without its padding, as metadata have it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) method: String,
    /// The same for the same request.
    pub(super) key: String,
    /// Its lines, as an item of its method's list.
    pub(super) text: String,
    /// How many values it has.
    pub(super) values: usize,
}

/// The rule for a call; none where the call was not in order, or cannot be told.
pub(super) fn of(call: &Copied) -> Option<Rule> {
    let method = &call.method;
    let [request] = <[_; 1]>::try_from(messages(&call.request, call.request_gzip, &method.input())?).ok()?;
    let mut replies = messages(&call.replies, call.reply_gzip, &method.output())?;
    let status = status(&call.trailers)?;
    let failed = status.code() != Code::Ok;
    if !method.is_server_streaming() {
        match failed {
            // One answer: a reply, or a status.
            true => replies.clear(),
            false if replies.len() != 1 => return None,
            false => {}
        }
    }

    let mut sorted = request.clone();
    sorted.sort_all_objects();
    let mut lines = Lines { text: String::new(), values: OWN_VALUES };
    lines.add("is", request)?;
    match method.is_server_streaming() {
        true if replies.is_empty() => {}
        true => lines.list("replies", replies)?,
        false => replies.pop().map_or(Some(()), |reply| lines.add("reply", reply))?,
    }
    let (mut headers, mut trailers) = (metadata(&call.headers), metadata(&call.trailers));
    if failed && call.replies.is_empty() {
        // A call that only fails has one place for metadata.
        headers.append(&mut trailers);
        trailers = std::mem::take(&mut headers);
    }
    for (name, metadata) in [("headers", headers), ("trailers", trailers)] {
        if !metadata.is_empty() {
            lines.written(name, &json!(metadata));
        }
    }
    if failed {
        lines.written("fail", &failure(&status, &call.trailers, method));
    }
    Some(Rule { method: method.name().to_owned(), key: sorted.to_string(), text: lines.text, values: lines.values })
}

/// A rule's lines as they come.
struct Lines {
    text: String,
    values: usize,
}

impl Lines {
    /// A key with a message.
    fn add(&mut self, key: &str, mut message: Json) -> Option<()> {
        self.values += literals(&mut message)?;
        self.key(key);
        self.text.push_str(&format!(" {}\n", line(&message)));
        Some(())
    }

    /// A key with several.
    fn list(&mut self, key: &str, messages: Vec<Json>) -> Option<()> {
        self.key(key);
        self.text.push('\n');
        for mut message in messages {
            self.values += literals(&mut message)?;
            self.text.push_str(&format!("      - {}\n", line(&message)));
        }
        Some(())
    }

    /// A key with what stands for itself already.
    fn written(&mut self, key: &str, json: &Json) {
        self.values += json.as_object().map_or(1, Map::len);
        self.key(key);
        self.text.push_str(&format!(" {}\n", line(json)));
    }

    fn key(&mut self, key: &str) {
        let dash = if self.text.is_empty() { "  - " } else { "    " };
        self.text.push_str(&format!("{dash}{key}:"));
    }
}

/// How a call ended. Its details are taken from the map itself: what reads them
/// beside the rest panics where they are no base64.
fn status(trailers: &HeaderMap) -> Option<Status> {
    let mut plain = HeaderMap::new();
    for name in ["grpc-status", "grpc-message"] {
        if let Some(value) = trailers.get(name) {
            plain.insert(name, value.clone());
        }
    }
    Status::from_header_map(&plain)
}

fn failure(status: &Status, trailers: &HeaderMap, method: &MethodDescriptor) -> Json {
    let mut fail = json!({ "code": name(status.code()) });
    if !status.message().is_empty() {
        fail["message"] = literal(status.message()).into();
    }
    let details = trailers.get("grpc-status-details-bin").and_then(|details| BASE64.decode(details).ok());
    let details = details.and_then(|details| tonic_types::pb::Status::decode(details.as_slice()).ok());
    let details: Vec<_> =
        details.iter().flat_map(|status| &status.details).filter_map(|detail| self::detail(detail, method)).collect();
    if !details.is_empty() {
        fail["details"] = details.into();
    }
    fail
}

/// A detail, where its type is one that rules know.
fn detail(any: &prost_types::Any, method: &MethodDescriptor) -> Option<Json> {
    static GOOGLE: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).ok());
    let name = any.type_url.rsplit('/').next()?;
    let known = method.parent_pool().get_message_by_name(name);
    let known = known.or_else(|| GOOGLE.as_ref()?.get_message_by_name(name))?;
    let message = DynamicMessage::decode(known, any.value.as_slice()).ok()?;
    let mut json = json_of(&message)?;
    literals(&mut json)?;
    let Json::Object(fields) = json else { return None };
    Some(std::iter::once(("@type".to_owned(), name.into())).chain(fields).collect::<Map<_, _>>().into())
}

/// Metadata that the server set; of a name that is there twice, the first.
fn metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let Ok(text) = value.to_str() else { continue };
        if name.starts_with("grpc-") || NOT_RECORDED.contains(&name) || metadata.contains_key(name) {
            continue;
        }
        let text = match name.ends_with("-bin") {
            // Several values may come as one, with commas between.
            true => text.split(',').next().unwrap_or_default().trim().to_owned(),
            false => literal(text),
        };
        if !name.ends_with("-bin") || BASE64.decode(&text).is_ok() {
            metadata.insert(name.to_owned(), text);
        }
    }
    metadata
}

/// A code as the gRPC documents write it.
fn name(code: Code) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(i32::from(code)).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("UNKNOWN")
}
