//! Editions as protoc itself compiles them: served to the byte, and their
//! messages coded as Python's own protobuf codes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ostler::host::Schema;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, SerializeOptions};
use serde_json::{Value, json};

use crate::support::tools::{script, tool};
use crate::support::{Starter, project, stdout};
use crate::third_party::hello_host;

/// What protoc and Python make of a file and of one of its messages: the set,
/// the message's bytes, and the message as it is read back.
fn theirs(file: &str, message: &str, json: &Value, folder: &Path) -> Option<(Vec<u8>, Vec<u8>, Value)> {
    let python = tool("PYTHON")?;
    let path = project().join("tests/schema/editions").join(file);
    let set = folder.join("set.binpb");
    let json = json.to_string();
    let args = [path.to_str().unwrap(), set.to_str().unwrap(), message, &json];
    let seen: Value =
        serde_json::from_str(&stdout(&script(python, "python/editions.py", &args).output().unwrap())).unwrap();
    let hex = seen["bytes"].as_str().unwrap();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    Some((std::fs::read(set).unwrap(), bytes, seen["read"].clone()))
}

/// Reads and writes their message by their schema, as the host does.
fn agree(file: &str, message: &str, json: Value) -> Option<DynamicMessage> {
    let folder = tempfile::tempdir().unwrap();
    let (set, bytes, read) = theirs(file, message, &json, folder.path())?;
    let schema = Schema::decode(&set).unwrap_or_else(|problem| panic!("{file}: {problem}"));
    let descriptor = schema.pool().get_message_by_name(message).unwrap();
    let ours = DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
    let options = SerializeOptions::new().stringify_64_bit_integers(true);
    let told = ours.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
    assert_eq!(told, read, "{file}: read as they read it");
    assert_eq!(fields(&ours.encode_to_vec()), fields(&bytes), "{file}: written as they write it");
    Some(ours)
}

/// Tag and wire type of every field at the top, counted: writers differ in order alone.
fn fields(bytes: &[u8]) -> BTreeMap<Vec<u8>, usize> {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut left = bytes;
    let mut found = BTreeMap::new();
    while !left.is_empty() {
        let before = left;
        let (tag, wire) = decode_key(&mut left).unwrap();
        skip_field(wire, tag, &mut left, DecodeContext::default()).unwrap();
        *found.entry(before[..before.len() - left.len()].to_vec()).or_default() += 1;
    }
    found
}

#[test]
fn what_edition_2023_says_of_each_field_holds() {
    let json = json!({
        "text": "t", "implicit": 0, "explicit": 0, "required": 0, "packed": [1, 2], "expanded": [3, 4], "open": "OPEN_ONE",
        "inner": {"set": 0}, "delimited": {"name": "d", "set": 1}, "other": {"name": "o"}, "inners": {"k": {"name": "i"}},
        "many": [{"name": "m"}, {}], "opens": ["OPEN_ONE"]
    });
    let Some(message) = agree("e2023.proto", "editions.Mixed", json) else { return };
    let descriptor = message.descriptor();
    let field = |name: &str| descriptor.get_field_by_name(name).unwrap();
    assert!(!field("implicit").supports_presence() && field("explicit").supports_presence());
    assert!(field("required").is_required() && field("delimited").is_group() && !field("inner").is_group());
    assert!(field("packed").is_packed() && !field("expanded").is_packed() && field("opens").is_packed());
    let Kind::Message(entry) = field("inners").kind() else { panic!() };
    assert!(field("inners").is_map() && !entry.map_entry_value_field().is_group());
    let none = json!({"required": 1});
    let message = agree("e2023.proto", "editions.Mixed", none).unwrap();
    assert!(!message.has_field_by_name("explicit") && message.has_field_by_name("required"));
}

#[test]
fn edition_2023_as_proto2_was_holds() {
    let old = |more: Value| {
        let mut old = json!({"text": "t"});
        old.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        old
    };
    let inner = old(json!({"closed": "FIRST"}));
    let json = old(json!({
        "closed": "SECOND", "nested": inner, "map": {"1": inner}, "numbers": [1, 2], "packed": [3, 4], "prefixed": inner,
        "[editions.legacy.further]": inner, "[editions.legacy.later]": [5, 6]
    }));
    let Some(message) = agree("e2023_legacy.proto", "editions.legacy.Old", json) else { return };
    let descriptor = message.descriptor();
    let field = |name: &str| descriptor.get_field_by_name(name).unwrap();
    assert!(field("nested").is_group() && field("map").is_map() && !field("prefixed").is_group());
    assert!(!field("numbers").is_packed() && field("packed").is_packed());
    // Its closed enums begin elsewhere than at zero: no terms tell both.
    assert!(field("implicit").supports_presence());
}

#[test]
fn edition_2024_holds_where_it_says_nothing_new() {
    let json = json!({"text": "t", "implicit": 1, "numbers": [1, 2]});
    agree("e2024.proto", "editions.y2024.New", json);
}

/// Of grpcurl's own: it takes no notice of DELIMITED, and misses what is required.
#[test]
fn grpcurl_calls_a_service_of_an_edition() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let folder = tempfile::tempdir().unwrap();
    if theirs("e2023_legacy.proto", "editions.legacy.Old", &json!({}), folder.path()).is_none() {
        return;
    }
    let set = folder.path().join("set.binpb");
    let host = Starter::default().program(hello_host()).start(&format!(
        "services: {{ editions.legacy.Mirror: {{ schema: \"{}\", handler: mirror }} }}\n",
        set.display()
    ));
    let run = |before: &[&str], after: &[&str]| {
        stdout(&Command::new(&grpcurl).arg("-plaintext").args(before).arg(host.address()).args(after).output().unwrap())
    };
    let request = r#"{"text": "abc", "closed": "FIRST", "numbers": [1, 2], "packed": [3]}"#;
    let answer = run(&["-d", request], &["editions.legacy.Mirror/Turn"]);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({"text": "cba"}));
    let described = run(&[], &["describe", "editions.legacy.Old"]);
    assert!(described.contains("text = 1") && described.contains("LENGTH_PREFIXED"), "{described}");
}
