//! Bad configurations: each is refused wherever it is met, in the words that
//! stand beside it in `tests/config/`, and nothing that serves is touched.
//!
//! `NAME.yaml` is named for its fault, and `NAME.expected` is what an operator
//! reads. `UPDATE=1 cargo test config::` writes the expected files anew: read
//! them as an operator would before they are committed.

mod described;
mod monsters;
mod mutated;
mod told;
mod variables;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::client::{Client, point};
use crate::support::{Ostler, Starter, binary, ostler, project};

/// What the bad files find in the environment. The values are canaries: none
/// may ever be printed.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("CANARY", "s3cr3t-canary-value"),
    ("CANARY_ADDRESS", "0.0.0.0:61234"),
    ("CANARY_EMPTY", ""),
    ("CANARY_NUMBER", "31415926"),
    ("CANARY_QUOTED", "s3\"c\\r3t"),
];
/// The folders of what the bad files name.
const BESIDE: [&str; 4] = ["certificates", "features", "schemas", "tables"];
/// Parts of those values, and of `features/secret.txt`, that would tell them.
const CANARIES: [&str; 5] = ["s3cr3t", "canary-", "0.0.0.0:61234", "31415926", "s3\"c"];

fn folder() -> PathBuf {
    project().join("tests/config")
}

