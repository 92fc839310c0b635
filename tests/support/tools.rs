//! The real clients that `tests/tools/bring` brings, and how they are called.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::project;

/// A tool's path, as the test command exports it. Where a tool cannot be had on
/// this machine the caller returns, and the test command names the tool in its
/// last lines (and fails where CI=true).
pub fn tool(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        assert!(
            std::env::var_os("OSTLER_MISSING").is_some(),
            "${variable} is not set: run the suite by `tests/run`, which brings the tools"
        );
        eprintln!("{variable} is missing on this machine: this test shows nothing");
    }
    path
}

/// Runs a command with something on its standard input.
pub fn run_with(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool starts");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// A client script below `tests/tools/`, run by its interpreter.
pub fn script(interpreter: PathBuf, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(project().join("tests/tools").join(name)).args(args);
    command
}
