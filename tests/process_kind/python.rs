//! The example in Python: a server that knows nothing of us but its address.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{kill, lives, started, until};
use crate::support::tools::tool;
use crate::support::{Ostler, Starter, binary, ostler, project, stdout};

fn host() -> Option<Ostler> {
    let python = tool("PYTHON")?;
    let example = |name: &str| std::fs::read_to_string(project().join("docs/examples/reports").join(name)).unwrap();
    let yaml = format!(
        "services:\n  reports.v1.Reports:\n    schema: reports.proto\n    handler:\n      \
         process: {{ command: [{}, reports.py], start_within: 30s }}\n",
        python.display()
    );
    let files = Starter::default().file("reports.proto", &example("reports.proto"));
    Some(files.file("reports.py", &example("reports.py")).start(&yaml))
}

fn call(host: &Ostler, method: &str, message: &str) -> Vec<Value> {
    let called = ostler(&["call", "-a", host.address(), &format!("reports.v1.Reports/{method}"), message]);
    stdout(&called).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_service_in_python_answers_all_four_kinds() {
    let Some(host) = host() else { return };
    let pid = started(&host, 0);
    let one = call(&host, "Get", r#"{"name":"abc"}"#);
    assert_eq!(one[0]["lines"], 3);
    assert_eq!(one[0]["pid"].as_u64(), Some(u64::from(pid)));
    assert_eq!(call(&host, "List", r#"{"name":"abc","count":3}"#).len(), 3);
    assert_eq!(call(&host, "Sum", r#"{"lines":2}{"lines":40}"#)[0]["lines"], 42);

    let mut talk = Command::new(binary())
        .args(["call", "-a", host.address(), "reports.v1.Reports/Talk", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut asks, mut reports) = (talk.stdin.take().unwrap(), BufReader::new(talk.stdout.take().unwrap()).lines());
    for name in ["ping", "pong!"] {
        writeln!(asks, "{{\"name\":\"{name}\"}}").unwrap();
        let report: Value = serde_json::from_str(&reports.next().unwrap().unwrap()).unwrap();
        assert_eq!(report["lines"], name.len(), "each answer comes before the next question");
    }
    drop(asks);
    assert!(talk.wait().unwrap().success());
    assert_eq!(host.stop().code(), Some(0));
    assert!(!lives(pid));
}

#[test]
fn a_service_in_python_that_is_killed_comes_back() {
    let Some(host) = host() else { return };
    let serving = || ostler(&["probe", host.address(), "--service", "reports.v1.Reports"]).status.code();
    assert_eq!(serving(), Some(0));
    let mark = host.mark();
    kill("KILL", started(&host, 0));
    until("health says so", || serving() == Some(4));
    until("it is back", || serving() == Some(0));
    let pid = started(&host, mark);
    assert_eq!(call(&host, "Get", "{}")[0]["pid"].as_u64(), Some(u64::from(pid)));
}

/// Begins to listen, and names its service when it is told to.
const LATE: &str = r#"
import os, time
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
service = health.HealthServicer()
health_pb2_grpc.add_HealthServicer_to_server(service, server)
server.add_insecure_port(os.environ["OSTLER_LISTEN"])
server.start()
while not os.path.exists("named"):
    time.sleep(0.01)
service.set("reports.v1.Reports", health_pb2.HealthCheckResponse.NOT_SERVING)
server.wait_for_termination()
"#;

#[test]
fn health_that_is_named_late_is_heard() {
    let Some(python) = tool("PYTHON") else { return };
    let proto = std::fs::read_to_string(project().join("docs/examples/reports/reports.proto")).unwrap();
    let yaml = format!(
        "services:\n  reports.v1.Reports:\n    schema: reports.proto\n    handler:\n      \
         process: {{ command: [{}, late.py], start_within: 30s }}\n",
        python.display()
    );
    let host = Starter::default().file("reports.proto", &proto).file("late.py", LATE).start(&yaml);
    let serving = || ostler(&["probe", host.address(), "--service", "reports.v1.Reports"]).status.code();
    assert_eq!(serving(), Some(0), "as the whole of it says");
    std::fs::write(host.folder().join("named"), "").unwrap();
    until("it is told by its name", || serving() == Some(4));
}
