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

mod compare;
mod keyboard;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize as _;

use compare::compare;
use keyboard::{Shell, Terminal};

use crate::support::tools::tool;
use crate::support::{self, binary, project, stdout};
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
    session.example("greeter", "docs/examples/greeter");
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
fn every_word_about_services_is_true() {
    let Some(tools) = Tools::all() else { return };
    let mut session = Session::new(&tools, "ostler", binary().as_ref());
    session.example("greeter", ".");
    session.play(&document("docs/services.md"));
}

#[test]
fn the_table_of_profiles_is_what_each_profile_sets() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut table =
        readme.lines().skip_while(|line| !line.starts_with("| setting |")).take_while(|line| !line.is_empty());
    let profiles = cells(table.next().unwrap());
    let rows: Vec<_> = table.skip(1).map(cells).collect();
    assert!(rows.len() >= 7, "{rows:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    for (column, profile) in profiles.iter().enumerate().skip(1) {
        let handler = format!("{{ route_guide: {{ profile: {profile} }} }}");
        std::fs::write(&file, format!("services:\n  routeguide.RouteGuide:\n    handler: {handler}\n")).unwrap();
        let shown = stdout(&support::ostler(&["show", file.to_str().unwrap()]));
        for row in &rows {
            let setting = row[0].trim_matches('`').rsplit('.').next().unwrap();
            let value = shown.lines().find_map(|line| line.trim().strip_prefix(setting)?.strip_prefix(": ")).unwrap();
            let value = value.split('#').next().unwrap().trim().trim_matches('"');
            assert_eq!(row[column], value, "{setting} of {profile}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for name in ["README.md", "CONTRIBUTING.md", "docs/plugins.md", "docs/services.md"] {
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

/// A port that nobody has, of as many digits as the documents', below those the
/// system hands out, and no part of a number the documents show.
fn free_port() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let documents = ["README.md", "docs/plugins.md", "docs/services.md"]
        .map(|name| std::fs::read_to_string(project().join(name)).unwrap());
    let any =
        || 10_000 + std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_mul(7919) % 20_000;
    let mut ports = std::iter::repeat_with(any).map(|port| port.to_string());
    let free = |port: &String| {
        std::net::TcpListener::bind(format!("127.0.0.1:{port}")).is_ok()
            && !documents.iter().any(|document| document.contains(port))
    };
    ports.find(free).unwrap()
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
            ("openssl", "OPENSSL"),
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
        Session {
            port: free_port(),
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

    /// Puts the files of an example into a folder, with the port that is free here.
    fn example(&self, name: &str, folder: &str) {
        std::fs::create_dir_all(self.path(folder)).unwrap();
        for entry in std::fs::read_dir(project().join("docs/examples").join(name)).unwrap() {
            let entry = entry.unwrap();
            let mut text = std::fs::read_to_string(entry.path()).unwrap();
            if entry.file_name() == "ostler.yaml" {
                text.insert_str(0, &format!("listen: 127.0.0.1:{}\n", self.port));
            }
            std::fs::write(self.path(folder).join(entry.file_name()), text).unwrap();
        }
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
