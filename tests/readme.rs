//! The documents, run: every command of `README.md` and `docs/plugins.md` is
//! run here in their order, every file is checked, every answer compared.
//!
//! What the fences mean, where an HTML comment before one says no more:
//!
//! | block | is |
//! |---|---|
//! | `sh` | run by a shell that must succeed, all blocks of a document in one session |
//! | `text`, `json` after it | what it printed, where `...` stands for anything |
//! | `yaml` | checked by `ostler check` |
//! | `<!-- file: NAME -->` | saved as NAME first; YAML is checked under that name unless NAME begins with `wrong` |
//! | `<!-- from: PATH -->` | the next piece of that file of this repository, word for word; all its pieces make it up |
//! | `<!-- host -->` | started in a terminal of its own, in place of the last one |
//! | `<!-- host says -->` | what that terminal shows from there on, waited for |
//! | `<!-- exits N -->` | run by a shell that must exit with N |
//! | `<!-- kubernetes -->` | manifests: the file within is checked, its port is the probes' |
//!
//! The documents' port is a free one here.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde::Deserialize as _;

use crate::support::tools::tool;
use crate::support::{PATIENCE, binary, project, wait};
use crate::third_party;

/// The port the documents speak of.
const PORT: &str = "50051";

#[test]
fn every_word_of_the_readme_is_true() {
    let Some(tools) = Tools::all() else { return };
    let mut session = Session::new(&tools, "ostler", binary().as_ref());
    // The built-in configuration with the port that is free here.
    let built_in = ostler::config::BUILT_IN.replace(PORT, &session.port);
    std::fs::write(session.path("built_in.yaml"), built_in).unwrap();
    session.replaced.push(("cargo run --release", "ostler built_in.yaml"));
    session.shown.push(("serves built_in.yaml", "serves the built-in configuration"));
    session.play(&document("README.md"));
}

#[test]
fn every_word_of_the_author_s_guide_is_true() {
    let Some(tools) = Tools::all() else { return };
    let mut session = Session::new(&tools, "hello-host", third_party::hello_host());
    for file in ["ostler.yaml", "mirror.proto"] {
        let text = std::fs::read_to_string(third_party::folder().join(file)).unwrap();
        std::fs::write(session.path(file), text).unwrap();
    }
    let yaml = format!("listen: 127.0.0.1:{}\n", session.port)
        + &std::fs::read_to_string(session.path("ostler.yaml")).unwrap();
    std::fs::write(session.path("ostler.yaml"), yaml).unwrap();
    session.replaced.push(("cargo run --", "hello-host"));
    session.replaced.push(("cargo run", "hello-host"));
    session.play(&document("docs/plugins.md"));
}

#[test]
fn links_lead_somewhere() {
    for name in ["README.md", "CONTRIBUTING.md", "docs/plugins.md"] {
        let text = std::fs::read_to_string(project().join(name)).unwrap();
        let folder = project().join(name);
        let folder = folder.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let leads = link.starts_with("https://") || folder.join(file).exists();
            assert!(leads, "{name} links to {link}, which is not there");
        }
    }
}

/// One fenced block.
#[derive(Debug)]
struct Block {
    /// The document and line, for messages.
    place: String,
    language: String,
    /// The HTML comment on the line before.
    note: String,
    text: String,
}

/// The blocks of a document of this repository.
fn document(name: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(project().join(name)).unwrap();
    let mut lines = text.lines().enumerate();
    let mut blocks = Vec::new();
    let mut note = String::new();
    while let Some((at, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = inside.map(|line| line.to_owned() + "\n").collect();
            let place = format!("{name}:{}", at + 1);
            blocks.push(Block { place, language: language.to_owned(), note: std::mem::take(&mut note), text });
        } else {
            let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            note = comment.unwrap_or_default().to_owned();
        }
    }
    assert!(!blocks.is_empty(), "{name} has blocks");
    blocks
}

