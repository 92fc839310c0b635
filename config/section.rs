//! One part of the document, opaque until its owner types it.
//!
//! A plugin names a settings type; [`Section::read`] reads it strictly and
//! gathers every problem, not only the first: what does not fit is noted, taken
//! out, and the rest is read again.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Text;
use super::outline::{Content, Node};
use super::problem::{Path, Problem, Problems, Segment, closest};
use super::scalar;
use super::typed::{Complaint, Misfit, Typed};
use super::values::Tree;

/// Longer texts are cut where a message quotes them.
const LONGEST_QUOTE_CHARS: usize = 40;

/// A value of the document with the way to it.
#[derive(Clone, Debug)]
pub struct Section {
    pub(super) tree: Tree,
    pub(super) path: Path,
    pub(super) text: Arc<Text>,
}

impl Section {
    /// The way from the document's root to this section.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings as typed, or everything that is wrong with them.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        let mut rest = Rest { tree: self.tree.clone(), taken: Vec::new(), meant: Vec::new(), dropped: HashMap::new() };
        let mut problems = Problems::default();
        while !problems.is_full() {
            match T::deserialize(Typed(&rest.tree)) {
                Ok(settings) => return problems.or(settings),
                Err(misfit) => {
                    if !rest.is_own_doing(&misfit) {
                        problems.push(self.worded::<T>(&misfit, &rest));
                    }
                    if !rest.set_aside(&misfit) {
                        break;
                    }
                }
            }
        }
        Err(problems)
    }

    /// A problem of this section's, with its place.
    pub fn problem(&self, problem: Problem) -> Problem {
        self.text.locate(problem.below(&self.path))
    }

    /// Problems of this section's, with their places.
    pub fn problems(&self, problems: Problems) -> Problems {
        problems.map(|problem| self.problem(problem))
    }

    /// A misfit as an operator is told it.
    fn worded<T: DeserializeOwned>(&self, misfit: &Misfit, rest: &Rest) -> Problem {
        let below = rest.as_written(&misfit.path);
        let path = self.path.join(&below);
        let node = self.text.outline.find(&path);
        let value = rest.tree.at(&misfit.path.0);
        let (Some(written), Some(value), false) = (self.text.variables.written(&path), value, misfit.key) else {
            let problem = misfit.complaint.worded(&path, &found(value, node)).below(&below);
            return self.problem(if misfit.key { problem.key() } else { problem });
        };
        // What variables put in is secret, and a type's own sentence may quote any part of it.
        let found = format!("what `{written}` holds");
        let problem = match &misfit.complaint {
            Complaint::Custom(words) => match self.text.variables.mask(words, &path) {
                // A number comes back in another spelling than it went in.
                Some(words) if value.scalar().is_string() => Complaint::Custom(words).worded(&path, &found),
                // Had the operator typed the variable's name, what would the type say?
                _ => {
                    let mut tree = rest.tree.clone();
                    if let Some(secret) = tree.at_mut(&misfit.path.0) {
                        *secret = Tree::Scalar(Value::String(written.to_owned()));
                    }
                    match T::deserialize(Typed(&tree)) {
                        Err(again) if again.path == misfit.path => again.complaint.worded(&path, &found),
                        _ => Problem::new(format!("{found} cannot be used here")),
                    }
                }
            },
            Complaint::UnknownChoice { known, .. } => {
                Complaint::UnknownChoice { name: written.to_owned(), known }.worded(&path, &found)
            }
            complaint => complaint.worded(&path, &found),
        };
        let quoted = matches!(node.map(|node| &*node.content), Some(Content::Scalar { plain: false, .. }));
        let problem = match value {
            Tree::Filled(Value::String(text), _)
                if quoted && !matches!(scalar::plain(text), Some(Value::String(_))) =>
            {
                problem.help("in quotes a variable is always text: write it without, outside of `{ }` and `[ ]`")
            }
            _ => problem,
        };
        self.text.place(problem.below(&path))
    }
}

