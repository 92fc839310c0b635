//! The examples of docs/examples, each run as it lies there.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::tools::{run_with, tool};
use crate::support::{Ostler, Starter, binary, project, start, stdout};

/// An example's configuration, with paths that hold anywhere.
pub fn yaml(name: &str) -> String {
    let text = std::fs::read_to_string(project().join("docs/examples").join(name).join("ostler.yaml")).unwrap();
    text.replace("../../../", &format!("{}/", project().display()))
}

/// An example, started with the files beside it.
pub fn example(name: &str) -> Ostler {
    started(name, &yaml(name))
}

/// The same, with this for its configuration.
fn started(name: &str, yaml: &str) -> Ostler {
    let mut starter = Starter::default();
    for entry in std::fs::read_dir(project().join("docs/examples").join(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|file| file != "ostler.yaml") && path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            starter = starter.file(&name, &std::fs::read_to_string(&path).unwrap());
        }
    }
    starter.start(yaml)
}

fn call(host: &Ostler, args: &[&str], input: &str) -> Output {
    run_with(Command::new(binary()).args(["call", "--address", host.address()]).args(args), input)
}

/// The answers of a call that goes well.
pub fn answers(host: &Ostler, method: &str, requests: &str) -> Vec<Value> {
    let told = stdout(&call(host, &[method, "-"], requests));
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is said of a call that fails.
pub fn refusal(host: &Ostler, method: &str, requests: &str) -> String {
    let output = call(host, &[method, "-"], requests);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_greeter_greets_by_its_rules() {
    let host = example("greeter");
    let hello = "helloworld.Greeter/SayHello";
    assert_eq!(answers(&host, hello, r#"{"name": "Bob"}"#), [json!({ "message": "Hello, Bob" })]);
    assert_eq!(answers(&host, hello, r#"{"name": "Ada"}"#), [json!({ "message": "Welcome back, Ada" })]);
    let told = refusal(&host, hello, "{}");
    for words in ["INVALID_ARGUMENT", "a name must not be empty", "BadRequest", "must not be empty"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn the_ticker_tells_prices_until_its_client_has_had_enough() {
    let host = example("ticker");
    let asked = answers(&host, "market.Ticker/Ask", r#"{"name": "HAY"} {"name": "OATS"}"#);
    assert_eq!((&asked[0]["price"], &asked[1]["price"]), (&json!(1.75), &json!(4.2)));
    assert!(asked[0]["at"].as_str().unwrap().ends_with('Z'));
    assert!(refusal(&host, "market.Ticker/Ask", r#"{"name": "OTS"}"#).contains("there is no symbol OTS"));
    let loaded =
        answers(&host, "market.Ticker/Load", r#"{"symbol": "HAY", "price": 2} {"symbol": "NAILS", "price": 9}"#);
    assert_eq!(loaded, [json!({ "count": 2 })]);
    let now = answers(&host, "market.Ticker/Ask", r#"{"name": "HAY"} {"name": "NAILS"}"#);
    assert_eq!((&now[0]["price"], &now[1]["price"]), (&json!(2.0), &json!(9.0)), "every call sees them");
    // Two ticks come within the deadline, and then it ends the call.
    let watched = call(&host, &["--deadline", "1500ms", "market.Ticker/Watch", r#"{"name": "TACK"}"#], "");
    let prices = String::from_utf8(watched.stdout).unwrap();
    assert!(prices.lines().count() >= 2, "{prices}");
    assert!(prices.starts_with(r#"{"symbol":"TACK","price":89.9,"#), "{prices}");
    assert!(String::from_utf8(watched.stderr).unwrap().contains("DEADLINE_EXCEEDED"));
}

#[test]
fn one_method_is_overridden_and_the_server_behind_answers_the_others() {
    let behind = start("");
    let text = yaml("override");
    let here = text.replace("127.0.0.1:6000", behind.address());
    assert_ne!(here, text);
    let host = started("override", &here);
    let get = "routeguide.RouteGuide/GetFeature";
    assert_eq!(answers(&host, get, "{}"), [json!({ "name": "Null Island", "location": {} })]);
    assert_eq!(answers(&host, get, r#"{"latitude": 900000000}"#)[0]["name"], "The North Pole");
    // The server would know it.
    let london = r#"{"latitude": 515083333, "longitude": -1252778}"#;
    assert!(refusal(&host, get, london).contains("NOT_FOUND: no such place yet"));
    assert_eq!(answers(&behind, get, london)[0]["name"], "London, GB");

    let around = r#"{"lo": {"latitude": 480000000, "longitude": -20000000}, "hi": {"latitude": 520000000, "longitude": 50000000}}"#;
    let listed = answers(&host, "routeguide.RouteGuide/ListFeatures", around);
    assert_eq!(listed, answers(&behind, "routeguide.RouteGuide/ListFeatures", around));
    assert!(listed.len() > 1);
    assert_eq!(answers(&host, "routeguide.RouteGuide/RecordRoute", london)[0]["pointCount"], 1);
}

#[test]
fn the_reports_are_written_in_python() {
    let Some(python) = tool("PYTHON") else { return };
    // The interpreter that has grpcio here.
    let host = started("reports", &yaml("reports").replace("python3", python.to_str().unwrap()));
    let reported = answers(&host, "reports.v1.Reports/List", r#"{"name": "a", "count": 2}"#);
    assert_eq!(reported, [json!({ "name": "a" }), json!({ "name": "a", "lines": 1 })]);
    let talked = answers(&host, "reports.v1.Reports/Talk", r#"{"name": "one"} {"name": "three"}"#);
    assert_eq!((&talked[0]["lines"], &talked[1]["lines"]), (&json!(3), &json!(5)));
}