/// The real clients the documents call, by the names they call them.
struct Tools(Vec<(&'static str, PathBuf)>);

impl Tools {
    fn all() -> Option<Tools> {
        let tools = [
            ("grpcurl", "GRPCURL"),
            ("grpc-health-probe", "GRPC_HEALTH_PROBE"),
            ("buf", "BUF"),
            ("ghz", "GHZ"),
            ("python3", "PYTHON"),
        ];
        tools.into_iter().map(|(name, variable)| Some((name, tool(variable)?))).collect::<Option<_>>().map(Tools)
    }
}

/// A reader of a document at their keyboard: a folder, a shell, and a second
/// terminal with the host in it.
struct Session {
    folder: tempfile::TempDir,
    port: String,
    python: PathBuf,
    shell: Shell,
    host: Option<Terminal>,
    /// The host of the document.
    program: &'static str,
    /// What commands say, and what is run in its place.
    replaced: Vec<(&'static str, &'static str)>,
    /// What is printed, and what the document shows for it.
    shown: Vec<(&'static str, &'static str)>,
}

impl Session {
    fn new(tools: &Tools, program: &'static str, binary: &Path) -> Session {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join(".bin");
        std::fs::create_dir(&bin).unwrap();
        let put = |name: &str, script: String| {
            let path = bin.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let tools = tools.0.iter().map(|(name, path)| (*name, path.as_path()));
        for (name, path) in tools.clone().chain([(program, binary)]) {
            put(name, format!("exec '{}' \"$@\"", path.display()));
        }
        // The documents know one host; the machine may run others.
        put("pidof", format!("cat '{}'", folder.path().join(".host").display()));
        let python = tools.clone().find(|(name, _)| *name == "python3").unwrap().1.to_owned();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Session {
            port: free.local_addr().unwrap().port().to_string(),
            shell: Shell::start(folder.path(), &bin),
            python,
            folder,
            host: None,
            program,
            replaced: Vec::new(),
            shown: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command or a file as it is here.
    fn here(&self, text: &str) -> String {
        let text = text.replace(PORT, &self.port);
        self.replaced.iter().fold(text, |text, (written, run)| text.replace(written, run))
    }

    /// An answer as the document shows it.
    fn there(&self, text: &str) -> String {
        let text = text.replace(&self.port, PORT);
        self.shown.iter().fold(text, |text, (printed, shown)| text.replace(printed, shown))
    }

    fn play(&mut self, blocks: &[Block]) {
        // What the last command printed, until it is compared.
        let mut printed = None;
        let mut quoted = Quoted::default();
        for block in blocks {
            let Block { place, language, note, text } = block;
            let (word, argument) = note.split_once(' ').unwrap_or((note, ""));
            match (language.as_str(), word) {
                (_, "from:") => quoted.piece(place, argument, text),
                ("sh", "host") => {
                    self.start_host(text);
                    printed = None;
                }
                ("text", "host") => {
                    let host = self.host.as_mut().expect("a host runs");
                    host.wait_for(place, text, &self.port);
                }
                ("sh", _) => {
                    let code = if word == "exits" { argument } else { "0" };
                    let (text, exit) = self.shell.run(&self.here(text));
                    let text = self.there(&text);
                    assert_eq!(exit, code, "{place}: the exit code; it printed\n{text}");
                    printed = Some(text);
                }
                (_, "file:") => {
                    std::fs::write(self.path(argument), self.here(text)).unwrap();
                    if language == "yaml" && !argument.starts_with("wrong") {
                        self.check(place, argument);
                    }
                }
                ("yaml", "kubernetes") => self.manifests(place, text),
                ("yaml", _) => {
                    std::fs::write(self.path("unnamed.yaml"), text).unwrap();
                    self.check(place, "unnamed.yaml");
                }
                ("text" | "json", "") => match printed.take() {
                    Some(printed) => compare(place, text, &printed),
                    None => self.host.as_mut().expect("something printed this").wait_for(place, text, &self.port),
                },
                _ => panic!("{place}: nobody says what a {language:?} block noted {note:?} means"),
            }
        }
        quoted.end();
    }

    fn check(&mut self, place: &str, name: &str) {
        let (printed, exit) = self.shell.run(&format!("{} check {name}", self.program));
        assert_eq!(exit, "0", "{place}: {printed}");
    }

    /// The configuration inside manifests is sound, and the probes ask its port.
    fn manifests(&mut self, place: &str, text: &str) {
        let documents =
            serde_yaml::Deserializer::from_str(text).map(|one| serde_yaml::Value::deserialize(one).unwrap());
        let [map, deployment] = documents.collect::<Vec<_>>().try_into().unwrap();
        let file = map["data"]["ostler.yaml"].as_str().unwrap();
        std::fs::write(self.path("unnamed.yaml"), file).unwrap();
        self.check(place, "unnamed.yaml");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        for probe in ["readinessProbe", "livenessProbe"] {
            let probe = &container[probe]["grpc"];
            assert!(file.contains(&format!(":{}", probe["port"].as_u64().unwrap())), "{place}");
            assert!(probe["service"].as_str().is_none_or(|name| file.contains(name)), "{place}");
        }
    }

    fn start_host(&mut self, command: &str) {
        if let Some(host) = self.host.take() {
            host.interrupt();
        }
        let script = format!("echo $$ > .host; PATH=\"$PWD/.bin:$PATH\"; exec {}", self.here(command).trim());
        self.host = Some(Terminal::open(&self.python, self.folder.path(), &script, &self.shown));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(host), false) = (self.host.take(), std::thread::panicking()) {
            host.interrupt();
        }
    }
}

/// Files of this repository that a document shows, and what it has yet to show
/// of each.
#[derive(Default)]
struct Quoted(HashMap<String, String>);

impl Quoted {
    fn piece(&mut self, place: &str, name: &str, text: &str) {
        let whole = || std::fs::read_to_string(project().join(name)).unwrap();
        let left = self.0.entry(name.to_owned()).or_insert_with(whole);
        let rest = left.trim_start_matches('\n').strip_prefix(text);
        *left = rest.unwrap_or_else(|| panic!("{place}: {name} does not go on like this, but\n{left}")).to_owned();
    }

    fn end(&self) {
        for (name, left) in &self.0 {
            assert!(left.trim().is_empty(), "{name} is shown but for\n{left}");
        }
    }
}

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
struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

/// What the shell says when a block is done: this and the exit code.
const DONE: &str = "-- done with";

impl Shell {
    fn start(folder: &Path, bin: &Path) -> Shell {
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
    fn run(&mut self, block: &str) -> (String, String) {
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
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<String>,
    shown: Vec<(&'static str, &'static str)>,
}

impl Terminal {
    fn open(python: &Path, folder: &Path, script: &str, shown: &[(&'static str, &'static str)]) -> Terminal {
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
    fn wait_for(&mut self, place: &str, wanted: &str, port: &str) {
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
    fn interrupt(mut self) {
        self.keyboard.write_all(b"\x03").unwrap();
        let status = wait(&mut self.child);
        assert!(status.success(), "the host ended with {status}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.keyboard.write_all(b"\x03\x03");
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

/// What was printed is what the document shows.
fn compare(place: &str, shown: &str, printed: &str) {
    let lines = |text: &str| text.trim_end().lines().map(str::to_owned).collect::<Vec<_>>();
    let same = fit(&lines(shown), &lines(printed));
    assert!(same, "{place}: what was printed is\n{printed}");
}

/// Whether lines fit, where a line of `...` is any lines.
fn fit(shown: &[String], printed: &[String]) -> bool {
    match (shown, printed) {
        ([], printed) => printed.is_empty(),
        ([any, rest @ ..], printed) if any == "..." => {
            (0..=printed.len()).any(|skipped| fit(rest, &printed[skipped..]))
        }
        ([line, shown @ ..], [found, printed @ ..]) => fits(line, found) && fit(shown, printed),
        _ => false,
    }
}

/// Whether a line fits, where `...` in it is any text.
fn fits(shown: &str, printed: &str) -> bool {
    match shown.split_once("...") {
        None => shown == printed,
        Some((start, rest)) => printed.strip_prefix(start).is_some_and(|left| {
            left.char_indices().map(|(at, _)| at).chain([left.len()]).any(|at| fits(rest, &left[at..]))
        }),
    }
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    assert!(fits("a...c", "abbc") && fits("...", "") && fits("a", "a"));
    assert!(!fits("a...c", "abcd") && !fits("a", "ab") && !fits("", "a"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fit(&lines("a\n...\nd"), &lines("a\nb\nc\nd")));
    assert!(!fit(&lines("a\n...\nd"), &lines("a\nb\nc")) && !fit(&lines("a"), &lines("a\nb")));
}
