//! A reader's keyboard: a shell, and a terminal with a host in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::PORT;
use super::compare::fits;
use crate::support::{PATIENCE, wait};

/// Lines from a pipe as they come.
fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// One shell for a whole document.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

/// What the shell says when a block is done: this and the exit code.
const DONE: &str = "-- done with";

impl Shell {
    pub fn start(folder: &Path, bin: &Path) -> Shell {
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut input = child.stdin.take().unwrap();
        let output = lines(child.stdout.take().unwrap());
        writeln!(input, "exec 2>&1").unwrap();
        Shell { child, input, output }
    }

    /// Everything a block printed, and its exit code.
    pub fn run(&mut self, block: &str) -> (String, String) {
        let quoted = block.replace('\'', r"'\''");
        writeln!(self.input, "eval '{quoted}' < /dev/null; printf '\\n{DONE} %s\\n' $?").unwrap();
        let mut printed = String::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(DONE) {
                    Some(code) => return (printed.strip_suffix('\n').unwrap().to_owned(), code.trim().to_owned()),
                    None => printed = printed + &line + "\n",
                },
                Err(_) => panic!("this does not end:\n{block}\nso far it printed\n{printed}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal with a host in it.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<String>,
    shown: Vec<(&'static str, &'static str)>,
}

impl Terminal {
    pub fn open(python: &Path, folder: &Path, script: &str, shown: &[(&'static str, &'static str)]) -> Terminal {
        let mut child = Command::new(python)
            .args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])", "bash", "-c", script])
            .current_dir(folder)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a terminal opens");
        let screen = lines(child.stdout.take().unwrap());
        Terminal { keyboard: child.stdin.take().unwrap(), child, screen, shown: shown.to_vec() }
    }

    /// Waits until these lines are shown, one below the other.
    pub fn wait_for(&mut self, place: &str, wanted: &str, port: &str) {
        let mut seen = String::new();
        for wanted in wanted.lines() {
            let line = match self.screen.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{place}: the host does not say\n{wanted}\nonly\n{seen}")
                }
            };
            let line = self
                .shown
                .iter()
                .fold(plain(&line).replace(port, PORT), |line, (printed, shown)| line.replace(printed, shown));
            assert!(fits(wanted, &line), "{place}: the host says\n{line}\nand not\n{wanted}");
            seen = seen + &line + "\n";
        }
    }

    /// Ctrl-C, and the end that follows.
    pub fn interrupt(mut self) {
        self.keyboard.write_all(b"\x03").unwrap();
        let status = wait(&mut self.child);
        assert!(status.success(), "the host ended with {status}");
    }
}

/// A terminal that merely closes leaves the host alive, since SIGHUP is a reload.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.keyboard.write_all(b"\x03\x03");
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal's line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.trim_end_matches('\r').split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| line + part.split_once('m').map_or(part, |(_, text)| text))
}
