//! One rich schema by three roads (its .proto files, a descriptor set, another
//! server's reflection), as the real clients see it: comments, custom options
//! and fields that nobody has heard of, to the byte.

use std::collections::BTreeMap;
use std::process::Command;

use bytes::Bytes;
use ostler::host::Schema;
use prost::Message as _;
use serde_json::{Value, json};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::callers::{Caller, grpcui};
use crate::support::client::channel;
use crate::support::tools::{script, tool};
use crate::support::walk::{Reflection, VERSIONS, walk};
use crate::support::{Ostler, Starter, ostler, project, stdout};
use crate::third_party::hello_host;

/// A set whose files stay bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// Field 5000, which no release of protobuf has: the text "later".
const UNHEARD_OF: [u8; 9] = [0xc2, 0xb8, 0x02, 5, b'l', b'a', b't', b'e', b'r'];

fn folder() -> String {
    project().join("tests/schema/rich").to_str().unwrap().to_owned()
}

/// The rich schema as a descriptor set.
fn compiled() -> RawSet {
    let mut compiler = protox::Compiler::new([folder()]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(["second.proto", "service.proto"]).unwrap();
    RawSet::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn name_of(file: &Bytes) -> String {
    prost_types::FileDescriptorProto::decode(file.clone()).unwrap().name().to_owned()
}

/// Both services, from one schema.
fn yaml(schema: &str) -> String {
    format!(
        "services:\n  rich.v1.Rich: {{ schema: {schema}, handler: mirror }}\n  rich.v1.Second: {{ schema: {schema}, handler: mirror }}\n"
    )
}

fn serve(schema: &str) -> Ostler {
    Starter::default().program(hello_host()).start(&yaml(schema))
}

/// Every file of a service, as reflection gives it.
async fn files(host: &Ostler, service: &str, version: &str) -> BTreeMap<String, Bytes> {
    let channel = channel(host.address()).await;
    let mut reflection = Reflection::open(&channel, version).await.unwrap();
    let answer = reflection.ask(MessageRequest::FileContainingSymbol(service.to_owned())).await;
    let MessageResponse::FileDescriptorResponse(answer) = answer else { panic!("{answer:?}") };
    answer.file_descriptor_proto.into_iter().map(Bytes::from).map(|file| (name_of(&file), file)).collect()
}

#[tokio::test]
async fn every_road_brings_the_same_bytes() {
    let mut set = compiled();
    let plain: BTreeMap<_, _> = set.file.iter().map(|file| (name_of(file), file.clone())).collect();
    let by_files = serve(&folder());
    for version in VERSIONS {
        let seen = files(&by_files, "rich.v1.Second", version).await;
        assert_eq!(seen, plain, "{version}: by its .proto files");
    }
    for file in &mut set.file {
        let mut bytes = file.to_vec();
        bytes.extend(UNHEARD_OF);
        *file = bytes.into();
    }
    let later: BTreeMap<_, _> = set.file.iter().map(|file| (name_of(file), file.clone())).collect();
    assert_ne!(later, plain);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.binpb");
    std::fs::write(&path, set.encode_to_vec()).unwrap();
    let by_set = serve(path.to_str().unwrap());
    let by_reflection = serve(&format!("{{ reflect: \"http://{}\" }}", by_set.address()));
    for host in [&by_set, &by_reflection] {
        for version in VERSIONS {
            assert_eq!(files(host, "rich.v1.Second", version).await, later, "{version}");
        }
        for version in VERSIONS {
            let walked = walk(&channel(host.address()).await, version).await;
            assert!(walked.contains("rich.v1.Rich") && walked.contains("rich.v1.Second"), "{walked:?}");
        }
    }
}

#[tokio::test]
async fn a_child_s_socket_can_be_asked_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("child.sock").display());
    let yaml = format!("listen: \"{socket}\"\n{}", yaml(&self::folder()));
    let _host = Starter::default().program(hello_host()).start(&yaml);
    let limit = crate::support::PATIENCE;
    let schema = Schema::reflected(&socket.parse().unwrap(), "rich.v1.Rich", limit).await.unwrap();
    assert_eq!(schema.service("rich.v1.Rich").unwrap().methods().len(), 4);
    let told = Schema::reflected(&socket.parse().unwrap(), "rich.v1.Ritch", limit).await.unwrap_err().words();
    assert!(told.contains("it has no such service; did you mean `rich.v1.Rich`?"), "{told}");
}

#[test]
fn our_client_describes_all_that_a_proto_says() {
    let host = serve(&folder());
    let described = |symbol: &str| stdout(&ostler(&["describe", symbol, "--address", host.address()]));
    let everything = described("rich.v1.Everything");
    for words in [
        "// A message of\n// every kind of field.\nmessage Everything {",
        "fixed64 big = 17 [json_name = \"veryBig\"];",
        "reserved 100, 200 to 300;",
        "reserved \"gone\";",
        "reserved 5 to 9;",
    ] {
        assert!(everything.contains(words), "{words}: {everything}");
    }
    let parcel = described("rich.common.Parcel");
    for words in ["weight = 2 [default = HEAVY];", "packed = 5 [packed = true];", "extensions 1000 to max;"] {
        assert!(parcel.contains(words), "{words}: {parcel}");
    }
}

