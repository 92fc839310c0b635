//! The request: what the operator asked for.
//!
//! A text becomes a [`Document`] here: strictly, with every problem at its
//! place, and without knowing a single service. Each service's settings stay
//! an opaque [`Section`] until the plugin of its kind types them.
//!
//! ```text
//! text ── Outline (places) ─┐
//!      └─ serde_yaml values ┴─ variables filled ── Shape (typed) ── Document
//! ```
//!
//! This room imports no other.

mod limits;
mod listen;
mod outline;
mod problem;
mod section;
mod shape;
mod source;
pub mod units;
mod variables;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

pub use limits::Limits;
pub use listen::{Address, Listen, Listener};
pub use problem::{Path, Place, Problem, Problems, Segment, closest};
pub use section::Section;
pub use shape::{Health, Log, LogFormat, LogLevel, Reload, Shape, Shutdown};
pub use source::Sources;

use outline::Outline;
use variables::{Surroundings, Variables};

/// The file that ships with the binary: every key with its default, and what a
/// host serves that is given no file or no services.
pub const BUILT_IN: &str = include_str!("ostler.yaml");
/// How messages name it.
pub const BUILT_IN_NAME: &str = "<built-in>";

/// The places of the IANA time zone database, as a feature database of shape A
/// (see `features.py` for how it is made).
pub const FEATURES: &[u8] = include_bytes!("features.json");

/// A configuration is written by hand; larger is a mistake.
const LARGEST_BYTES: u64 = 1 << 20;

/// The text of a configuration and what is known of its places.
#[derive(Debug)]
pub(crate) struct Text {
    file: String,
    text: String,
    outline: Outline,
    variables: Variables,
}

impl Text {
    /// Gives a problem its place, and takes secrets out of its words.
    fn locate(&self, problem: Problem) -> Problem {
        let path = problem.path().clone();
        let mut problem = match self.outline.range(&path) {
            Some(range) => problem.at(Place::of(&self.file, &self.text, range)),
            None => problem,
        };
        problem.reword(|words| self.variables.mask(words, &path));
        problem
    }
}

/// One service the operator asked for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its full gRPC name.
    pub name: String,
    /// The kind of plugin that is to behave for it.
    pub kind: String,
    /// That plugin's settings.
    pub section: Section,
    /// The way to the word that names the kind.
    kind_path: Path,
}

impl Entry {
    /// A problem with the kind asked for.
    pub fn kind_problem(&self, problem: Problem) -> Problem {
        self.section.text.locate(problem.below(&self.kind_path))
    }

    /// A problem with the service as a whole.
    pub fn problem(&self, problem: Problem) -> Problem {
        self.section.text.locate(problem.below(&Path::default().then("services").then(self.name.as_str())))
    }
}

/// Everything one file asks for.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file as the operator named it.
    pub file: String,
    /// What relative paths start from: the file's folder.
    pub base: PathBuf,
    /// Every key but `services`, typed.
    pub shape: Shape,
    /// The services, in the file's order.
    pub services: Vec<Entry>,
    /// Every file read so far.
    pub sources: Sources,
    text: Arc<Text>,
}

impl Document {
    /// Reads a file and parses it with the process's environment.
    pub fn open(file: &FilePath) -> Result<Document, Failure> {
        let mut sources = Sources::default();
        let parsed = open(file, &mut sources);
        parsed.map_err(|problems| Failure { problems, sources })
    }

    /// The configuration that ships with the binary.
    pub fn built_in() -> Result<Document, Problems> {
        let mut sources = Sources::default();
        parse(BUILT_IN_NAME, BUILT_IN, FilePath::new("."), &|_| None, &mut sources)
    }