/// What stands at a path, as a message quotes it.
fn found(tree: Option<&Tree>, node: Option<&Node>) -> String {
    let written = node.map(|node| &*node.content);
    match tree {
        Some(Tree::List(items)) if items.is_empty() => "an empty list".to_owned(),
        Some(Tree::Map(entries)) if entries.is_empty() => "an empty map".to_owned(),
        Some(Tree::List(_)) => "a list".to_owned(),
        Some(Tree::Map(_)) => "a map".to_owned(),
        Some(tree) => match (tree.scalar(), written) {
            (Value::String(text), _) if text.chars().count() > LONGEST_QUOTE_CHARS => {
                format!("the text \"{}…\"", text.chars().take(LONGEST_QUOTE_CHARS).collect::<String>())
            }
            (Value::String(text), _) => format!("the text {text:?}"),
            // As typed: large numbers would otherwise come back in another form.
            (Value::Number(_), Some(Content::Scalar { text, .. })) => format!("the number {text}"),
            (Value::Null, _) => "nothing".to_owned(),
            (value, _) => format!("`{value}`"),
        },
        None => "nothing".to_owned(),
    }
}

/// The value as far as it is still worth reading.
struct Rest {
    tree: Tree,
    /// What was taken out because something was wrong with it.
    taken: Vec<Path>,
    /// Settings that a misspelt name was meant for.
    meant: Vec<Path>,
    /// How many items were dropped from the front of each list: those read well.
    dropped: HashMap<Path, usize>,
}

impl Rest {
    /// Whether something is amiss only because a part was taken out before.
    fn is_own_doing(&self, misfit: &Misfit) -> bool {
        let path = self.as_written(&misfit.path);
        match misfit.complaint {
            Complaint::Missing { name } => self.taken.iter().chain(&self.meant).any(|known| *known == path.then(name)),
            Complaint::Kind { .. } | Complaint::Custom(_) => {
                self.taken.iter().any(|taken| taken.0.starts_with(&path.0))
            }
            Complaint::Told => true,
            _ => false,
        }
    }

    /// Takes the cause of a misfit out; false where that is all there is.
    fn set_aside(&mut self, misfit: &Misfit) -> bool {
        if let Complaint::UnknownSetting { name, known } = &misfit.complaint
            && let Some(meant) = closest(name, known.iter().copied())
            && let Some((_, holder)) = misfit.path.0.split_last()
        {
            let holder = self.as_written(&Path(holder.to_vec()));
            self.meant.push(holder.then(meant));
        }
        self.take_out(&misfit.path)
    }

    /// The path as the operator would count it, dropped items included.
    fn as_written(&self, path: &Path) -> Path {
        let mut written = Path::default();
        for segment in &path.0 {
            let step = match segment {
                Segment::Index(index) => Segment::Index(index + self.dropped.get(&written).unwrap_or(&0)),
                key => key.clone(),
            };
            written.0.push(step);
        }
        written
    }

    /// Removes the value at a path; an item of a list goes with those before it,
    /// which were read without complaint.
    fn take_out(&mut self, path: &Path) -> bool {
        let Some((last, parent)) = path.0.split_last() else { return false };
        let written = self.as_written(path);
        let list = self.as_written(&Path(parent.to_vec()));
        let removed = match (self.tree.at_mut(parent), last) {
            (Some(map), Segment::Key(key)) => map.take(key).is_some(),
            (Some(Tree::List(items)), Segment::Index(index)) if *index < items.len() => {
                items.drain(..=*index);
                *self.dropped.entry(list).or_default() += index + 1;
                true
            }
            _ => false,
        };
        self.taken.push(written);
        removed
    }
}

