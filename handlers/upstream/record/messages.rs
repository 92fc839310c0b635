//! Messages as they went over the wire, told in JSON. They are strangers' words:
//! what would grow out of all reason is not told.

use std::io::Read as _;

use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use serde_json::Value as Json;

/// What the compressed messages of one way may become together.
const MOST_INFLATED_BYTES: usize = 1 << 20;
/// How deep a message may be, those packed in it included: what makes JSON of
/// them knows no bound of its own.
const DEEPEST: usize = 48;
/// The messages of one way, in protobuf's JSON.
pub(super) fn messages(mut bytes: &[u8], gzip: bool, of: &MessageDescriptor) -> Option<Vec<Json>> {
    let mut messages = Vec::new();
    let mut left = MOST_INFLATED_BYTES;
    while !bytes.is_empty() {
        let (&[flag, a, b, c, d], rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let (message, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        let inflated = match flag {
            0 => None,
            1 if gzip => Some(inflate(message, left)?),
            _ => return None,
        };
        left -= inflated.as_ref().map_or(0, Vec::len);
        let message = DynamicMessage::decode(of.clone(), inflated.as_deref().unwrap_or(message)).ok()?;
        messages.push(json_of(&message)?);
    }
    Some(messages)
}

fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(most as u64 + 1);
    reader.read_to_end(&mut inflated).ok()?;
    (inflated.len() <= most).then_some(inflated)
}

/// A message in protobuf's JSON; none where it cannot be told so.
pub(super) fn json_of(message: &DynamicMessage) -> Option<Json> {
    if !is_shallow(message, DEEPEST) {
        return None;
    }
    serde_json::to_value(message).ok()
}

/// Whether a message and those packed in it go no deeper than this.
fn is_shallow(message: &DynamicMessage, most: usize) -> bool {
    fn fits(value: &Value, most: usize) -> bool {
        match value {
            Value::Message(message) => is_shallow(message, most),
            Value::List(items) => items.iter().all(|item| fits(item, most)),
            Value::Map(entries) => entries.values().all(|value| fits(value, most)),
            _ => true,
        }
    }
    let Some(below) = most.checked_sub(1) else { return false };
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return message.fields().all(|(_, value)| fits(value, below));
    }
    let (url, packed) = (message.get_field_by_number(1), message.get_field_by_number(2));
    let (Some(url), Some(packed)) =
        (url.as_deref().and_then(Value::as_str), packed.as_deref().and_then(Value::as_bytes))
    else {
        return false;
    };
    let name = url.rsplit('/').next().unwrap_or_default();
    let of = message.descriptor().parent_pool().get_message_by_name(name);
    let packed = of.and_then(|of| DynamicMessage::decode(of, packed.clone()).ok());
    packed.is_some_and(|packed| is_shallow(&packed, below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use prost_reflect::DescriptorPool;

    fn packed(depth: usize) -> DynamicMessage {
        let pool = DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap();
        let mut any = prost_types::Any { type_url: "x/google.rpc.ErrorInfo".to_owned(), value: Vec::new() };
        for _ in 0..depth {
            any = prost_types::Any { type_url: "x/google.protobuf.Any".to_owned(), value: any.encode_to_vec() };
        }
        let of = pool.get_message_by_name("google.protobuf.Any").unwrap();
        DynamicMessage::decode(of, any.encode_to_vec().as_slice()).unwrap()
    }

    #[test]
    fn messages_packed_in_messages_without_end_are_no_danger() {
        assert!(json_of(&packed(3)).is_some());
        assert!(json_of(&packed(2000)).is_none());
    }

    #[test]
    fn what_is_compressed_many_times_over_is_not_inflated() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 2 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert_eq!(inflate(&bomb, MOST_INFLATED_BYTES), None);
        assert_eq!(inflate(&bomb, 2 << 20).unwrap().len(), 2 << 20);
        assert_eq!(inflate(b"not gzip", 100), None);
    }
}
