//! Real clients, written by nobody here: each lists, describes where it can,
//! and calls all four kinds of RPC against the running binary.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::tools::{run_with, script, tool};
use crate::support::{Ostler, Starter, ostler, start, stdout};

const SERVICES: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "routeguide.RouteGuide",
];

/// Of the embedded places.
const LONDON: &str = r#"{"latitude": 515083333, "longitude": -1252778}"#;
const AROUND_LONDON: &str =
    r#"{"lo": {"latitude": 480000000, "longitude": -20000000}, "hi": {"latitude": 520000000, "longitude": 50000000}}"#;
const FOUR_POINTS: &str = r#"{"latitude": 10000000, "longitude": 10000000}
{"latitude": 20000000, "longitude": 20000000}
{"latitude": 30000000, "longitude": 30000000}
{"latitude": 40000000, "longitude": 40000000}
"#;
const NOTES: &str = r#"{"location": {"latitude": 1}, "message": "one"}
{"location": {"latitude": 2}, "message": "elsewhere"}
{"location": {"latitude": 1}, "message": "two"}
"#;

/// A sequence of JSON values, as the tools print streams.
fn values(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .map(|value| value.unwrap_or_else(|error| panic!("{error}: {text}")))
        .collect()
}

fn names(values: &[Value]) -> Vec<&str> {
    values.iter().map(|value| value["name"].as_str().unwrap()).collect()
}

#[test]
fn grpcurl_finds_and_calls_everything() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let host = start("");
    let run = |args: &[&str]| Command::new(&grpcurl).arg("-plaintext").args(args).output().unwrap();
    let address = host.address();

    assert_eq!(stdout(&run(&[address, "list"])).lines().collect::<Vec<_>>(), SERVICES);
    let methods = stdout(&run(&[address, "list", "routeguide.RouteGuide"]));
    assert_eq!(methods.lines().count(), 4, "{methods}");
    let described = stdout(&run(&[address, "describe", "routeguide.RouteGuide"]));
    assert!(
        described.contains("rpc RouteChat ( stream .routeguide.RouteNote ) returns ( stream .routeguide.RouteNote );")
    );
    assert!(described.contains("// The feature at exactly this point."), "comments are shown: {described}");
    for symbol in
        ["routeguide.Point", "routeguide.RouteGuide.GetFeature", "grpc.health.v1.HealthCheckResponse.ServingStatus"]
    {
        stdout(&run(&[address, "describe", symbol]));
    }

    let london = values(&stdout(&run(&["-d", LONDON, address, "routeguide.RouteGuide/GetFeature"])));
    assert_eq!(london, [json!({"name": "London, GB", "location": {"latitude": 515083333, "longitude": -1252778}})]);
    let listed = values(&stdout(&run(&["-d", AROUND_LONDON, address, "routeguide.RouteGuide/ListFeatures"])));
    assert_eq!(names(&listed), ["Brussels, BE", "London, GB", "Paris, FR"]);
    let piped = |method: &str, input: &str| {
        let mut command = Command::new(&grpcurl);
        values(&stdout(&run_with(command.args(["-plaintext", "-d", "@", address, method]), input)))
    };
    let summary = piped("routeguide.RouteGuide/RecordRoute", FOUR_POINTS);
    assert_eq!(summary, [json!({"pointCount": 4, "distance": 471508})]);
    let replies = piped("routeguide.RouteGuide/RouteChat", NOTES);
    assert_eq!(replies, [json!({"location": {"latitude": 1}, "message": "one"})]);

    let failed = run(&[address, "routeguide.RouteGuide/NoSuchMethod"]);
    assert!(!failed.status.success());
    let unset = run(&["-d", r#"{"service": "no.such"}"#, address, "grpc.health.v1.Health/Check"]);
    assert_eq!(unset.status.code(), Some(64 + tonic::Code::NotFound as i32));
}

#[test]
fn grpcurl_reaches_a_unix_socket() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ostler.sock");
    let _host = start(&format!("listen: \"unix:{}\"\n", socket.display()));
    let output = Command::new(grpcurl).args(["-plaintext", "-unix"]).arg(&socket).arg("list").output().unwrap();
    assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), SERVICES);
}

