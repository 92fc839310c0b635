//! A command that does not come to serve is a fault of the configuration, told
//! with its place, its end and its last words.

use super::{CHILD, DRAIN, SERVICE, itself, of_folder, shell, until, yaml};
use crate::support::{Starter, binary};

/// What `check` says of a configuration, which it refuses.
fn refusal(yaml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("child.yaml"), CHILD).unwrap();
    std::fs::write(folder.path().join("empty.yaml"), "listen: \"${OSTLER_LISTEN}\"\nservices: {}\n").unwrap();
    std::fs::write(
        folder.path().join("other.proto"),
        "syntax = \"proto3\"; package routeguide; message M {} \
         service RouteGuide { rpc GetFeature(M) returns (M); rpc Fly(M) returns (M); }",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("fly.proto"),
        "syntax = \"proto3\"; package routeguide; message M {} service RouteGuide { rpc Fly(M) returns (M); }",
    )
    .unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, yaml).unwrap();
    let output = std::process::Command::new(binary()).arg("check").arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    told
}

#[test]
fn a_command_that_does_not_come_to_serve_is_told_with_its_last_words() {
    for (command, more, words) in [
        (shell("echo one; echo no database >&2; exit 3"), "", &["exited with code 3", "no database", "one"][..]),
        (shell("kill -9 $$"), "", &["was ended by signal 9", "it wrote nothing"]),
        (shell("echo waiting; sleep 60"), ", start_within: 300ms", &["did not serve within 300ms", "waiting"]),
        ("[no-such-program]".to_owned(), "", &["`no-such-program` cannot be started", "No such file"]),
        (shell("exec $OSTLER run empty.yaml"), "", &["does not describe `routeguide.RouteGuide`"]),
    ] {
        let told = refusal(&yaml(&command, more));
        assert!(told.contains("ostler.yaml:4:"), "it has its place: {told}");
        for word in words {
            assert!(told.contains(word), "{word:?} is not in\n{told}");
        }
    }
}

#[test]
fn what_the_schema_says_and_the_process_does_not_is_told_by_name() {
    let with =
        |schema: &str| yaml(&itself(), "").replace("    handler:", &format!("    schema: {schema}\n    handler:"));
    let told = refusal(&with("fly.proto"));
    assert!(told.contains("the process has no method `Fly`"), "{told}");
    let told = refusal(&with("other.proto"));
    assert!(told.contains("another method `GetFeature`") && told.contains("(routeguide.Point)"), "{told}");
}

#[test]
fn one_thing_says_where_the_service_is() {
    for (settings, words) in [
        ("{}", "needs `command`"),
        ("{ command: [a], socket: b }", "a second one"),
        ("{ socket: a, sockets: b }", "a second one"),
        ("{ command: [''] }", "the command has no name"),
        ("{ command: [a], env: { OSTLER_LISTEN: x } }", "this variable is ours"),
        ("{ command: [a], env: { 'A=B': x } }", "has no `=`"),
        ("{ socket: a, env: { A: x } }", "for a command that we start"),
        ("{ socket: a, restart: always }", "`restart` is for a command that we start"),
        ("{ command: [a], restart: sometimes }", "sometimes"),
        ("{ socket: not-there }", "needs `schema`"),
        ("{ sockets: not-there }", "needs `schema`"),
    ] {
        let told = refusal(&format!("services:\n  {SERVICE}:\n    handler:\n      process: {settings}\n{DRAIN}"));
        assert!(told.contains(words) && told.contains("ostler.yaml:"), "{settings}: {told}");
    }
}

#[test]
fn a_secret_of_its_environment_is_not_shown() {
    const SECRET: &str = "canary-of-the-environment";
    let yaml = yaml(&shell("echo $TOKEN >&2; exit 3"), ", env: { TOKEN: '${THE_TOKEN}' }");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, yaml).unwrap();
    for verb in ["check", "show"] {
        let output =
            std::process::Command::new(binary()).arg(verb).arg(&file).env("THE_TOKEN", SECRET).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&told).contains(SECRET), "{}", String::from_utf8_lossy(&told));
    }
}

#[test]
fn a_command_gets_its_environment_and_nothing_else_of_ours() {
    let command = shell("env > env; ls -l /proc/$$/fd > open; exec $OSTLER run child.yaml");
    let host = Starter::default().file("child.yaml", CHILD).env("NOTIFY_SOCKET", "/nowhere").start(&yaml(&command, ""));
    let env = std::fs::read_to_string(host.folder().join("env")).unwrap();
    assert!(env.contains("OSTLER_LISTEN=unix:/") && !env.contains("NOTIFY_SOCKET"), "{env}");
    let open = std::fs::read_to_string(host.folder().join("open")).unwrap();
    assert!(open.contains("pipe:") && !open.contains("socket:"), "no socket of ours is its: {open}");
    let socket = env.lines().find_map(|line| line.strip_prefix("OSTLER_LISTEN=unix:")).unwrap();
    let folder = std::path::Path::new(socket).parent().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let folder = folder.to_owned();
    assert_eq!(of_folder(&host).len(), 2, "the guard and the command");
    assert_eq!(host.stop().code(), Some(0));
    until("its socket's folder goes", || !folder.exists());
}
