//! What a host answers, as text: messages as JSON, failures so that they can be
//! copied whole.

use std::io::{IsTerminal as _, Write as _};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use tonic::Status;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

use super::schema::Schema;
use super::{Failure, clean, complain};
use crate::host::status;

/// An `Any` may hold another, and so on; types are asked for so many times.
const MOST_ROUNDS: usize = 8;
/// One `Any` in another, so many deep.
const MOST_ANYS: usize = 16;

/// Prints a message, a line or several; false where nobody reads any more.
pub(super) async fn print(message: DynamicMessage, schema: &mut Schema, pretty: bool) -> Result<bool, Failure> {
    let json = json(message, schema, pretty).await?;
    let mut stdout = std::io::stdout().lock();
    Ok(writeln!(stdout, "{json}").and_then(|()| stdout.flush()).is_ok())
}

/// Whether eyes are to read it.
pub(super) fn is_for_eyes() -> bool {
    std::io::stdout().is_terminal()
}

async fn json(mut message: DynamicMessage, schema: &mut Schema, pretty: bool) -> Result<String, Failure> {
    drop_empty_anys(&mut message);
    let mut error = String::new();
    for _ in 0..MOST_ROUNDS {
        let mut unknown = Vec::new();
        if !unknown_types(&message, 0, &mut unknown) {
            error = format!("it holds one `Any` in another over {MOST_ANYS} times");
            break;
        }
        let told = if pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) };
        match told {
            Ok(json) => return Ok(json),
            Err(why) => error = why.to_string(),
        }
        if unknown.is_empty() {
            break;
        }
        for name in unknown {
            schema.learn_or_invent(&name).await?;
        }
        // The message goes over to the schema that knows more.
        let name = message.descriptor().full_name().to_owned();
        let Some(descriptor) = schema.pool().get_message_by_name(&name) else { break };
        match DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()) {
            Ok(again) => message = again,
            Err(why) => error = why.to_string(),
        }
    }
    Err(Failure::Answered(format!("an answer cannot be told as JSON: {}", clean(&error))))
}

/// The types of `Any`s in a message that its schema does not have; false where
/// they nest too deep to be looked at. Each is a message of its own that is
/// decoded anew, so that no decoder counts how deep they go.
fn unknown_types(message: &DynamicMessage, depth: usize, names: &mut Vec<String>) -> bool {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return message.fields().all(|(_, value)| unknown_in(value, depth, names));
    }
    let Some((name, value)) = any(message) else { return true };
    let Some(descriptor) = message.descriptor().parent_pool().get_message_by_name(&name) else {
        names.push(name);
        return true;
    };
    let Ok(inner) = DynamicMessage::decode(descriptor, value.as_slice()) else { return true };
    depth < MOST_ANYS && unknown_types(&inner, depth + 1, names)
}

fn unknown_in(value: &Value, depth: usize, names: &mut Vec<String>) -> bool {
    match value {
        Value::Message(message) => unknown_types(message, depth, names),
        Value::List(items) => items.iter().all(|item| unknown_in(item, depth, names)),
        Value::Map(entries) => entries.values().all(|value| unknown_in(value, depth, names)),
        _ => true,
    }
}

/// Leaves out each `Any` that holds nothing: the crate has no JSON for it.
fn drop_empty_anys(message: &mut DynamicMessage) {
    let mut empty = Vec::new();
    for (field, value) in message.fields_mut() {
        match value {
            Value::Message(inner) if any(inner).is_some_and(|(name, value)| name.is_empty() && value.is_empty()) => {
                empty.push(field);
            }
            Value::Message(inner) => drop_empty_anys(inner),
            Value::List(items) => items.iter_mut().filter_map(Value::as_message_mut).for_each(drop_empty_anys),
            Value::Map(entries) => entries.values_mut().filter_map(Value::as_message_mut).for_each(drop_empty_anys),
            _ => {}
        }
    }
    empty.iter().for_each(|field| message.clear_field(field));
}

/// The name and the bytes in an `Any`.
fn any(message: &DynamicMessage) -> Option<(String, Vec<u8>)> {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return None;
    }
    let url = message.get_field_by_name("type_url")?;
    let value = message.get_field_by_name("value")?;
    Some((url.as_str()?.rsplit('/').next()?.to_owned(), value.as_bytes()?.to_vec()))
}

/// A failed call: its code and message, and a line for each of its details.
pub(super) async fn failure(status: &Status, schema: &mut Schema) -> Failure {
    let mut words = status::told(status);
    let Ok(rich) = tonic_types::Status::decode(status.details()) else { return Failure::Answered(words) };
    for detail in rich.details {
        let type_name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let told = type_of(type_name, schema).await.and_then(|descriptor| {
            let message = DynamicMessage::decode(descriptor, detail.value.as_slice()).ok()?;
            serde_json::to_string(&message).ok()
        });
        let told =
            told.unwrap_or_else(|| format!("{} bytes of a type that the host does not describe", detail.value.len()));
        words.push_str(&format!("\n{}: {told}", clean(type_name)));
    }
    Failure::Answered(words)
}

/// A detail's type: as the host has it, or as all who use gRPC do. What a host
/// cannot say of a detail does not hide the failure itself.
async fn type_of(name: &str, schema: &mut Schema) -> Option<MessageDescriptor> {
    if schema.pool().get_message_by_name(name).is_none() {
        let _ = schema.learn(name).await;
    }
    schema.pool().get_message_by_name(name).or_else(|| {
        let google_rpc = DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).ok()?;
        google_rpc.get_message_by_name(name)
    })
}

/// Metadata on stderr, a line each.
pub(super) fn metadata(what: &str, metadata: &MetadataMap) {
    for entry in metadata.iter() {
        let (name, value) = match &entry {
            KeyAndValueRef::Ascii(name, value) => (name.as_str(), value.as_encoded_bytes()),
            KeyAndValueRef::Binary(name, value) => (name.as_str(), value.as_encoded_bytes()),
        };
        complain(&format!("{what} {name}: {}", clean(&String::from_utf8_lossy(value))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anys_in_anys_without_end_are_given_up() {
        let pool = DescriptorPool::global();
        let descriptor = pool.get_message_by_name("google.protobuf.Any").unwrap();
        let nested = |depth| {
            (0..depth).fold(Vec::new(), |value, _| {
                prost_types::Any { type_url: "x/google.protobuf.Any".to_owned(), value }.encode_to_vec()
            })
        };
        let looked_at = |depth| {
            let message = DynamicMessage::decode(descriptor.clone(), nested(depth).as_slice()).unwrap();
            unknown_types(&message, 0, &mut Vec::new())
        };
        assert!(looked_at(MOST_ANYS) && !looked_at(10_000));
    }
}
