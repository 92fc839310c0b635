//! A failure's details, told by name to clients that know nothing but an
//! address: `google.rpc`'s own files are found whether a schema has them or not,
//! and a schema's own hold.

use std::process::Command;

use serde_json::{Value, json};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::examples::refusal;
use crate::support::client::channel;
use crate::support::tools::tool;
use crate::support::walk::Reflection;
use crate::support::{Ostler, Starter};

const SERVICE: &str = "service Play { rpc One(Note) returns (Note); } message Note { string text = 1; }";
const RULES: &str = "handler:
      rules:
        One:
          - fail:
              code: INVALID_ARGUMENT
              message: not so
              details:
                - { '@type': google.rpc.ErrorInfo, reason: EMPTY, domain: play.example, metadata: { a: b } }
                - { '@type': google.rpc.BadRequest, field_violations: [{ field: text, description: is empty }] }
                - { '@type': google.rpc.RetryInfo, retry_delay: 1.5s }
";
const DETAILS: &str = "google/rpc/error_details.proto";

/// Another `google.rpc.ErrorInfo` than everybody's.
const OTHER: &str = r#"syntax = "proto3"; package google.rpc; message ErrorInfo { string cause = 1; }"#;
const FAILS_OTHERWISE: &str = "handler: { rules: { One: [{ fail: { code: ABORTED, details: [{ '@type': google.rpc.ErrorInfo, cause: tired }] } }] } }\n";

/// A service with these beside it, which imports some of them.
fn play(imports: &str, beside: &[(&str, &str)], handler: &str) -> Ostler {
    let text = format!("syntax = \"proto3\"; package play; {imports} {SERVICE}");
    let files =
        beside.iter().fold(Starter::default(), |files, (name, text)| files.file(&format!("schema/{name}"), text));
    let yaml = format!("services:\n  play.Play:\n    schema: schema\n    {handler}");
    files.file("schema/play.proto", &text).start(&yaml)
}

/// What grpcurl makes of a call's status.
fn status(host: &Ostler, method: &str) -> Option<Value> {
    let mut grpcurl = Command::new(tool("GRPCURL")?);
    let output = grpcurl.args(["-plaintext", "-format-error", host.address(), method]).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    Some(serde_json::from_slice(&output.stderr).unwrap_or_else(|_| panic!("{output:?}")))
}

/// The names of the files by which a host answers a question, in order.
async fn files(host: &Ostler, question: MessageRequest) -> Vec<String> {
    let mut reflection = Reflection::open(&channel(host.address()).await, "v1").await.unwrap();
    let files = reflection.files(question).await.unwrap_or_default();
    files.iter().map(|file| file.name().to_owned()).collect()
}

fn of_symbol(name: &str) -> MessageRequest {
    MessageRequest::FileContainingSymbol(name.to_owned())
}

fn of_name(name: &str) -> MessageRequest {
    MessageRequest::FileByFilename(name.to_owned())
}

#[test]
fn grpcurl_tells_details_that_no_schema_has() {
    let host = play("", &[], RULES);
    let Some(status) = status(&host, "play.Play/One") else { return };
    let name = |name: &str| format!("type.googleapis.com/google.rpc.{name}");
    let expected = json!({"code": 3, "message": "not so", "details": [
        {"@type": name("ErrorInfo"), "reason": "EMPTY", "domain": "play.example", "metadata": {"a": "b"}},
        {"@type": name("BadRequest"), "fieldViolations": [{"field": "text", "description": "is empty"}]},
        {"@type": name("RetryInfo"), "retryDelay": "1.500s"}
    ]});
    assert_eq!(status, expected);
}

#[test]
fn grpcurl_tells_details_that_another_server_sent() {
    let behind = play("", &[], RULES);
    let yaml = format!(
        "services: {{ play.Play: {{ schema: schema, handler: {{ upstream: {{ to: ['http://{}'] }} }} }} }}\n",
        behind.address()
    );
    let text = format!("syntax = \"proto3\"; package play; {SERVICE}");
    let host = Starter::default().file("schema/play.proto", &text).start(&yaml);
    let Some(status) = status(&host, "play.Play/One") else { return };
    assert_eq!(status["details"][0]["reason"], "EMPTY", "{status}");
}

