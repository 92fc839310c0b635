//! `ostler call`, `list` and `describe`: every kind of call against the real
//! host, and what is told of a call that cannot be made.

mod other;
mod strange;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use crate::support::authority::{Authority, HOST};
use crate::support::tools::run_with;
use crate::support::{Ostler, binary, ostler, start, stdout, wait};
use crate::tls;

const LONDON: &str = r#"{"latitude":515083333,"longitude":-1252778}"#;

/// A client's verb, with nothing on its stdin.
fn client(verb: &str, address: &str, args: &[&str]) -> Output {
    run_with(Command::new(binary()).args([verb, "--address", address, "--timeout", "50s"]).args(args), "")
}

fn call(address: &str, args: &[&str]) -> Output {
    client("call", address, args)
}

/// What was said of a failure that exits with this.
fn failure(code: i32, output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words}");
    words
}

fn has(words: &str, parts: &[&str]) {
    for part in parts {
        assert!(words.contains(part), "`{part}` is not in\n{words}");
    }
}

#[test]
fn one_request_has_one_answer_and_both_names_of_a_method_are_understood() {
    let host = start("");
    let london = format!("{{\"name\":\"London, GB\",\"location\":{LONDON}}}\n");
    for method in
        ["routeguide.RouteGuide/GetFeature", "/routeguide.RouteGuide/GetFeature", "routeguide.RouteGuide.GetFeature"]
    {
        assert_eq!(stdout(&call(host.address(), &[method, LONDON])), london);
    }
    let pretty = stdout(&call(host.address(), &["routeguide.RouteGuide/GetFeature", LONDON, "--pretty"]));
    assert!(pretty.starts_with("{\n  \"name\": \"London, GB\",\n"), "{pretty}");
    let nothing = stdout(&call(host.address(), &["routeguide.RouteGuide/GetFeature"]));
    assert_eq!(nothing, "{\"location\":{}}\n", "no message is an empty one");
}

#[test]
fn a_stream_of_answers_is_a_line_each() {
    let host = start("");
    let west = r#"{"lo": {"latitude": 480000000, "longitude": -20000000}, "hi": {"latitude": 530000000, "longitude": 50000000}}"#;
    let listed = stdout(&call(host.address(), &["routeguide.RouteGuide/ListFeatures", west]));
    let names: Vec<_> = listed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["Brussels, BE", "London, GB", "Paris, FR"]);
}

#[test]
fn a_stream_of_requests_comes_from_the_argument_or_from_stdin() {
    let host = start("");
    let points = format!("{LONDON}\n{{\n  \"latitude\": 488666667,\n  \"longitude\": 23333333\n}} {{}}");
    let method = "routeguide.RouteGuide/RecordRoute";
    let given = stdout(&call(host.address(), &[method, &points]));
    assert!(given.starts_with("{\"pointCount\":3,\"featureCount\":2,"), "{given}");
    for flags in [&["--address", host.address(), method][..], &["--address", host.address(), method, "-"]] {
        let piped = run_with(Command::new(binary()).arg("call").args(flags), &points);
        assert_eq!(stdout(&piped), given);
    }
}

