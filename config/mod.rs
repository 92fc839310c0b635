//! The request: what the operator asked for.
//!
//! A text becomes a [`Document`] here: strictly, with every problem at its
//! place, and without knowing a single service. Each service's settings stay
//! an opaque [`Section`] until the plugin of its kind types them.
//!
//! ```text
//! text ── Outline (a tree with places) ── Values (variables filled) ──▶ Document
//!                                                  Shape and Sections, typed
//! ```
//!
//! This room imports no other.

mod entry;
mod json;
mod limits;
mod listen;
mod misfit;
mod news;
mod outline;
mod part;
mod place;
mod problem;
mod reader;
mod scalar;
mod schema;
mod secret;
mod section;
mod shape;
mod source;
mod tls;
mod typed;
pub mod units;
mod values;
mod variables;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

pub use entry::Entry;
pub use json::JsonText;
pub use limits::Limits;
pub use listen::{Address, Listen, Listener, Serves};
pub use news::News;
pub use place::{Path, Place, Segment};
pub use problem::{Problem, Problems, closest};
pub use schema::Schema;
pub use secret::Secret;
pub use section::{Remains, Section};
pub use shape::{Health, Log, LogFormat, LogLevel, Reload, Shape, Shutdown, WireBreaks};
pub use source::Sources;
pub use tls::{Clients, Tls};

use outline::{Content, Mark, Node, Outline};
use serde_json::Value;
use values::Filling;
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
    fn locate(&self, mut problem: Problem) -> Problem {
        // What a key holds says nothing of the key.
        let mut path = problem.path().clone();
        if problem.mark() == Mark::Key {
            path.0.pop();
        }
        if let Some(file) = problem.file_mut() {
            *file = self.variables.mask_elsewhere(file);
        }
        let mut tells = false;
        for words in problem.words_mut() {
            match self.variables.mask(words, &path) {
                Some(masked) => *words = masked,
                None => tells = true,
            }
        }
        if tells {
            let written = self.variables.written(&path).unwrap_or("a variable");
            problem = problem.reworded(format!("what `{written}` holds cannot be used here"));
        }
        self.place(problem)
    }

    /// Gives a problem its place.
    fn place(&self, mut problem: Problem) -> Problem {
        // One value may stand for a list of one.
        while matches!(problem.path().0.last(), Some(Segment::Index(_))) && self.outline.find(problem.path()).is_none()
        {
            problem = problem.shortened();
        }
        let problem = self.place_part(problem);
        match self.outline.range(problem.path(), problem.mark()) {
            Some(range) => problem.at(Place::of(&self.file, &self.text, range)),
            None => problem,
        }
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
    /// What is wrong with it as far as it is typed; a plan tells these too, so
    /// that one bad section does not hide the next.
    pub problems: Problems,
    text: Arc<Text>,
}

impl Document {
    /// Reads a file and parses it with the process's environment. The error is
    /// what kept it from being read at all; what else is wrong is in `problems`.
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

    /// As [`open`](Self::open) for a text; relative paths start from `base`.
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

    /// Words with every value that a variable filled replaced by the variable.
    pub fn mask(&self, words: &str) -> String {
        self.text.variables.mask_elsewhere(words)
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
    let place = Place::of(&text.file, &text.text, text.outline.find(path)?.range.clone());
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
    let mut problems = Problems::default();
    let outline = match reader::read(file, text, &mut problems) {
        Ok(outline) => outline,
        Err(problem) => return Err(problems.with(problem)),
    };
    let root = match outline.root.as_ref() {
        Some(root) if matches!(*root.content, Content::Map(_)) => root,
        root => {
            return Err(problems.with(no_settings(root).at(Place::of(
                file,
                text,
                root.map_or(0..0, |root| root.range.clone()),
            ))));
        }
    };

    let from = Surroundings { env, base, sources };
    let mut filling = Filling { from, variables: Variables::default(), problems: Vec::new() };
    let mut tree = filling.tree(root, &Path::default());
    let Filling { variables, problems: found, .. } = filling;
    let text = Arc::new(Text { file: file.to_owned(), text: text.to_owned(), outline, variables });
    for problem in found {
        if !problems.is_full() {
            problems.push(text.locate(problem));
        }
    }

    // Services are read one by one, each by its own plugin.
    let services = tree.take("services");
    let root = Section { tree, path: Path::default(), text: text.clone() };
    let shape = problems.take(root.read::<Shape>()).unwrap_or_default();
    for problem in shape.limits.problems() {
        problems.push(text.locate(problem));
    }
    listen::exposed(&root, &mut problems);
    let services = match services {
        Some(services) => entry::entries(services, &text, &mut problems),
        // A file says only what differs from the built-in one.
        None => problems.take(Document::built_in()).map(|built_in| built_in.services).unwrap_or_default(),
    };
    let sources = std::mem::take(sources);
    Ok(Document { file: file.to_owned(), base: base.to_owned(), shape, services, sources, problems, text })
}

/// What is wrong with a text that is no map.
fn no_settings(root: Option<&Node>) -> Problem {
    let example = "settings are written `key: value`, such as `listen: 127.0.0.1:50051`";
    match root.map(|root| &*root.content) {
        Some(Content::List(_)) => {
            Problem::new("a configuration is a map of settings, and this is a list").help(example)
        }
        Some(Content::Scalar { text, plain }) if !plain || scalar::plain(text) != Some(Value::Null) => {
            Problem::new("a configuration is a map of settings, and this is a single value").help(example)
        }
        _ => Problem::new("the file says nothing")
            .help("a file names at least one setting; without any file the built-in configuration is served"),
    }
}