#[test]
fn grpcurl_sees_options_and_comments_and_calls_all_four_kinds() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let host = serve(&folder());
    let run = |args: &[&str]| stdout(&Command::new(&grpcurl).arg("-plaintext").args(args).output().unwrap());
    let address = host.address();
    assert!(run(&[address, "list"]).contains("rich.v1.Rich\nrich.v1.Second\n"));
    let described = run(&[address, "describe", "rich.v1.Rich"]);
    assert!(described.contains("// One to one; its option reaches the caller."), "{described}");
    for words in ["(.rich.options.policy)", "roles: [ \"admin\", \"writer\" ]", "[.rich.options.priority]: 7"] {
        assert!(described.contains(words), "{words}: {described}");
    }
    let described = run(&[address, "describe", "rich.v1.Everything"]);
    assert!(described.contains("map<string, .rich.v1.Everything.Inner> inners = 4;"), "{described}");
    for symbol in ["rich.common.Parcel", "rich.v1.Everything.Inner.Kind", "rich.options.priority", "rich.common.note"] {
        run(&[address, "describe", symbol]);
    }
    let call = |method: &str, data: &str| {
        let answers = run(&["-d", data, address, &format!("rich.v1.{method}")]);
        let answers: Vec<Value> =
            serde_json::Deserializer::from_str(&answers).into_iter().collect::<Result<_, _>>().unwrap();
        answers.into_iter().map(|answer| answer["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let everything = json!({
        "text": "abc", "maybe": 0, "numbers": [1.5], "inners": {"a": {"kind": "KIND_OTHER", "deeper": {}}},
        "shades": {"1": "SHADE_DARK"}, "parcel": {"label": "l", "weight": "LIGHT", "stamp": [{"cents": 1}],
        "packed": [-1], "shade": "SHADE_LIGHT"}, "any": {"@type": "x/rich.common.Parcel", "label": "m"},
        "at": "2026-01-01T00:00:00Z", "took": "1.5s", "open": {"a": [1, null]}, "wrapped": "7",
        "raw": "AA==", "veryBig": "9"
    });
    assert_eq!(call("Rich/Turn", &everything.to_string()), ["cba"]);
    assert_eq!(call("Second/Turn", r#"{"text": "abc"}"#), ["cba"]);
    assert_eq!(call("Rich/Words", r#"{"text": "abc def"}"#), ["cba", "fed"]);
    assert_eq!(call("Rich/Join", r#"{"text": "abc"} {"text": "def"}"#), ["fed cba"]);
    assert_eq!(call("Rich/Talk", r#"{"text": "abc"} {"text": "def"}"#), ["cba", "fed"]);
}

#[test]
fn buf_curl_calls_it() {
    let Some(answer) = Caller::Buf.call(serve(&folder()).address(), "rich.v1.Rich/Turn", &json!({"text": "abc"}))
    else {
        return;
    };
    assert_eq!(answer, Ok(json!({"text": "cba"})));
}

#[test]
fn python_reads_the_options_by_reflection_alone() {
    let Some(python) = tool("PYTHON") else { return };
    let host = serve(&folder());
    let args = [host.address(), "rich.v1.Rich/Turn", r#"{"text": "abc"}"#];
    let seen: Value =
        serde_json::from_str(&stdout(&script(python, "python/reflected.py", &args).output().unwrap())).unwrap();
    assert_eq!(seen["answer"], json!({"text": "cba"}));
    assert_eq!(seen["fields"]["again"], 9);
    let options = seen["options"].as_str().unwrap();
    for words in ["[rich.options.policy]", "roles: \"writer\"", "[rich.options.priority]: 7"] {
        assert!(options.contains(words), "{words}: {options}");
    }
}

#[test]
fn grpc_reflection_js_understands_it() {
    let Some(modules) = tool("NODE_TOOLS") else { return };
    let host = serve(&folder());
    let mut command =
        script("node".into(), "node/reflected.js", &[host.address(), "rich.v1.Rich/Turn", r#"{"text": "abc"}"#]);
    let seen: Value = serde_json::from_str(&stdout(&command.env("NODE_TOOLS", &modules).output().unwrap())).unwrap();
    assert_eq!((&seen["answer"], &seen["fields"]["choice"]), (&json!({"text": "cba"}), &Value::Null));
    assert_eq!(seen["fields"]["parcel"], 7);
}

#[test]
fn grpcui_starts_over_it() {
    let Some(started) = grpcui(serve(&folder()).address()) else { return };
    assert_eq!(started, Ok(()));
}

#[test]
fn our_own_client_describes_and_calls_it() {
    let host = serve(&folder());
    let run = |args: &[&str]| stdout(&crate::support::ostler(&[args, &["--address", host.address()]].concat()));
    assert!(run(&["list"]).contains("rich.v1.Second\n"));
    let described = run(&["describe", "rich.common.Parcel"]);
    assert!(described.contains("required string label = 1;"), "{described}");
    assert_eq!(run(&["call", "rich.v1.Rich/Turn", r#"{"text": "abc"}"#]), "{\"text\":\"cba\"}\n");
}
