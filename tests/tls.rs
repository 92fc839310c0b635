//! TLS: who is let in, what is told of those who are not, and certificates
//! that change while they are in use.

mod identity;
mod limits;
mod rotation;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use limits::silent;

use crate::support::authority::{Authority, HOST, Pair};
use crate::support::client::{Client, point};
use crate::support::tools::{self, tool};
use crate::support::{Ostler, Starter, ostler, project, stdout};

pub const TLS: &str = "tls: { certificate: server.pem, key: server.key }\n";
pub const MUTUAL: &str = "tls: { certificate: server.pem, key: server.key, clients: { ca: clients.pem } }\n";

/// A host with a certificate of this authority's, which is also its clients'.
pub fn host(authority: &Authority, yaml: &str) -> Ostler {
    certified(authority).start(yaml)
}

fn certified(authority: &Authority) -> Starter {
    let Pair { certificate, key } = authority.pair(HOST, 1);
    Starter::default()
        .file("server.pem", &certificate)
        .file("server.key", &key)
        .file("ca.pem", &authority.pem())
        .file("clients.pem", &authority.pem())
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

/// What a failed command said.
fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

async fn answers(authority: &Authority, address: &str) {
    let mut client = Client::connect_tls(address, authority.trusted(None)).await.unwrap();
    assert_eq!(client.get_feature(point(515083333, -1252778)).await.unwrap().name, "London, GB");
}

#[test]
fn grpcurl_knows_the_host_by_its_authority() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let host = host(&Authority::new("one"), TLS);
    let ca = host.folder().join("ca.pem");
    let list = |flags: &[&str]| run(&grpcurl, &[flags, &["-max-time", "20", host.address(), "list"]].concat());
    let known = ["-cacert", ca.to_str().unwrap(), "-authority", HOST];
    assert!(stdout(&list(&known)).contains("routeguide.RouteGuide"));
    assert!(stdout(&list(&["-insecure"])).contains("routeguide.RouteGuide"));
    assert!(failure(&list(&[])).contains("certificate"), "its authority is nobody a machine knows");
    failure(&list(&["-plaintext", "-connect-timeout", "3"]));
}

#[test]
fn a_client_shows_a_certificate_of_the_right_authority_or_is_refused() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let authority = Authority::new("one");
    let host = host(&authority, MUTUAL);
    let path = |name: &str| host.folder().join(name).to_str().unwrap().to_owned();
    authority.pair("client", 2).write(host.folder(), "client");
    Authority::new("two").pair("client", 3).write(host.folder(), "stranger");
    let list = |name: Option<&str>| {
        let (ca, address) = (path("ca.pem"), host.address());
        let mut command = Command::new(&grpcurl);
        command.args(["-cacert", &ca, "-authority", HOST, "-connect-timeout", "5"]);
        if let Some(name) = name {
            command.args(["-cert", &path(&format!("{name}.pem")), "-key", &path(&format!("{name}.key"))]);
        }
        command.args([address, "list"]).output().unwrap()
    };
    assert!(stdout(&list(Some("client"))).contains("routeguide.RouteGuide"));
    // Go's client keeps a certificate to itself that the host's authorities have not made.
    for refused in [None, Some("stranger")] {
        let told = failure(&list(refused));
        assert!(told.contains("certificate required"), "{told}");
    }
    assert!(stdout(&list(Some("client"))).contains("routeguide.RouteGuide"));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_welcome_where_none_is_required() {
    let authority = Authority::new("one");
    let host = host(&authority, &MUTUAL.replace("clients.pem", "clients.pem, require: false"));
    answers(&authority, host.address()).await;
    let shown = authority.pair("client", 2);
    assert!(Client::connect_tls(host.address(), authority.trusted(Some(&shown))).await.is_ok());
    let strange = Authority::new("two").pair("client", 2);
    let mut client = Client::connect_tls(host.address(), authority.trusted(Some(&strange))).await;
    let refused = match &mut client {
        // TLS 1.3's client is done before its certificate is looked at.
        Ok(client) => client.get_feature(point(0, 0)).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "what is shown is checked");
}

#[test]
fn probes_know_the_host_by_its_authority() {
    let authority = Authority::new("one");
    let host = host(&authority, MUTUAL);
    let (certificate, key) = authority.pair("client", 2).write(host.folder(), "client");
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let ca = host.folder().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let probe = |flags: &[&str]| ostler(&[&["probe", host.address(), "--timeout", "10s"], flags].concat());
    let known = ["--tls", "--ca", ca, "--name", HOST, "--certificate", certificate, "--key", key];
    assert_eq!(stdout(&probe(&known)), "status: SERVING\n");
    let by_address = ["--tls", "--ca", ca, "--certificate", certificate, "--key", key];
    assert_eq!(stdout(&probe(&by_address)), "status: SERVING\n", "its address is in the certificate too");
    let another = ["--tls", "--ca", ca, "--name", "another.test", "--certificate", certificate, "--key", key];
    assert_eq!(probe(&another).status.code(), Some(2));
    // Where the client learns of a refusal only when it speaks, it is the call that fails.
    for flags in [&["--tls", "--ca", ca, "--name", HOST][..], &[]] {
        assert!([Some(2), Some(3)].contains(&probe(flags).status.code()), "{flags:?}");
    }
    for flags in [&["--tls"][..], &["--ca", ca], &["--tls", "--ca", ca, "--key", key]] {
        assert_eq!(probe(flags).status.code(), Some(2), "{flags:?}");
    }
    let Some(program) = tool("GRPC_HEALTH_PROBE") else { return };
    let theirs = ["-addr", host.address(), "-tls", "-tls-ca-cert", ca, "-tls-server-name", HOST];
    let mine = ["-tls-client-cert", certificate, "-tls-client-key", key];
    assert!(run(&program, &[&theirs[..], &mine].concat()).status.success());
    assert!(!run(&program, &theirs).status.success());
}