    /// Parses a text that is no file; relative paths start from `base`.
    pub fn parse(
        file: &str,
        text: &str,
        base: &FilePath,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Document, Problems> {
        parse(file, text, base, env, &mut Sources::default())
    }

    /// A problem of the document's, with its place.
    pub fn problem(&self, problem: Problem) -> Problem {
        self.text.locate(problem)
    }

    /// Where the value at a path came from, in an operator's words: the
    /// variable that filled it, or its file, line and column; `None` where the
    /// document does not set it.
    pub fn origin(&self, path: &Path) -> Option<Origin> {
        origin(&self.text, path)
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `file:line:column`.
    pub place: String,
    /// The scalar as written, if a variable filled it; its value is not to be shown.
    pub written: Option<String>,
}

impl Section {
    /// As [`Document::origin`], for a path below this section.
    pub fn origin(&self, path: &Path) -> Option<Origin> {
        origin(&self.text, &self.path.join(path))
    }
}

fn origin(text: &Text, path: &Path) -> Option<Origin> {
    let range = text.outline.exact(path)?;
    let place = Place::of(&text.file, &text.text, range);
    Some(Origin {
        place: format!("{}:{}:{}", place.file, place.line, place.column),
        written: text.variables.written(path).map(str::to_owned),
    })
}

/// Why a file could not be used, and which files to watch for its mending.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Everything that is wrong.
    pub problems: Problems,
    /// Every file read on the way.
    pub sources: Sources,
}

fn open(file: &FilePath, sources: &mut Sources) -> Result<Document, Problems> {
    let name = file.display().to_string();
    let bytes = sources
        .read(file, LARGEST_BYTES)
        .map_err(|error| Problem::new(format!("cannot read the configuration {name}: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let lossy = String::from_utf8_lossy(&bytes);
        let at = error.valid_up_to();
        Problem::new("the file is not UTF-8 text").label("the first bad byte").at(Place::of(&name, &lossy, at..at + 1))
    })?;
    let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(FilePath::new("."));
    parse(&name, text, base, &|name| std::env::var(name).ok(), sources)
}

/// The whole road from text to document.
fn parse(
    file: &str,
    text: &str,
    base: &FilePath,
    env: &dyn Fn(&str) -> Option<String>,
    sources: &mut Sources,
) -> Result<Document, Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let outline = Outline::read(file, text)?;
    let yaml = values(file, text)?;
    if yaml.is_null() {
        let problem = Problem::new("the file says nothing")
            .help("a file names at least one setting; without any file the built-in configuration is served");
        return Err(problem.at(Place::of(file, text, 0..0)).into());
    }

    let mut problems = Problems::default();
    let mut filling = Filling {
        outline: &outline,
        variables: Variables::default(),
        from: Surroundings { env, base, sources },
        problems: Vec::new(),
    };
    let value = filling.convert(yaml, &Path::default());
    let Filling { variables, problems: found, .. } = filling;
    let text = Arc::new(Text { file: file.to_owned(), text: text.to_owned(), outline, variables });
    for problem in found {
        problems.push(text.locate(problem));
    }

    let (value, services) = split(value);
    let root = Section { value, path: Path::default(), text: text.clone() };
    let shape = problems.take(root.read::<Shape>());
    let services = match services {
        Some(services) => entries(services, &text, &mut problems),
        // A file says only what differs from the built-in one.
        None => problems.take(Document::built_in()).map(|built_in| built_in.services).unwrap_or_default(),
    };
    let shape = problems.or(shape)?.unwrap_or_default();
    let sources = std::mem::take(sources);
    Ok(Document { file: file.to_owned(), base: base.to_owned(), shape, services, sources, text })
}

/// serde_yaml's reading of the text.
fn values(file: &str, text: &str) -> Result<serde_yaml::Value, Problem> {
    serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map_or(0, |location| location.index());
        outline::syntax_problem(file, text, at, &error.to_string())
    })
}

/// Turns YAML's values into the neutral tree that settings are typed from,
/// filling variables on the way.
struct Filling<'a> {
    outline: &'a Outline,
    variables: Variables,
    from: Surroundings<'a>,
    problems: Vec<Problem>,
}

