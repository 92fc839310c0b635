//! The real clients that need nothing but an address: each finds a method by
//! reflection, and calls it.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::binary;
use super::tools::{script, tool};

/// A client that makes one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Caller {
    Ostler,
    Grpcurl,
    Buf,
    Python,
    /// grpc-reflection-js.
    Node,
}

impl Caller {
    pub const ALL: [Caller; 5] = [Caller::Ostler, Caller::Grpcurl, Caller::Buf, Caller::Python, Caller::Node];

    /// The one answer to one request, as JSON, or what the client says instead.
    /// `None` where this machine does not have it.
    pub fn call(self, address: &str, method: &str, request: &Value) -> Option<Result<Value, String>> {
        let request = &request.to_string();
        let url = format!("http://{address}/{method}");
        let mut command = match self {
            Caller::Ostler => of(binary().into(), &["call", "--address", address, method, request]),
            Caller::Grpcurl => of(tool("GRPCURL")?, &["-plaintext", "-d", request, address, method]),
            Caller::Buf => {
                let plain = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", request, &url];
                of(tool("BUF")?, &plain)
            }
            Caller::Python => script(tool("PYTHON")?, "python/reflected.py", &[address, method, request]),
            Caller::Node => {
                let modules = tool("NODE_TOOLS")?;
                let mut node = script("node".into(), "node/reflected.js", &[address, method, request]);
                node.env("NODE_TOOLS", modules);
                node
            }
        };
        let output = command.output().unwrap();
        if !output.status.success() {
            return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{self:?}: {output:?}"));
        Some(Ok(match self {
            Caller::Python | Caller::Node => told["answer"].clone(),
            _ => told,
        }))
    }
}

fn of(program: PathBuf, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Starts grpcui over an address, and ends it as soon as it serves. What it
/// serves is made of everything that the host describes, before it says where:
/// one message that it cannot understand, and it says that instead.
pub fn grpcui(address: &str) -> Option<Result<(), String>> {
    let mut started = Command::new(tool("GRPCUI")?)
        .args(["-plaintext", "-bind", "127.0.0.1", "-port", "0", address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(started.stdout.take().unwrap()).lines().next();
    let _ = started.kill();
    let _ = started.wait();
    if line.is_some_and(|line| line.unwrap().contains("available at http://127.0.0.1:")) {
        return Some(Ok(()));
    }
    let mut words = String::new();
    started.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    Some(Err(words))
}

/// A client cannot do this, and says so in these words: on the day that it can,
/// this fails.
pub fn cannot<T: Debug>(words: &str, result: Result<T, String>) {
    let told = result.expect_err("it has learnt to: the pin can go");
    assert!(told.contains(words), "{words}: {told}");
}