/// A RouteChat whose notes are written and whose answers are read here.
fn chat(host: &Ostler) -> Child {
    Command::new(binary())
        .args(["call", "--address", host.address(), "routeguide.RouteGuide/RouteChat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_conversation_has_each_answer_before_the_next_request_is_written() {
    let host = start("");
    let mut child = chat(&host);
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first note at a place has no answer; each later one is answered with all before it.
    stdin.write_all(b"{\"message\": \"0\"}").unwrap();
    for note in 1..4 {
        write!(stdin, "{{\"message\": \"{note}\"}}").unwrap();
        for earlier in 0..note {
            assert_eq!(answers.next().unwrap().unwrap(), format!("{{\"message\":\"{earlier}\"}}"));
        }
    }
    drop(stdin);
    assert!(answers.next().is_none(), "and its end is the end");
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_deadline_ends_a_call_that_would_go_on() {
    let host = start("");
    let mut child = Command::new(binary())
        .args(["call", "--address", host.address(), "routeguide.RouteGuide/RouteChat", "--deadline", "200ms"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open past the end.
    let _stdin = child.stdin.take();
    assert_eq!(wait(&mut child).code(), Some(3));
    let mut words = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut words).unwrap();
    has(&words, &["error: DEADLINE_EXCEEDED: "]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_call() {
    let host = start("");
    let mut child = chat(&host);
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    stdin.write_all(b"{}{}").unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn an_encrypted_host_is_known_by_its_authority_and_knows_its_callers() {
    let authority = Authority::new("one");
    let host =
        tls::host(&authority, "tls: { certificate: server.pem, key: server.key, clients: { ca: clients.pem } }\n");
    let (certificate, key) = authority.pair("client", 2).write(host.folder(), "client");
    let ca = host.folder().join("ca.pem");
    let known = ["--tls", "--ca", ca.to_str().unwrap(), "--name", HOST];
    let shown = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let method = ["routeguide.RouteGuide/GetFeature", LONDON];
    assert!(stdout(&call(host.address(), &[&method, &known[..], &shown].concat())).contains("London, GB"));
    assert!(stdout(&client("list", host.address(), &[&known[..], &shown].concat())).contains("routeguide.RouteGuide"));
    assert!(!call(host.address(), &[&method, &known[..]].concat()).status.success(), "a stranger is not let in");
    failure(2, &call(host.address(), &["routeguide.RouteGuide/GetFeature", LONDON, "--tls"]));
}

#[test]
fn a_socket_of_this_machine_is_an_address_too() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(&format!("listen: \"unix:{}\"\n", folder.path().join("ostler.sock").display()));
    assert!(stdout(&call(host.address(), &["routeguide.RouteGuide/GetFeature", LONDON])).contains("London, GB"));
}

#[test]
fn services_methods_and_their_words_are_told() {
    let host = start("");
    let services = stdout(&client("list", host.address(), &[]));
    assert_eq!(
        services.lines().collect::<Vec<_>>(),
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "routeguide.RouteGuide"
        ]
    );
    let methods = stdout(&client("list", host.address(), &["routeguide.RouteGuide"]));
    assert_eq!(methods.lines().next(), Some("routeguide.RouteGuide/GetFeature"));
    let described = stdout(&client("describe", host.address(), &[]));
    has(&described, &["service Health {", "service RouteGuide {", "  // The feature at exactly this point."]);
    let method = stdout(&client("describe", host.address(), &["routeguide.RouteGuide/RouteChat"]));
    has(
        &method,
        &["package routeguide;", "rpc RouteChat(stream routeguide.RouteNote) returns (stream routeguide.RouteNote);"],
    );
    let message = stdout(&client("describe", host.address(), &["grpc.reflection.v1.ServerReflectionRequest"]));
    has(
        &message,
        &["message ServerReflectionRequest {", "  oneof message_request {", "    string file_by_filename = 3;"],
    );
    let choices = stdout(&client("describe", host.address(), &["grpc.health.v1.HealthCheckResponse.ServingStatus"]));
    has(&choices, &["enum ServingStatus {", "  // Calls are welcome.\n  SERVING = 1;"]);
    let words = failure(2, &client("describe", host.address(), &["routeguide.RouteGuid"]));
    has(&words, &["the host describes no `routeguide.RouteGuid`", "did you mean `routeguide.RouteGuide`?"]);
}

#[test]
fn a_shell_completes_the_names_of_the_host_that_is_asked() {
    let host = start("");
    // As bash's own function asks, which the binary prints.
    let complete = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let asked = Command::new(binary())
            .envs([("OSTLER_COMPLETE", "bash"), ("_CLAP_IFS", "\n"), ("_CLAP_COMPLETE_INDEX", &index)])
            .env("OSTLER_ADDRESS", host.address())
            .arg("--")
            .args(words)
            .output();
        stdout(&asked.unwrap()).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        complete(&["ostler", "call", "rou"])[..2],
        ["routeguide.RouteGuide/GetFeature", "routeguide.RouteGuide/ListFeatures"]
    );
    assert_eq!(complete(&["ostler", "call", "routeguide.RouteGuide/G"]), ["routeguide.RouteGuide/GetFeature"]);
    assert_eq!(
        complete(&["ostler", "describe", "grpc.reflection.v1."]),
        ["grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
    );
    assert_eq!(
        complete(&["ostler", "call", "grpc.r"]),
        ["grpc.reflection.v1.ServerReflection/", "grpc.reflection.v1alpha.ServerReflection/"]
    );
    assert_eq!(complete(&["ostler", "list", "r"]), ["routeguide.RouteGuide"]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(complete(&["ostler", "call", "--address", &nobody, "rou"]).is_empty(), "the line's own address is asked");
    let registration = Command::new(binary()).env("OSTLER_COMPLETE", "bash").output().unwrap();
    has(&stdout(&registration), &["complete ", "OSTLER_COMPLETE"]);
}

#[test]
fn a_name_that_nobody_has_is_told_with_the_one_that_was_meant() {
    let host = start("");
    for (method, expected) in [
        (
            "routeguide.RouteGuide/GetFeatur",
            &["`routeguide.RouteGuide` has no method `GetFeatur`", "did you mean `GetFeature`?"][..],
        ),
        (
            "routeguide.RouteGuid.GetFeature",
            &["no service `routeguide.RouteGuid`", "did you mean `routeguide.RouteGuide`?"],
        ),
        ("RouteGuide/GetFeature", &["no service `RouteGuide`", "did you mean `routeguide.RouteGuide`?"]),
        ("routeguide.RouteGuide", &["is a service", "write `routeguide.RouteGuide/GetFeature`"]),
        ("nonsense", &["no service `nonsense`", "services: grpc.health.v1.Health, "]),
    ] {
        has(&failure(2, &call(host.address(), &[method, "{}"])), expected);
    }
}

#[test]
fn json_that_does_not_fit_is_told_with_its_place() {
    let host = start("");
    for (method, json, expected) in [
        ("GetFeature", "{\"latitude\": 1", &["the JSON breaks off", "the argument:1:14"][..]),
        ("GetFeature", "{\n  \"latitude\" 1\n}", &["this is not JSON", "the argument:2:14"]),
        ("GetFeature", "{\"latitude\": \"north\"}", &["this is no routeguide.Point", "the argument:1:14"]),
        ("GetFeature", "{\"latitude\": 3000000000}", &["this is no routeguide.Point", "the argument:1:14"]),
        ("GetFeature", "{} {}", &["takes one message, and this is a second", "the argument:1:4"]),
        (
            "ListFeatures",
            "{\n  \"lo\": { \"latitud\": 1 }\n}",
            &[
                "`routeguide.Point` has no field `latitud`",
                "the argument:2:11",
                "^^^^^^^^^ unknown field",
                "at lo",
                "did you mean `latitude`?",
                "fields: latitude, longitude",
            ],
        ),
    ] {
        let words = failure(2, &call(host.address(), &[&format!("routeguide.RouteGuide/{method}"), json]));
        has(&words, expected);
    }
    let words = failure(2, &call(host.address(), &["routeguide.RouteGuide/GetFeature", "{}", "-H", "x-bin: %"]));
    has(&words, &["the value of `x-bin` is not base64"]);
    has(&failure(2, &call(host.address(), &["a.B/C", "{}", "-H", "novalue"])), &["write it as 'name: value'"]);
}

#[test]
fn a_message_that_is_none_cancels_the_stream_it_is_in() {
    let host = start("");
    let mut command = Command::new(binary());
    command.args(["call", "--address", host.address(), "routeguide.RouteGuide/RecordRoute"]);
    let output = run_with(&mut command, "{\"latitude\": 1}\n{\"latitude\": 2}\n{\"altitude\": 3}\n");
    has(&failure(2, &output), &["`routeguide.Point` has no field `altitude`", "stdin:3:2"]);
    assert_eq!(output.stdout, b"", "what came before it is no route");
}

#[test]
fn a_host_that_is_not_there_is_told() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    has(&failure(2, &call(&nobody, &["a.B/C", "{}"])), &["cannot reach", &nobody]);
    has(&failure(2, &client("list", &nobody, &[])), &["cannot reach", &nobody]);
    assert_eq!(ostler(&["call"]).status.code(), Some(2), "wrong usage");
}

#[test]
fn a_failed_call_is_told_by_code_message_and_details() {
    let host = start("services: { routeguide.RouteGuide: { handler: { route_guide: { coordinates: strict } } } }\n");
    let words = failure(3, &call(host.address(), &["routeguide.RouteGuide/GetFeature", "{\"latitude\": 2000000000}"]));
    has(
        &words,
        &[
            "error: INVALID_ARGUMENT: latitude: ",
            "\ngoogle.rpc.BadRequest: {\"fieldViolations\":[{\"field\":\"latitude\",",
        ],
    );
}

#[test]
fn a_host_without_reflection_is_told() {
    let host = start("reflection: false\n");
    let words = failure(2, &call(host.address(), &["routeguide.RouteGuide/GetFeature", "{}"]));
    has(&words, &["it has no server reflection", "reflection: false"]);
}