impl Filling<'_> {
    fn convert(&mut self, yaml: serde_yaml::Value, path: &Path) -> Value {
        match yaml {
            serde_yaml::Value::Sequence(items) => Value::Array(
                items.into_iter().enumerate().map(|(index, item)| self.convert(item, &path.then(index))).collect(),
            ),
            serde_yaml::Value::Mapping(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    match key {
                        serde_yaml::Value::String(key) => {
                            let value = self.convert(value, &path.then(key.as_str()));
                            map.insert(key, value);
                        }
                        _ => self
                            .problems
                            .push(Problem::new("a key must be text").help("put the key in quotes").below(path)),
                    }
                }
                Value::Object(map)
            }
            scalar => {
                let mut value = scalar_value(scalar).unwrap_or_else(|| {
                    self.problems
                        .push(Problem::new("a number must be finite").label("not a finite number").below(path));
                    Value::Null
                });
                let plain = self.outline.is_plain(path);
                let again = |text: &str| serde_yaml::from_str(text).ok().and_then(scalar_value);
                if let Err(problem) = self.variables.fill(&mut value, path, plain, &mut self.from, again) {
                    self.problems.push(problem.below(path));
                }
                value
            }
        }
    }
}

/// A scalar in the neutral tree; `None` where it has no place there.
fn scalar_value(yaml: serde_yaml::Value) -> Option<Value> {
    match yaml {
        serde_yaml::Value::Null => Some(Value::Null),
        serde_yaml::Value::Bool(value) => Some(Value::Bool(value)),
        serde_yaml::Value::String(text) => Some(Value::String(text)),
        serde_yaml::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Some(number.into()),
            (_, Some(number)) => Some(number.into()),
            _ => serde_json::Number::from_f64(number.as_f64()?).map(Value::Number),
        },
        _ => None,
    }
}

/// Takes `services` out of the root: its entries are read one by one.
fn split(mut value: Value) -> (Value, Option<Value>) {
    let services = value.as_object_mut().and_then(|root| root.shift_remove("services"));
    (value, services)
}

/// The services, each with its kind and that kind's settings.
fn entries(services: Value, text: &Arc<Text>, problems: &mut Problems) -> Vec<Entry> {
    let path = Path::default().then("services");
    let wrong = |problem: Problem, path: &Path| text.locate(problem.below(path));
    let Value::Object(services) = services else {
        let problem = Problem::new("`services` must be a map from full service names to what behaves for them")
            .label("not a map")
            .help(
                "such as `services: { routeguide.RouteGuide: { handler: route_guide } }`, or `services: {}` for none",
            );
        problems.push(wrong(problem, &path));
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (name, service) in services {
        let path = path.then(name.as_str());
        if !is_service_name(&name) {
            let problem = Problem::new(format!("`{name}` is not a full service name"))
                .label("not a service name")
                .help("write the package and the service as grpcurl lists them, such as `routeguide.RouteGuide`");
            problems.push(wrong(problem, &path));
        }
        let section = Section { value: service, path: path.clone(), text: text.clone() };
        let Some(shape::Service { handler }) = problems.take(section.read()) else { continue };
        let path = path.then("handler");
        let (kind, settings, kind_path) = match handler {
            Value::String(kind) => (kind, Value::Object(Map::new()), path.clone()),
            Value::Object(map) if map.len() == 1 => {
                let Some((kind, settings)) = map.into_iter().next() else { continue };
                let settings = if settings.is_null() { Value::Object(Map::new()) } else { settings };
                let kind_path = path.then(kind.as_str());
                (kind, settings, kind_path)
            }
            _ => {
                let problem = Problem::new("a handler is one kind: a word, or a map with exactly one key")
                    .label("not one kind")
                    .help("such as `handler: route_guide` or `handler: { route_guide: { profile: go } }`");
                problems.push(wrong(problem, &path));
                continue;
            }
        };
        let section = Section { value: settings, path: kind_path.clone(), text: text.clone() };
        entries.push(Entry { name, kind, section, kind_path });
    }
    entries
}

/// Identifiers joined by dots, as protobuf has them.
fn is_service_name(name: &str) -> bool {
    name.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}
