//! Schemas that come from another server: learnt as it starts, asked for again,
//! and kept where that server goes away.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ostler::host::Schema;

use crate::support::authority::{Authority, HOST, Pair};
use crate::support::client::channel;
use crate::support::tools::{script, tool};
use crate::support::walk::Reflection;
use crate::support::{Ostler, PATIENCE, Starter, stdout, wait};
use crate::third_party::hello_host;

fn proto(methods: &[&str]) -> String {
    let methods: String = methods.iter().map(|name| format!("rpc {name}(M) returns (M);")).collect();
    format!("syntax = \"proto3\"; package p; message M {{ string text = 1; }} service S {{ {methods} }}")
}

fn upstream(methods: &[&str]) -> Ostler {
    let yaml = "reload: { watch: false }\nservices: { p.S: { schema: s.proto, handler: mirror } }\n";
    Starter::default().program(hello_host()).file("s.proto", &proto(methods)).start(yaml)
}

/// A host whose schema is another's; what it learns is applied soon.
fn yaml(address: &str, more: &str) -> String {
    format!(
        "reload: {{ settle: 20ms }}\nservices: {{ p.S: {{ schema: {{ reflect: \"http://{address}\"{more} }}, handler: mirror }} }}\n"
    )
}

fn start(yaml: &str) -> Ostler {
    Starter::default().program(hello_host()).start(yaml)
}

async fn knows(host: &Ostler, symbol: &str) -> bool {
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let mut reflection = Reflection::open(&channel(host.address()).await, "v1").await.unwrap();
    reflection.files(MessageRequest::FileContainingSymbol(symbol.to_owned())).await.is_ok()
}

#[tokio::test]
async fn what_the_server_says_anew_is_applied_and_what_it_says_again_is_not() {
    let there = upstream(&["Turn"]);
    let host = start(&yaml(there.address(), ", refresh: 100ms"));
    assert!(knows(&host, "p.S.Turn").await && !knows(&host, "p.S.Twist").await);
    let mark = host.mark();
    std::fs::write(there.folder().join("s.proto"), proto(&["Turn", "Twist"])).unwrap();
    assert!(there.reload("reload: { watch: false }\nservices: { p.S: { schema: s.proto, handler: mirror } }\n"));
    assert_eq!(host.wait_for(mark, "reloaded")["generation"], 2);
    assert!(knows(&host, "p.S.Twist").await);
    // Asked many times since, it has said nothing new.
    let mark = host.mark();
    drop(there);
    host.wait_for(mark, "the schema stays as it was");
    assert!(knows(&host, "p.S.Twist").await);
    let told = host.log();
    assert_eq!(told.matches("\"reloaded\"").count(), 1, "{told}");
    // Away it is told of once, however often it is asked.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(host.log().matches("the schema stays as it was").count(), 1);
}

#[tokio::test]
async fn a_reload_that_found_nobody_there_misses_nothing_later() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("there.sock").display());
    let there = |methods: &[&str]| {
        let yaml = format!("listen: \"{socket}\"\nservices: {{ p.S: {{ schema: s.proto, handler: mirror }} }}\n");
        Starter::default().program(hello_host()).file("s.proto", &proto(methods)).start(&yaml)
    };
    let yaml = yaml("", ", refresh: 100ms").replace("http://", &socket);
    let first = there(&["Turn"]);
    let host = start(&yaml);
    drop(first);
    assert!(!host.reload(&yaml), "nobody is there");
    let mark = host.mark();
    let _second = there(&["Turn", "Twist"]);
    host.wait_for(mark, "reloaded");
    assert!(knows(&host, "p.S.Twist").await);
}

#[tokio::test]
async fn without_refresh_it_is_asked_at_each_reload() {
    let there = upstream(&["Turn"]);
    let yaml = yaml(there.address(), "");
    let host = start(&yaml);
    std::fs::write(there.folder().join("s.proto"), proto(&["Turn", "Twist"])).unwrap();
    assert!(there.reload("reload: { watch: false }\nservices: { p.S: { schema: s.proto, handler: mirror } }\n"));
    assert!(!knows(&host, "p.S.Twist").await);
    assert!(host.reload(&yaml));
    assert!(knows(&host, "p.S.Twist").await);
    // Away when it is needed, it is a problem at the setting, and nothing changes.
    drop(there);
    let mark = host.mark();
    assert!(!host.reload(&yaml));
    let line = host.wait_for(mark, "cannot be learnt from");
    assert!(line["message"].as_str().unwrap().contains("ostler.yaml:3:39"), "{line}");
    assert!(knows(&host, "p.S.Twist").await);
}

#[test]
fn a_service_that_the_server_does_not_have_is_told_with_those_it_has() {
    let there = upstream(&["Turn"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    let text = yaml(there.address(), "").replace("p.S:", "p.T:");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(hello_host()).arg("check").arg(&file).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    for words in ["`p.T` is cannot be learnt", "it has no such service", "did you mean `p.S`?", "ostler.yaml:2:"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[tokio::test]
async fn a_server_of_v1alpha_alone_is_asked_in_its_own_words() {
    let Some(python) = tool("PYTHON") else { return };
    let mut server =
        script(python, "python/serve.py", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = format!("http://{}", address.trim());
    let schema = Schema::reflected(&address.parse().unwrap(), "grpc.health.v1.Health", PATIENCE).await.unwrap();
    assert!(schema.service("grpc.health.v1.Health").unwrap().methods().any(|method| method.name() == "Watch"));
    drop(server.stdin.take());
    assert!(wait(&mut server).success());
    let told =
        Schema::reflected(&address.parse().unwrap(), "grpc.health.v1.Health", PATIENCE).await.unwrap_err().words();
    assert!(told.contains("cannot be learnt from http://127.0.0.1:"), "{told}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let limit = Duration::from_millis(300);
    let begun = Instant::now();
    let told = Schema::reflected(&address.parse().unwrap(), "p.S", limit).await.unwrap_err().words();
    assert!(told.contains("no connection within 300ms"), "{told}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn an_encrypted_server_is_known_by_the_system_s_authorities() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let authority = Authority::new("one");
    let Pair { certificate, key } = authority.pair(HOST, 1);
    let there = Starter::default()
        .program(hello_host())
        .file("s.proto", &proto(&["Turn"]))
        .file("server.pem", &certificate)
        .file("server.key", &key)
        .start(
            "tls: { certificate: server.pem, key: server.key }\nservices: { p.S: { schema: s.proto, handler: mirror } }\n",
        );
    let yaml = yaml(there.address(), "").replace("http:", "https:");
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ca.pem");
    std::fs::write(&roots, authority.pem()).unwrap();
    let host = Starter::default().program(hello_host()).env("SSL_CERT_FILE", roots.to_str().unwrap()).start(&yaml);
    let listed = Command::new(grpcurl).args(["-plaintext", host.address(), "list", "p.S"]).output().unwrap();
    assert_eq!(stdout(&listed), "p.S.Turn\n");
}
