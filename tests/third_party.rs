//! An author outside this repository: the crate in `third_party/`, which
//! depends on ostler, brings two kinds of its own and is a host in a dozen
//! lines. `docs/plugins.md` walks through it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::tools::{run_with, tool};
use crate::support::wire::{exchange, framed};
use crate::support::{Ostler, Starter, project, stdout};

/// Where the crate is.
pub fn folder() -> PathBuf {
    project().join("tests/third_party")
}

/// Its binary, built once a run: against ostler's own lock file, so that it
/// needs nothing the main build did not fetch and its versions cannot drift.
pub fn hello_host() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        std::fs::copy(project().join("Cargo.lock"), folder().join("Cargo.lock")).unwrap();
        let built = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["build", "--offline", "--quiet", "--message-format=json"])
            .current_dir(folder())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        let messages = stdout(&built);
        let mut messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.find_map(|message| message["executable"].as_str().map(PathBuf::from)).expect("cargo names the program")
    })
}

fn schema() -> String {
    std::fs::read_to_string(folder().join("mirror.proto")).unwrap()
}

fn yaml() -> String {
    std::fs::read_to_string(folder().join("ostler.yaml")).unwrap()
}

fn start(yaml: &str) -> Ostler {
    Starter::default().program(hello_host()).file("mirror.proto", &schema()).start(yaml)
}

fn grpcurl(grpcurl: &Path, host: &Ostler, before: &[&str], after: &[&str]) -> Output {
    Command::new(grpcurl).arg("-plaintext").args(before).arg(host.address()).args(after).output().unwrap()
}

/// The answers of a call, one compact line each.
fn call(program: &Path, host: &Ostler, method: &str, requests: &str) -> Vec<String> {
    compact(&stdout(&grpcurl(program, host, &["-d", requests], &[method])))
}

fn compact(answers: &str) -> Vec<String> {
    serde_json::Deserializer::from_str(answers).into_iter::<Value>().map(|answer| answer.unwrap().to_string()).collect()
}

#[test]
fn its_services_stand_beside_the_standard_ones() {
    let Some(program) = tool("GRPCURL") else { return };
    let host = start(&yaml());
    let listed = stdout(&grpcurl(&program, &host, &[], &["list"]));
    let listed: Vec<&str> = listed.lines().filter(|name| !name.starts_with("grpc.")).collect();
    assert_eq!(listed, ["hello.Greeter", "looking.Glass", "routeguide.RouteGuide"]);

    let described = stdout(&grpcurl(&program, &host, &[], &["describe", "hello.Greeter"]));
    assert!(described.contains("// Greets one person.\n  rpc SayHello ( .hello.HelloRequest )"), "{described}");
    let described = stdout(&grpcurl(&program, &host, &[], &["describe", "looking.Glass"]));
    assert!(described.contains("rpc Talk ( stream .looking.Line ) returns ( stream .looking.Line )"), "{described}");

    let london = r#"{"latitude": 515083333, "longitude": -1252778}"#;
    let feature = call(&program, &host, "routeguide.RouteGuide/GetFeature", london);
    assert!(feature[0].contains("London, GB"), "{feature:?}");
    let greeting = call(&program, &host, "hello.Greeter/SayHello", r#"{"name": "Bob"}"#);
    assert_eq!(greeting, [r#"{"message":"Good morning, Bob!","number":"1"}"#]);
    let guests = call(&program, &host, "hello.Greeter/GreetGuests", "{}");
    assert_eq!(guests.len(), 2, "{guests:?}");
}

#[test]
fn its_kinds_are_told_as_the_standard_ones_are() {
    let kinds = stdout(&Command::new(hello_host()).arg("kinds").output().unwrap());
    let kinds: Vec<&str> = kinds.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["greeter", "mirror", "process", "route_guide", "rules", "upstream"]);
    let greeter = stdout(&Command::new(hello_host()).args(["kinds", "greeter"]).output().unwrap());
    assert!(greeter.contains("greeting: text  [default: Hello]\n      The word of greeting."), "{greeter}");
    let schema = stdout(&Command::new(hello_host()).arg("schema").output().unwrap());
    assert!(schema.contains("How long health says NOT_SERVING first."));
}

#[test]
fn what_is_wrong_with_its_settings_is_told_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    let checked = |settings: &str| {
        std::fs::write(&file, format!("services:\n  hello.Greeter:\n    handler:\n{settings}")).unwrap();
        let output = Command::new(hello_host()).arg("check").arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        String::from_utf8(output.stderr).unwrap()
    };
    // Its types say what fits ...
    let told = checked("      greeter:\n        gretting: Hi\n        warm_up: 5\n");
    assert!(told.contains("bad.yaml:5:") && told.contains("did you mean `greeting`?"), "{told}");
    assert!(told.contains("bad.yaml:6:18") && told.contains("`5` has no unit"), "{told}");
    // ... and its build says the rest.
    let told = checked("      greeter: { greeting: \"\" }\n");
    assert!(told.contains("bad.yaml:4:28") && told.contains("a greeting says something"), "{told}");
}

#[test]
fn a_schema_that_does_not_compile_is_told_at_the_setting_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    std::fs::write(folder.path().join("bad.proto"), "syntax = \"proto3\"; message {").unwrap();
    std::fs::write(&file, "services:\n  a.B:\n    schema: bad.proto\n    handler: mirror\n").unwrap();
    let output = Command::new(hello_host()).arg("check").arg(&file).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("bad.proto:1:28") && told.contains("expected an identifier"), "{told}");
}

