//! Editions as protoc itself compiles them: served to the byte, and their
//! messages coded as Python's own protobuf codes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ostler::host::Schema;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, SerializeOptions};
use serde_json::{Value, json};

use crate::support::callers::{Caller, cannot, grpcui};
use crate::support::tools::{script, tool};
use crate::support::{Ostler, project, start, stdout};

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

/// What grpcurl and grpc-reflection-js know nothing of is left out here, and
/// pinned below; the latter has a map as its entries.
#[test]
fn every_client_calls_services_of_edition_2023() {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = host(&[E2023, LEGACY], folder.path()) else { return };
    let mixed = json!({
        "text": "t", "explicit": 0, "required": 0, "packed": [1, 2], "expanded": [3, 4], "open": "OPEN_ONE",
        "inner": {"set": 0}, "delimited": {"name": "d", "set": 1}, "other": {"name": "o"},
        "inners": {"k": {"name": "i"}}, "many": [{"name": "m"}, {}], "opens": ["OPEN_ONE"]
    });
    let old = json!({
        "text": "t", "closed": "FIRST", "nested": {"text": "n", "map": {"2": {}}}, "map": {"1": {"text": "m"}},
        "numbers": [1, 2], "packed": [3], "prefixed": {"text": "p"}
    });
    for caller in Caller::ALL {
        let (mixed, old) = match caller {
            Caller::Grpcurl => (without(&mixed, &["delimited", "other", "many"]), without(&old, &["nested"])),
            Caller::Node => {
                let (mut mixed, mut old) = (mixed.clone(), without(&old, &["nested"]));
                mixed["inners"] = json!([{"key": "k", "value": {"name": "i"}}]);
                old["map"] = json!([{"key": 1, "value": {"text": "m"}}]);
                (mixed, old)
            }
            _ => (mixed.clone(), old.clone()),
        };
        for ((_, service, _), request) in [(E2023, mixed), (LEGACY, old)] {
            let Some(answer) = caller.call(host.address(), &format!("{service}/Turn"), &request) else { continue };
            assert_eq!(answer, Ok(request), "{caller:?} and {service}");
        }
    }
    if let Some(started) = grpcui(host.address()) {
        assert_eq!(started, Ok(()));
    }
}

#[test]
fn edition_2024_is_called_by_those_who_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = host(&[E2024], folder.path()) else { return };
    let request = json!({"text": "t", "implicit": 1, "numbers": [1, 2]});
    for caller in Caller::ALL {
        let Some(answer) = caller.call(host.address(), "editions.y2024.Mirror/Turn", &request) else { continue };
        match caller {
            Caller::Node => cannot("Error: Unsupported edition 1001", answer),
            _ => assert_eq!(answer, Ok(request.clone()), "{caller:?}"),
        }
    }
    let Some(started) = grpcui(host.address()) else { return };
    cannot("use of edition EDITION_2024 not yet supported by the Go Protobuf runtime", started);
}

/// Its dynamic messages know the two old syntaxes, and write every message that
/// is no proto2 group with its length: the host cannot take that for a group.
#[test]
fn grpcurl_takes_no_notice_of_delimited() {
    writes_lengths(Caller::Grpcurl, &[(E2023, "delimited", json!({})), (LEGACY, "nested", json!({}))]);
}

/// protobufjs keeps a file's options with its package, and resolves the features
/// of its types without them.
#[test]
fn grpc_reflection_js_takes_no_notice_of_a_file_s_features() {
    writes_lengths(Caller::Node, &[(LEGACY, "nested", json!({}))]);
}

#[test]
fn grpcurl_shows_a_field_s_features() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = host(&[LEGACY], folder.path()) else { return };
    let mut grpcurl = Command::new(grpcurl);
    let described = grpcurl.args(["-plaintext", host.address(), "describe", "editions.legacy.Old"]).output().unwrap();
    let described = stdout(&described);
    assert!(described.contains("text = 1") && described.contains("LENGTH_PREFIXED"), "{described}");
}

/// A schema file, its service, and its message with all that it requires.
type Edition = (&'static str, &'static str, &'static str);

const E2023: Edition = ("e2023.proto", "editions.Mirror", "editions.Mixed");
const LEGACY: Edition = ("e2023_legacy.proto", "editions.legacy.Mirror", "editions.legacy.Old");
const E2024: Edition = ("e2024.proto", "editions.y2024.Mirror", "editions.y2024.New");

/// A host of these, which answers every request with that request.
fn host(editions: &[Edition], folder: &Path) -> Option<Ostler> {
    let mut yaml = "services:\n".to_owned();
    for (file, service, message) in editions {
        let json = if *message == E2023.2 { json!({"required": 0}) } else { json!({}) };
        let path = folder.join(file).with_extension("binpb");
        std::fs::write(&path, theirs(file, message, &json, folder)?.0).unwrap();
        let rules = "{ rules: { Turn: [{ reply: =request }] } }";
        yaml.push_str(&format!("  {service}: {{ schema: \"{}\", handler: {rules} }}\n", path.display()));
    }
    Some(start(&yaml))
}

fn without(message: &Value, fields: &[&str]) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().retain(|name, _| !fields.contains(&name.as_str()));
    message
}

/// The client writes a DELIMITED field as if it were none.
fn writes_lengths(caller: Caller, fields: &[(Edition, &str, Value)]) {
    let folder = tempfile::tempdir().unwrap();
    for (edition, field, value) in fields {
        let Some(host) = host(&[*edition], folder.path()) else { return };
        let mut request = json!({"text": "t"});
        if *edition == E2023 {
            request["required"] = json!(0);
        }
        request[*field] = value.clone();
        let Some(answer) = caller.call(host.address(), &format!("{}/Turn", edition.1), &request) else { return };
        cannot("invalid wire type: LengthDelimited (expected StartGroup)", answer);
    }
}