#[test]
fn python_speaks_to_it_over_tls() {
    let Some(python) = tool("PYTHON") else { return };
    let authority = Authority::new("one");
    let host = host(&authority, MUTUAL);
    let (certificate, key) = authority.pair("client", 2).write(host.folder(), "client");
    let ca = host.folder().join("ca.pem");
    let files = [ca, certificate, key].map(|path| path.to_str().unwrap().to_owned());
    let args: Vec<&str> = [host.address(), HOST].into_iter().chain(files.iter().map(String::as_str)).collect();
    let seen = stdout(&tools::script(python.clone(), "python/tls.py", &args).output().unwrap());
    assert_eq!(seen, "OK SERVING\n");
    let seen = stdout(&tools::script(python, "python/tls.py", &args[..3]).output().unwrap());
    assert_eq!(seen, "UNAVAILABLE\n", "without a certificate of its own");
}

#[test]
fn h2spec_finds_no_fault_with_what_is_within() {
    let Some(h2spec) = tool("H2SPEC") else { return };
    let host = host(&Authority::new("one"), TLS);
    let (ip, port) = host.address().split_once(':').unwrap();
    let output = run(&h2spec, &["-h", ip, "-p", port, "-t", "-k", "--strict"]);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && report.contains(", 0 failed"), "{report}");
}

#[tokio::test]
async fn who_does_not_offer_h2_is_told_so_by_an_alert() {
    let authority = Authority::new("one");
    let host = host(&authority, TLS);
    for protocols in [&[][..], &[&b"http/1.1"[..]], &[&b"h3"[..], b"spdy/3"]] {
        let refused = authority.shake(host.address(), protocols).await.unwrap_err();
        assert!(refused.to_string().contains("NoApplicationProtocol"), "{protocols:?}: {refused}");
    }
    let shaken = authority.shake(host.address(), &[b"http/1.1", b"h2"]).await.unwrap();
    assert_eq!(shaken.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    answers(&authority, host.address()).await;
}

#[tokio::test]
async fn each_protocol_at_the_other_s_port_harms_nobody() {
    let authority = Authority::new("one");
    let host =
        host(&authority, &format!("{TLS}listen: [\"127.0.0.1:0\", {{ address: \"127.0.0.1:0\", plaintext: true }}]\n"));
    let [encrypted, plain] = host.addresses() else { panic!("two addresses") };
    assert!(authority.shake(plain, &[b"h2"]).await.is_err());
    for bytes in
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 9000]]
    {
        let (told, after) = silent(encrypted, bytes);
        assert!(told.first().is_none_or(|kind| *kind == 21), "an alert if anything: {told:?}");
        assert!(after < Duration::from_secs(5), "it is not kept waiting: {after:?}");
    }
    answers(&authority, encrypted).await;
    let mut client = Client::connect(plain).await;
    assert!(client.get_feature(point(0, 0)).await.is_ok());
}

#[test]
fn a_port_for_probes_serves_health_and_nothing_else() {
    let Some(grpcurl) = tool("GRPCURL") else { return };
    let listen = "listen: [\"127.0.0.1:0\", { address: \"127.0.0.1:0\", plaintext: true, serves: health }]\n";
    let host = host(&Authority::new("one"), &format!("{listen}{MUTUAL}"));
    let probes = &host.addresses()[1];
    assert!(ostler(&["probe", probes]).status.success());
    assert!(ostler(&["probe", probes, "--service", "routeguide.RouteGuide"]).status.success());
    let proto = project().join("proto");
    let by_proto = ["-import-path", proto.to_str().unwrap(), "-proto", "routeguide/route_guide.proto", "-d", "{}"];
    for (flags, what, words) in [
        (&by_proto[..], "routeguide.RouteGuide/GetFeature", "unknown service routeguide.RouteGuide"),
        (&[], "list", "server does not support the reflection API"),
    ] {
        let told = failure(&run(&grpcurl, &[&["-plaintext"], flags, &[probes, what]].concat()));
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn a_reload_turns_encryption_on_and_off_at_the_same_socket() {
    let authority = Authority::new("one");
    let host = host(&authority, "listen: 127.0.0.1:0\n");
    let mut plain = Client::connect(host.address()).await;
    // Taken in before the reload, and not only queued.
    assert!(plain.get_feature(point(0, 0)).await.is_ok());
    assert!(host.reload(TLS));
    answers(&authority, host.address()).await;
    assert!(plain.get_feature(point(0, 0)).await.is_ok(), "a connection stays what it was");
    assert!(host.reload(&format!("{TLS}listen: {{ address: \"127.0.0.1:0\", plaintext: true }}\n")));
    assert!(Client::connect(host.address()).await.get_feature(point(0, 0)).await.is_ok());
}

#[test]
fn an_address_others_can_reach_is_fine_once_it_is_encrypted() {
    let authority = Authority::new("one");
    let host = host(&authority, &format!("listen: 0.0.0.0:0\n{TLS}"));
    assert!(host.address().starts_with("0.0.0.0:"));
    assert!(!host.reload("listen: 0.0.0.0:0\ntls: null\n"), "no encryption by another name is none");
}