#[test]
fn grpc_health_probe_and_ours_agree() {
    let Some(theirs) = tool("GRPC_HEALTH_PROBE") else { return };
    let host = start("shutdown: { lame_duck: 1h }\n");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let agree = |address: &str, service: &str| {
        let their = Command::new(&theirs).args(["-addr", address, "-service", service]).output().unwrap();
        let our = ostler(&["probe", address, "--service", service]);
        assert_eq!(their.status.code(), our.status.code(), "{address} {service}: {their:?} {our:?}");
        their.status.code()
    };
    assert_eq!(agree(host.address(), ""), Some(0));
    assert_eq!(agree(host.address(), "routeguide.RouteGuide"), Some(0));
    assert_eq!(agree(host.address(), "no.such.Service"), Some(3));
    assert_eq!(agree(&nobody, ""), Some(2));
    let mark = host.mark();
    host.signal("TERM");
    host.wait_for(mark, "stopping");
    assert_eq!(agree(host.address(), ""), Some(4));
}

#[test]
fn buf_curl_finds_and_calls_everything() {
    let Some(buf) = tool("BUF") else { return };
    let host = start("");
    let url = |method: &str| format!("http://{}{method}", host.address());
    let run = |args: &[&str], input: &str| {
        let mut command = Command::new(&buf);
        command.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]).args(args);
        stdout(&run_with(&mut command, input))
    };
    for version in ["grpc-v1", "grpc-v1alpha"] {
        let services = run(&["--reflect-protocol", version, "--list-services", &url("")], "");
        assert_eq!(services.lines().collect::<Vec<_>>(), SERVICES, "{version}");
        let methods = run(&["--reflect-protocol", version, "--list-methods", &url("")], "");
        assert!(methods.contains("routeguide.RouteGuide/RouteChat"), "{methods}");
    }
    let london = values(&run(&["-d", LONDON, &url("/routeguide.RouteGuide/GetFeature")], ""));
    assert_eq!(london[0]["name"], "London, GB");
    let listed = values(&run(&["-d", AROUND_LONDON, &url("/routeguide.RouteGuide/ListFeatures")], ""));
    assert!(names(&listed).contains(&"London, GB"));
    let summary = values(&run(&["-d", "@-", &url("/routeguide.RouteGuide/RecordRoute")], FOUR_POINTS));
    assert_eq!(summary, [json!({"pointCount": 4, "distance": 471508})]);
    let replies = values(&run(&["-d", "@-", &url("/routeguide.RouteGuide/RouteChat")], NOTES));
    assert_eq!(replies, [json!({"location": {"latitude": 1}, "message": "one"})]);
}

#[test]
fn ghz_calls_all_four_kinds_without_a_failure() {
    let Some(ghz) = tool("GHZ") else { return };
    let host = start("");
    let array = |lines: &str| format!("[{}]", lines.trim().replace('\n', ","));
    let calls = [
        ("GetFeature", LONDON.to_owned()),
        ("ListFeatures", AROUND_LONDON.to_owned()),
        ("RecordRoute", array(FOUR_POINTS)),
        ("RouteChat", array(NOTES)),
    ];
    for (method, data) in calls {
        let output = Command::new(&ghz)
            .args(["--insecure", "-n", "400", "-c", "8", "--connections", "2", "-O", "json"])
            .args(["--call", &format!("routeguide.RouteGuide.{method}"), "-d", &data, host.address()])
            .output()
            .unwrap();
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["statusCodeDistribution"], json!({"OK": 400}), "{method}: {}", report["errorDistribution"]);
    }
}