impl Complaint {
    /// In an operator's words.
    fn worded(&self, path: &Path, found: &str) -> Problem {
        match self {
            Complaint::UnknownSetting { name, .. } if name.contains(':') => {
                Problem::new(format!("there is no setting called `{name}` here"))
                    .label("unknown setting")
                    .help("a space is due after the colon: `key: value`")
            }
            Complaint::UnknownSetting { name, known } => suggest(
                Problem::new(format!("there is no setting called `{name}` here")).label("unknown setting"),
                name,
                known,
                "settings here",
            ),
            Complaint::UnknownChoice { name, known } => {
                // The key it stands under; the word itself may be the last step.
                let owner = path.0.iter().rev().find_map(|segment| match segment {
                    Segment::Key(key) if key != name => Some(key.as_str()),
                    _ => None,
                });
                let owner = owner.unwrap_or("the file");
                suggest(
                    Problem::new(format!("`{name}` is not one of the choices for `{owner}`")).label("unknown choice"),
                    name,
                    known,
                    "choices",
                )
            }
            Complaint::Missing { name } => {
                Problem::new(format!("`{name}` is missing")).label(format!("needs `{name}`"))
            }
            Complaint::Kind { expected } => unfit(&plainly(expected), found),
            Complaint::Custom(words) => {
                let mut lines = words.lines();
                let problem = Problem::new(lines.next().unwrap_or("this cannot be used"));
                lines.fold(problem, Problem::help)
            }
            Complaint::Literal => Problem::new("a secret is not written out in the file")
                .private()
                .help("put it where only the host can read it, and write `${NAME}` or `${file:/run/secrets/name}`"),
            Complaint::Told => Problem::new("there is no value"),
        }
    }
}

fn suggest(problem: Problem, name: &str, known: &[&str], what: &str) -> Problem {
    let problem = match closest(name, known.iter().copied()) {
        Some(close) => problem.help(format!("did you mean `{close}`?")),
        None => problem,
    };
    match known {
        [] => problem,
        known => problem.help(format!("{what}: {}", known.join(", "))),
    }
}

/// What a type expects, without Rust's names for it.
fn plainly(expected: &str) -> String {
    let (least, name) = match expected.strip_prefix("a nonzero ") {
        Some(name) => ("1", name),
        None => ("0", expected),
    };
    let range = |least: &str, most: &dyn std::fmt::Display| format!("a whole number from {least} to {most}");
    match name {
        "u8" => range(least, &u8::MAX),
        "u16" => range(least, &u16::MAX),
        "u32" => range(least, &u32::MAX),
        "u64" | "usize" => format!("a whole number from {least} up"),
        "i8" => range(&i8::MIN.to_string(), &i8::MAX),
        "i16" => range(&i16::MIN.to_string(), &i16::MAX),
        "i32" => range(&i32::MIN.to_string(), &i32::MAX),
        "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "string" | "a character" => "text".to_owned(),
        "path string" => "a path".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a map".to_owned(),
        "unit" => "nothing".to_owned(),
        _ if name.starts_with("struct ") => "a map of settings".to_owned(),
        _ => expected.to_owned(),
    }
}

/// A value of the wrong kind, with what most often causes it.
fn unfit(expected: &str, found: &str) -> Problem {
    let problem = Problem::new(format!("expected {expected}, found {found}")).label("does not fit");
    let quoted = found.strip_prefix("the text \"").and_then(|text| text.strip_suffix('"'));
    let number = expected.contains("number");
    match quoted {
        Some("yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "true") if expected == "true or false" => {
            problem.help("write it `true`, without quotes")
        }
        Some("no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "false") if expected == "true or false" => {
            problem.help("write it `false`, without quotes")
        }
        Some(text) if number && text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) => {
            problem.help("a number has no leading zero")
        }
        Some(text) if expected == "a map of settings" && text.contains(':') => {
            problem.help("a space is due after the colon: `key: value`")
        }
        Some(text) if number && text.parse::<f64>().is_ok() => problem.help("write the number without quotes"),
        None if found == "nothing" => problem.help("a setting that is to keep its default is left out altogether"),
        None if expected == "text" && !found.starts_with("a ") && found != "nothing" => {
            problem.help("put it in quotes if it is meant as text")
        }
        _ => problem,
    }
}