#[test]
fn our_own_client_tells_them_as_well() {
    let told = refusal(&play("", &[], RULES), "play.Play/One", "{}");
    for line in [
        r#"google.rpc.ErrorInfo: {"reason":"EMPTY","domain":"play.example","metadata":{"a":"b"}}"#,
        r#"google.rpc.BadRequest: {"fieldViolations":[{"field":"text","description":"is empty"}]}"#,
        r#"google.rpc.RetryInfo: {"retryDelay":"1.500s"}"#,
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[tokio::test]
async fn they_are_found_by_name_and_by_symbol_and_are_no_services() {
    let host = play("", &[], RULES);
    for (symbol, file, import) in [
        ("google.rpc.BadRequest.FieldViolation", DETAILS, "google/protobuf/duration.proto"),
        ("google.rpc.Status", "google/rpc/status.proto", "google/protobuf/any.proto"),
    ] {
        assert_eq!(files(&host, of_symbol(symbol)).await, [file, import]);
        assert_eq!(files(&host, of_name(file)).await, [file, import]);
    }
    let listed = Reflection::open(&channel(host.address()).await, "v1").await.unwrap().list().await;
    assert!(listed.iter().all(|name| !name.starts_with("google.")), "{listed:?}");
}

/// Whether its service imports it or only its rules mean it.
#[test]
fn a_schema_s_own_file_of_the_same_name_holds() {
    for imports in ["import \"google/rpc/error_details.proto\";", ""] {
        let host = play(imports, &[(DETAILS, OTHER)], FAILS_OTHERWISE);
        let told = refusal(&host, "play.Play/One", "{}");
        assert!(told.contains(r#"google.rpc.ErrorInfo: {"cause":"tired"}"#), "{imports}: {told}");
        let Some(status) = status(&host, "play.Play/One") else { return };
        assert_eq!(status["details"][0]["cause"], "tired", "{imports}: {status}");
    }
}

#[tokio::test]
async fn a_schema_s_own_file_of_another_name_holds() {
    let host = play("import \"errors.proto\";", &[("errors.proto", OTHER)], FAILS_OTHERWISE);
    assert_eq!(files(&host, of_symbol("google.rpc.ErrorInfo")).await, ["errors.proto"]);
    assert_eq!(files(&host, of_name(DETAILS)).await, Vec::<String>::new(), "they cannot stand together");
    assert!(!files(&host, of_symbol("google.rpc.Status")).await.is_empty(), "what does not clash is there");
    let Some(status) = status(&host, "play.Play/One") else { return };
    assert_eq!(status["details"][0]["cause"], "tired", "{status}");
}

/// Each schema has its own, and no service imports any: the first holds.
#[tokio::test]
async fn files_that_no_service_imports_do_not_clash() {
    let service = |package: &str| format!("syntax = \"proto3\"; package {package}; {SERVICE}");
    let host = Starter::default()
        .file("one/one.proto", &service("one"))
        .file(&format!("one/{DETAILS}"), OTHER)
        .file("two/two.proto", &service("two"))
        .file(&format!("two/{DETAILS}"), &OTHER.replace("cause", "why"))
        .start(
            "services:\n  one.Play: { schema: one, handler: { rules: {} } }\n  \
             two.Play: { schema: two, handler: { rules: {} } }\n",
        );
    assert_eq!(files(&host, of_symbol("google.rpc.ErrorInfo.cause")).await, [DETAILS]);
    assert!(files(&host, of_symbol("google.rpc.ErrorInfo.why")).await.is_empty());
}

const TROUBLE: &str =
    r#"syntax = "proto3"; package play.errors; import "play/why.proto"; message Trouble { Why why = 1; }"#;
const WHY: &str = r#"syntax = "proto3"; package play.errors; message Why { string text = 1; }"#;
const UNNAMED: &str = r#"syntax = "proto3"; package play.errors; message Unnamed {}"#;
/// A message that its service does not import, with one that this imports.
const NAMES_TROUBLE: &str =
    "{ '@type': type.googleapis.com/play.errors.Trouble, why: { text: \"='no ' + request.text\" } }";

/// A host whose handler may name what is in files that its service does not import.
fn troubled(handler: &str) -> Ostler {
    let service = "syntax = \"proto3\"; package play; import \"google/protobuf/any.proto\";
        service Play { rpc One(Note) returns (Note); } message Note { string text = 1; google.protobuf.Any any = 2; }";
    Starter::default()
        .file("schema/play.proto", service)
        .file("schema/play/trouble.proto", TROUBLE)
        .file("schema/play/why.proto", WHY)
        .file("schema/play/unnamed.proto", UNNAMED)
        .start(&format!("services:\n  play.Play:\n    schema: schema\n    {handler}\n"))
}

#[tokio::test]
async fn messages_of_the_schema_that_rules_name_are_found_though_no_service_imports_them() {
    let fails = format!("[{{ fail: {{ code: ABORTED, details: [{NAMES_TROUBLE}] }} }}]");
    for handler in [
        format!("handler: {{ rules: {{ One: {fails} }} }}"),
        // For the one method alone.
        format!("handler: {{ rules: {{}} }}\n    methods: {{ One: {{ rules: {fails} }} }}"),
    ] {
        let host = troubled(&handler);
        assert_eq!(files(&host, of_symbol("play.errors.Trouble")).await, ["play/trouble.proto", "play/why.proto"]);
        assert!(files(&host, of_symbol("play.errors.Unnamed")).await.is_empty(), "what is not named is not offered");
        let told = refusal(&host, "play.Play/One", r#"{"text": "bread"}"#);
        assert!(told.contains(r#"play.errors.Trouble: {"why":{"text":"no bread"}}"#), "{told}");
        let Some(status) = status(&host, "play.Play/One") else { return };
        assert_eq!(status["details"][0]["why"]["text"], "no ", "{status}");
    }
}

#[tokio::test]
async fn what_replies_hold_in_an_any_is_found_as_well() {
    let host = troubled(&format!("handler: {{ rules: {{ One: [{{ reply: {{ any: {NAMES_TROUBLE} }} }}] }} }}"));
    assert_eq!(files(&host, of_symbol("play.errors.Trouble")).await, ["play/trouble.proto", "play/why.proto"]);
    let Some(mut grpcurl) = tool("GRPCURL").map(Command::new) else { return };
    let output = grpcurl.args(["-plaintext", host.address(), "play.Play/One"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(answer["any"]["why"]["text"], "no ", "{answer}");
}