/// A host of one profile over a database file.
fn hosted(profile: &str, database: &Path) -> Ostler {
    Starter::default().start(&format!(
        "services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ profile: {profile}, features: {{ file: \"{}\" }} }} }} }} }}\n",
        database.display()
    ))
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// A database with the tutorial's point, an unnamed feature inside the
/// tutorial's rectangle, and two features at one point.
fn small_database() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let entry = |name: &str, latitude: i32, longitude: i32| json!({"name": name, "location": {"latitude": latitude, "longitude": longitude}});
    let entries = json!([
        entry("Tutorial Trail", 409_146_138, -746_188_906),
        entry("", 410_000_000, -740_000_000),
        entry("", 20_000_000, 20_000_000),
        entry("Twin", 20_000_000, 20_000_000),
        entry("Far", 40_000_000, 40_000_000),
    ]);
    std::fs::write(file.path(), entries.to_string()).unwrap();
    file
}

/// The tutorial's answers by profile, from the table.
struct Row {
    profile: &'static str,
    echoes: bool,
    named_only: bool,
    counted: i32,
    distance: i32,
    sends_back: bool,
    shares: bool,
}

const ROWS: [Row; 6] = [
    Row {
        profile: "python",
        echoes: true,
        named_only: false,
        counted: 2,
        distance: 471_508,
        sends_back: false,
        shares: false,
    },
    Row {
        profile: "cpp",
        echoes: true,
        named_only: false,
        counted: 1,
        distance: 471_508,
        sends_back: false,
        shares: true,
    },
    Row {
        profile: "go",
        echoes: true,
        named_only: false,
        counted: 3,
        distance: 471_507,
        sends_back: true,
        shares: true,
    },
    Row {
        profile: "java",
        echoes: true,
        named_only: true,
        counted: 1,
        distance: 471_507,
        sends_back: false,
        shares: true,
    },
    Row {
        profile: "node",
        echoes: true,
        named_only: true,
        counted: 1,
        distance: 471_508,
        sends_back: false,
        shares: true,
    },
    Row {
        profile: "tonic",
        echoes: false,
        named_only: false,
        counted: 3,
        distance: 471_507,
        sends_back: true,
        shares: false,
    },
];

/// Holds what a tutorial client saw against the table.
fn holds(seen: &Value, row: &Row) {
    let profile = row.profile;
    assert_eq!(seen["get_feature"]["name"], "Tutorial Trail", "{profile}");
    assert_eq!(seen["unknown"]["name"], "", "{profile}");
    assert_eq!(seen["unknown"]["has_location"], row.echoes, "{profile}: an unknown point");
    let listed = if row.named_only { json!(["Tutorial Trail"]) } else { json!(["Tutorial Trail", ""]) };
    assert_eq!(seen["list"]["names"], listed, "{profile}");
    assert_eq!(seen["four_points"]["point_count"], 4, "{profile}");
    assert_eq!(seen["four_points"]["feature_count"], row.counted, "{profile}");
    assert_eq!(seen["four_points"]["distance"], row.distance, "{profile}");
    let replies: Vec<&str> =
        seen["chat"].as_array().unwrap().iter().map(|note| note["message"].as_str().unwrap()).collect();
    let expected: &[&str] = if row.sends_back {
        &[
            "First message",
            "Second message",
            "Third message",
            "First message",
            "Fourth message",
            "Third message",
            "Fifth message",
        ]
    } else {
        &["First message", "Third message"]
    };
    assert_eq!(replies, expected, "{profile}: notes on a fresh host");
}

#[test]
fn the_tutorials_python_client_sees_each_profiles_column() {
    let Some(python) = tool("PYTHON") else { return };
    let database = small_database();
    for row in ROWS {
        let host = hosted(row.profile, database.path());
        let run = |args: &[&str]| {
            let args: Vec<&str> = [host.address()].into_iter().chain(args.iter().copied()).collect();
            parsed(&script(python.clone(), "python/tutorial_client.py", &args).output().unwrap())
        };
        let seen = run(&["--unset"]);
        holds(&seen, &row);
        assert_eq!(seen["future"], seen["get_feature"]);
        assert_eq!(seen["with_call"]["code"], "OK");
        let unset = &seen["unset"];
        assert!(!unset["chat"].as_array().unwrap().is_empty(), "{}: unset points are (0,0): {unset}", row.profile);
        // What a second caller is told depends on who shares.
        let again = run(&[]);
        let first = again["chat"][0]["message"].as_str().unwrap();
        let more = again["chat"].as_array().unwrap().len() > seen["chat"].as_array().unwrap().len();
        assert_eq!(more, row.shares, "{}: {first}", row.profile);
    }
}