/// Runs the binary beside the bad files, so that messages name them shortly.
fn run(args: &[&str]) -> Output {
    Command::new(binary())
        .args(args)
        .current_dir(folder())
        .envs(ENVIRONMENT)
        .env_remove("OSTLER_TEST_UNSET")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The names of the bad files, in order.
fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn expected(name: &str) -> String {
    let path = folder().join(format!("{name}.expected"));
    std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is missing: see config.rs", path.display()))
}

#[test]
fn every_bad_file_is_refused_in_the_words_beside_it() {
    let names = names();
    assert!(names.len() > 150, "the bad files are all there");
    let mut wrong = Vec::new();
    for name in &names {
        let output = run(&["check", &format!("{name}.yaml")]);
        assert_eq!(output.status.code(), Some(78), "{name}");
        assert_eq!(text(&output.stdout), "", "{name}");
        let told = text(&output.stderr);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(folder().join(format!("{name}.expected")), &told).unwrap();
        }
        if told != expected(name) {
            wrong.push(format!("--- {name} was expected to say\n{}\n--- and says\n{told}", expected(name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_bad_file_starts_a_host() {
    for name in names() {
        let output = run(&["run", &format!("{name}.yaml")]);
        assert_eq!(output.status.code(), Some(78), "{name}");
        // Word for word: not one line of serving, nor of a socket.
        assert_eq!(text(&output.stderr), expected(&name), "{name}");
    }
}

#[test]
fn a_bad_file_is_refused_before_anything_is_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen: {}\n", taken.local_addr().unwrap());
    for fault in [
        "reflection: no\n",
        "services: { a.B: { handler: nothing } }\n",
        "services: { a.B: { handler: route_guide } }\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ostler.yaml");
        std::fs::write(&file, format!("{listen}{fault}")).unwrap();
        let output = ostler(&["run", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{fault}");
        let told = text(&output.stderr);
        assert!(!told.contains("cannot listen") && told.contains("ostler.yaml:2:"), "{told}");
    }
}

/// A host that is reloaded only when asked.
fn running() -> Ostler {
    let mut starter = Starter::default();
    for (name, value) in ENVIRONMENT {
        starter = starter.env(name, value);
    }
    starter.start("reload: { watch: false }\n")
}

/// Puts bytes in the place of a host's file, as they are, and asks for a reload.
fn put(host: &Ostler, bytes: &[u8]) {
    let next = host.folder().join("next.yaml");
    std::fs::write(&next, bytes).unwrap();
    std::fs::rename(next, host.file()).unwrap();
    host.signal("HUP");
}

/// Waits until the reload is refused and the first generation still serves.
async fn refused(host: &Ostler, mark: usize, client: &mut Client, name: &str) {
    let line = host.wait_for(mark, "refused");
    assert_eq!(line["generation"], 1, "{name}");
    client.get_feature(point(0, 0)).await.unwrap_or_else(|status| panic!("{name}: {status}"));
}

#[tokio::test]
async fn a_running_host_refuses_every_bad_file_and_serves_on() {
    let host = running();
    for beside in BESIDE {
        std::fs::create_dir(host.folder().join(beside)).unwrap();
        for entry in std::fs::read_dir(folder().join(beside)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, host.folder().join(beside).join(path.file_name().unwrap())).unwrap();
        }
    }
    let mut client = Client::connect(host.address()).await;
    for name in names() {
        let mark = host.mark();
        put(&host, &std::fs::read(folder().join(format!("{name}.yaml"))).unwrap());
        refused(&host, mark, &mut client, &name).await;
        for (place, message) in places_and_messages(&expected(&name)) {
            // The same words at the same place, of the files as this host names them.
            let place = place.replace(&format!("{name}.yaml"), host.file().to_str().unwrap());
            let mut line = format!("{place}: {message}");
            for beside in BESIDE {
                line = line.replace(&format!("./{beside}"), host.folder().join(beside).to_str().unwrap());
            }
            host.wait_for(mark, &line);
        }
    }
    for canary in CANARIES {
        assert!(!host.log().contains(canary), "{canary} is in the log");
    }
    assert!(host.reload("log: { level: info }\n"), "a good file is applied after all of them");
}

/// `file:line:column` and message of each problem of a drawing.
fn places_and_messages(drawn: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut message = None;
    for line in drawn.lines() {
        if let Some(words) = line.strip_prefix("error: ") {
            message = Some(words.to_owned());
        } else if let Some(place) = line.trim_start().strip_prefix("--> ") {
            found.push((place.to_owned(), message.take().unwrap()));
        }
    }
    assert!(!found.is_empty() && message.is_none(), "every problem has its place:\n{drawn}");
    found
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (path, words) in [(folder.path().join("nowhere.yaml"), "No such file"), (folder.path().to_owned(), "directory")]
    {
        for verb in ["check", "run", "show"] {
            let output = ostler(&[verb, path.to_str().unwrap()]);
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{verb}: {told}");
            assert!(told.contains(path.to_str().unwrap()) && told.contains(words), "{verb}: {told}");
        }
    }
}

/// A file that asks for a port somebody has, in the form of a template.
fn with_port(listen: &str, port: &TcpListener, folder: &Path) -> PathBuf {
    let file = folder.join("ostler.yaml");
    let listen = listen.replace("TAKEN", &port.local_addr().unwrap().to_string());
    std::fs::write(&file, format!("{listen}\nservices: {{}}\n")).unwrap();
    file
}

#[test]
fn a_port_in_use_is_told_at_its_place() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (listen, place) in [
        ("listen: TAKEN", ":1:9"),
        ("listen: [127.0.0.1:0, TAKEN]", ":1:23"),
        ("listen:\n  - TAKEN", ":2:5"),
        ("listen:\n  - address: 127.0.0.1:0\n  - { address: TAKEN, plaintext: false }", ":3:5"),
    ] {
        let file = with_port(listen, &taken, folder.path());
        let file = file.to_str().unwrap();
        let output = ostler(&["run", file]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains(&format!("{file}{place}\n")) && told.contains("it is in use"), "{listen}: {told}");
        let checked = ostler(&["check", file]);
        assert!(checked.status.success(), "a check binds nothing: {}", text(&checked.stderr));
    }
}

#[tokio::test]
async fn a_port_in_use_is_refused_by_a_running_host() {
    let host = running();
    let mut client = Client::connect(host.address()).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mark = host.mark();
    put(&host, format!("listen: {}\n", taken.local_addr().unwrap()).as_bytes());
    refused(&host, mark, &mut client, "a port in use").await;
    host.wait_for(mark, "it is in use");
}

#[test]
fn no_expected_words_tell_a_canary() {
    for name in names() {
        for canary in CANARIES {
            assert!(!expected(&name).contains(canary), "{name} tells {canary}");
        }
    }
}