#[test]
fn a_swap_keeps_its_count_and_changes_its_word() {
    let Some(program) = tool("GRPCURL") else { return };
    let host = start(&yaml());
    let greet = || call(&program, &host, "hello.Greeter/SayHello", r#"{"name": "Bob"}"#);
    assert_eq!(greet(), [r#"{"message":"Good morning, Bob!","number":"1"}"#]);
    assert!(host.reload(&yaml().replace("Good morning", "Good evening")));
    assert_eq!(greet(), [r#"{"message":"Good evening, Bob!","number":"2"}"#]);
    assert!(!host.reload(&yaml().replace("Good morning", "\"\"")), "a bad one is refused");
    assert_eq!(greet(), [r#"{"message":"Good evening, Bob!","number":"3"}"#]);
}

#[test]
fn its_panic_fails_one_call_and_the_host_lives_on() {
    let Some(program) = tool("GRPCURL") else { return };
    let host = start(&yaml().replace("guests:", "panics_at: Mallory\n        guests:"));
    let panicked = grpcurl(&program, &host, &["-d", r#"{"name": "Mallory"}"#], &["hello.Greeter/SayHello"]);
    let told = String::from_utf8(panicked.stderr).unwrap();
    assert!(told.contains("Code: Internal\n  Message: internal error"), "{told}");
    host.wait_for(0, "panic");
    // However often it is brought about, it is told once a second.
    let begun = std::time::Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..200 {
        let hello =
            http::Request::post("http://ostler/hello.Greeter/SayHello").header("content-type", "application/grpc");
        let outcome = runtime.block_on(exchange(host.address(), hello, &[framed(0, b"\x0a\x07Mallory")], true));
        assert_eq!(outcome.head(), (200, Some(tonic::Code::Internal as u8)));
    }
    let most = 2 + begun.elapsed().as_secs() as usize;
    let told = host.log().lines().filter(|line| line.contains("asked to panic")).count();
    assert!(told <= most, "{told} of 201 panics are told");
    let greeting = call(&program, &host, "hello.Greeter/SayHello", r#"{"name": "Bob"}"#);
    assert_eq!(greeting, [r#"{"message":"Good morning, Bob!","number":"1"}"#]);
}

#[test]
fn its_health_is_its_own_and_the_hosts_is_not() {
    let Some(probe) = tool("GRPC_HEALTH_PROBE") else { return };
    let host = start(&yaml().replace("guests:", "warm_up: 1h\n        guests:"));
    let asked = |service: &str| {
        Command::new(&probe).args(["-addr", host.address(), "-service", service]).output().unwrap().status.code()
    };
    assert_eq!(asked("hello.Greeter"), Some(4), "not serving yet");
    assert_eq!(asked("looking.Glass"), Some(0));
    assert_eq!(asked(""), Some(0));
    let mark = host.mark();
    assert!(host.reload(&yaml().replace("guests:", "warm_up: 1ms\n        guests:")));
    host.wait_for(mark, "reloaded");
    // Watched, not slept for: the stream's second word is the change.
    let Some(program) = tool("GRPCURL") else { return };
    let mut watch = Command::new(program)
        .args(["-plaintext", "-d", r#"{"service": "hello.Greeter"}"#, host.address(), "grpc.health.v1.Health/Watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(r#""SERVING""#)));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_service_known_at_run_time_answers_all_four_kinds() {
    let Some(program) = tool("GRPCURL") else { return };
    let host = start(&yaml());
    let answers = |method: &str, requests: &str| call(&program, &host, &format!("looking.Glass/{method}"), requests);
    assert_eq!(answers("Turn", r#"{"text": "abc def"}"#), [r#"{"text":"fed cba"}"#]);
    assert_eq!(answers("Words", r#"{"text": "abc def"}"#), [r#"{"text":"cba"}"#, r#"{"text":"fed"}"#]);
    assert_eq!(answers("Join", r#"{"text": "abc"} {"text": "def"}"#), [r#"{"text":"fed cba"}"#]);
    assert_eq!(answers("Talk", r#"{"text": "abc"} {"text": "def"}"#), [r#"{"text":"cba"}"#, r#"{"text":"fed"}"#]);
    // Nothing said is nothing wrong.
    let none = grpcurl(&program, &host, &["-d", ""], &["looking.Glass/Talk"]);
    assert_eq!(stdout(&none), "");
}

#[test]
fn a_conversation_is_answered_while_it_goes_on() {
    let Some(program) = tool("GRPCURL") else { return };
    let host = start(&yaml());
    let mut talk = Command::new(program)
        .args(["-plaintext", "-d", "@", host.address(), "looking.Glass/Talk"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = talk.stdin.take().unwrap();
    let mut answers = BufReader::new(talk.stdout.take().unwrap());
    for word in ["drawer", "stressed", "level"] {
        writeln!(requests, "{{\"text\": \"{word}\"}}").unwrap();
        // The answer is all read before the next word is sent.
        let mut answer = String::new();
        while !answer.ends_with("}\n") {
            assert_ne!(answers.read_line(&mut answer).unwrap(), 0, "the conversation ended early");
        }
        assert!(answer.contains(&word.chars().rev().collect::<String>()), "{answer}");
    }
    drop(requests);
    assert!(talk.wait().unwrap().success());
}

#[test]
fn a_changed_schema_is_a_changed_service_without_a_build() {
    let Some(program) = tool("GRPCURL") else { return };
    let host = start(&yaml());
    std::fs::write(host.folder().join("mirror.proto"), schema().replace("Turn", "Reverse")).unwrap();
    assert!(host.reload(&yaml()));
    assert_eq!(call(&program, &host, "looking.Glass/Reverse", r#"{"text": "abc"}"#), [r#"{"text":"cba"}"#]);
    let gone = grpcurl(&program, &host, &["-d", "{}"], &["looking.Glass/Turn"]);
    assert!(!gone.status.success());
}

#[test]
fn it_is_formatted_as_this_repository_is() {
    let mut formatted = Command::new("cargo");
    let output = run_with(formatted.args(["fmt", "--check"]).current_dir(folder()), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
