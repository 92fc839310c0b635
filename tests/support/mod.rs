//! A running ostler, and the means to talk to it.

#![allow(dead_code)] // each subject uses its own part

pub mod authority;
pub mod callers;
pub mod client;
pub mod measure;
pub mod tools;
pub mod walk;
pub mod wire;

use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a loaded machine; nothing waits this long that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_ostler")
}

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the binary to its end.
pub fn ostler(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary runs")
}

/// Log lines as they come, and a way to wait for one.
#[derive(Clone, Default)]
struct Log(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn push(&self, line: String) {
        self.0.0.lock().unwrap().lines.push(line);
        self.0.1.notify_all();
    }

    fn end(&self) {
        self.0.0.lock().unwrap().ended = true;
        self.0.1.notify_all();
    }

    fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// The first line from `from` on that suits, and its number.
    fn wait(&self, from: usize, suits: impl Fn(&Value) -> bool) -> (usize, Value) {
        let deadline = Instant::now() + PATIENCE;
        let mut held = self.0.0.lock().unwrap();
        loop {
            for (at, line) in held.lines.iter().enumerate().skip(from) {
                let value: Value = serde_json::from_str(line).unwrap_or(Value::String(line.clone()));
                if suits(&value) {
                    return (at, value);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !held.ended, "no such line in the log:\n{}", held.lines.join("\n"));
            held = self.0.1.wait_timeout(held, left).unwrap().0;
        }
    }
}

/// A host in a process of its own, killed when dropped.
pub struct Ostler {
    child: Child,
    log: Log,
    folder: tempfile::TempDir,
    addresses: Vec<String>,
}

/// Starts a host over a YAML text; a text without `listen` gets a port of the
/// system's choosing.
pub fn start(yaml: &str) -> Ostler {
    Starter::default().start(yaml)
}

/// A start with something special about it.
#[derive(Default)]
pub struct Starter {
    env: Vec<(String, String)>,
    files: Vec<(String, String)>,
    program: Option<PathBuf>,
    inherits: Option<OwnedFd>,
    descriptors: Option<u32>,
    stdin: Option<OwnedFd>,
}

impl Starter {
    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a file beside the configuration, or in a folder there.
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// With another host's binary.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// With a listening socket passed on as a service manager does: file
    /// descriptor 3, and the process told so by its id.
    pub fn inherits(mut self, socket: impl Into<OwnedFd>, name: &str) -> Self {
        self.inherits = Some(socket.into());
        self.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name)
    }

    /// With no more file descriptors than this.
    pub fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// With something on its standard input.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    pub fn start(self, yaml: &str) -> Ostler {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in &self.files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let file = folder.path().join("ostler.yaml");
        std::fs::write(&file, with_port(yaml)).unwrap();
        let program = self.program.as_deref().unwrap_or(Path::new(binary()));
        // What only a process can arrange for itself, before it becomes the host.
        let limit = self.descriptors.map(|most| format!("ulimit -n {most}; "));
        let first = match (&self.inherits, limit) {
            (None, None) => None,
            (None, Some(limit)) => Some(limit + r#"exec "$@""#),
            (Some(_), limit) => Some(limit.unwrap_or_default() + r#"export LISTEN_PID=$$; exec "$@" 3<&0 </dev/null"#),
        };
        let mut command = match first {
            None => Command::new(program),
            Some(first) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &first, "sh"]).arg(program);
                shell
            }
        };
        let mut child = command
            .arg("run")
            .arg(&file)
            .envs(self.env)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdin(self.inherits.or(self.stdin).map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Log::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let keep = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                keep.push(line);
            }
            keep.end();
        });
        let (_, serving) = log.wait(0, |line| line["message"] == "serving");
        let addresses = serving["addresses"].as_str().unwrap().split(' ').map(str::to_owned).collect();
        Ostler { child, log, folder, addresses }
    }
}

fn with_port(yaml: &str) -> String {
    if yaml.lines().any(|line| line.starts_with("listen:")) {
        yaml.to_owned()
    } else {
        format!("listen: 127.0.0.1:0\n{yaml}")
    }
}

impl Ostler {
    /// The first address, as `127.0.0.1:PORT` or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// Every address.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ostler.yaml")
    }

    /// The folder the configuration is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every log line so far.
    pub fn log(&self) -> String {
        self.log.all().join("\n")
    }

    /// How many log lines there are, to wait for a later one.
    pub fn mark(&self) -> usize {
        self.log.all().len()
    }

    /// Waits for a log line after a mark whose message contains these words.
    pub fn wait_for(&self, mark: usize, words: &str) -> Value {
        self.log.wait(mark, |line| line["message"].as_str().is_some_and(|message| message.contains(words))).1
    }

    /// As [`wait_for`](Self::wait_for), but returns the line's number.
    pub fn wait_for_line(&self, mark: usize, words: &str) -> usize {
        self.log.wait(mark, |line| line["message"].as_str().is_some_and(|message| message.contains(words))).0
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Writes a new configuration; the port stays.
    pub fn write(&self, yaml: &str) {
        let text = with_port(yaml);
        let next = self.folder.path().join("next.yaml");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.file()).unwrap();
    }

    /// Writes a new configuration, asks for a reload, and waits until it is
    /// applied (true) or refused (false).
    pub fn reload(&self, yaml: &str) -> bool {
        let mark = self.mark();
        self.write(yaml);
        self.signal("HUP");
        let (_, line) = self.log.wait(mark, |line| {
            line["why"] == "SIGHUP"
                && line["message"].as_str().is_some_and(|message| message == "reloaded" || message.contains("refused"))
        });
        line["message"] == "reloaded"
    }

    /// Waits for the end.
    pub fn exit(mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.exit()
    }
}

impl Drop for Ostler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child's end, with patience but not for ever.
pub fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a command printed, which must have succeeded.
pub fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{:?}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