#[test]
fn the_tutorials_node_client_sees_the_same() {
    let Some(modules) = tool("NODE_TOOLS") else { return };
    let database = small_database();
    for row in &ROWS {
        let host = hosted(row.profile, database.path());
        let mut command = script("node".into(), "node/tutorial_client.js", &[host.address()]);
        holds(&parsed(&command.env("NODE_TOOLS", &modules).output().unwrap()), row);
    }
}

#[test]
fn the_official_databases_golden_numbers_hold() {
    let Some(python) = tool("PYTHON") else { return };
    let database = crate::support::project().join("../shared/data/route_guide_db.json");
    if !database.exists() {
        eprintln!("the official database is not beside this checkout: its golden numbers are not shown here");
        return;
    }
    let golden = [
        ("python", 100, 100, 7_494_392),
        ("cpp", 100, 64, 7_494_391),
        ("go", 100, 100, 7_494_347),
        ("java", 64, 64, 7_494_347),
        ("node", 64, 64, 7_494_392),
        ("tonic", 100, 100, 7_494_347),
    ];
    for (profile, listed, counted, distance) in golden {
        let host = hosted(profile, &database);
        let args = [host.address(), "--route", database.to_str().unwrap()];
        let seen = parsed(&script(python.clone(), "python/tutorial_client.py", &args).output().unwrap());
        assert_eq!(seen["get_feature"]["name"], "Berkshire Valley Management Area Trail, Jefferson, NJ, USA");
        assert_eq!(seen["list"]["count"], listed, "{profile}");
        let route = &seen["route"];
        assert_eq!(
            (&route["point_count"], &route["feature_count"], &route["distance"]),
            (&json!(100), &json!(counted), &json!(distance)),
            "{profile}"
        );
    }
}

/// What a client with no stubs saw of a host.
fn discovered(seen: &Value) {
    let mut services: Vec<&str> =
        seen["services"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    services.sort_unstable();
    assert_eq!(services, SERVICES);
    let kinds = json!({"GetFeature": "unary_unary", "ListFeatures": "unary_stream", "RecordRoute": "stream_unary", "RouteChat": "stream_stream"});
    assert_eq!(seen["methods"]["routeguide.RouteGuide"], kinds);
    assert_eq!(seen["knows_nobody"], false, "an unknown symbol is unknown");
    assert_eq!(seen["get_feature"]["name"], "Tutorial Trail");
    assert_eq!(seen["list"]["count"], 2);
    assert_eq!(seen["four_points"]["distance"], 471_508);
    assert_eq!(seen["chat"].as_array().unwrap().len(), 2);
}

#[test]
fn pythons_reflection_and_health_clients_need_no_stubs() {
    let Some(python) = tool("PYTHON") else { return };
    let database = small_database();
    let host = hosted("python", database.path());
    let seen = parsed(&script(python, "python/discover.py", &[host.address()]).output().unwrap());
    discovered(&seen);
    let checks = json!({"": "SERVING", "routeguide.RouteGuide": "SERVING", "no.such.Service": "NOT_FOUND"});
    assert_eq!(seen["health"]["check"], checks);
    let watch = &seen["health"]["watch"];
    assert_eq!(watch["routeguide.RouteGuide"], json!({"first": "SERVING", "open": true}));
    assert_eq!(watch["no.such.Service"], json!({"first": "SERVICE_UNKNOWN", "open": true}));
}

#[test]
fn nodes_reflection_client_needs_no_stubs() {
    let Some(modules) = tool("NODE_TOOLS") else { return };
    let database = small_database();
    let host = hosted("python", database.path());
    let mut command = script("node".into(), "node/discover.js", &[host.address()]);
    discovered(&parsed(&command.env("NODE_TOOLS", modules).output().unwrap()));
}
