//! One part of the document, opaque until its owner types it.
//!
//! A plugin names a settings type; [`Section::read`] reads it strictly and
//! gathers every problem, not only the first: what is wrong is noted, taken
//! out, and the rest is read again. serde's sentences become an operator's.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Text;
use super::problem::{Path, Problem, Problems, Segment, closest};

/// More problems than this in one section are noise.
const MOST_PROBLEMS: usize = 50;

/// A value of the document with the way to it.
#[derive(Clone, Debug)]
pub struct Section {
    pub(super) value: Value,
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
        let mut reader = Reader { value: self.value.clone(), taken: Vec::new(), dropped: HashMap::new() };
        let mut problems = Problems::default();
        for _ in 0..MOST_PROBLEMS {
            match serde_path_to_error::deserialize(&reader.value) {
                Ok(settings) => return problems.or(settings),
                Err(error) => {
                    let (problem, goes_on) = reader.set_aside(&error.path().clone().into(), &error.inner().to_string());
                    if let Some(problem) = problem {
                        problems.push(self.text.locate(problem.below(&self.path)));
                    }
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        if problems.is_empty() {
            problems.push(self.problem(Problem::new("these settings cannot be read")));
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
}

/// The value as far as it is still worth reading.
struct Reader {
    value: Value,
    /// What was taken out because something was wrong with it.
    taken: Vec<Path>,
    /// How many items were dropped from the front of each list: those read well.
    dropped: HashMap<Path, usize>,
}

impl Reader {
    /// Words one error, takes its cause out, and says whether to read on.
    fn set_aside(&mut self, found: &Path, message: &str) -> (Option<Problem>, bool) {
        let complaint = Complaint::of(message);
        let path = match &complaint {
            // serde notices a key before it descends, so the path may or may not hold it.
            Complaint::UnknownField { name, .. } if found.0.last() != Some(&Segment::Key(name.clone())) => {
                found.then(name.as_str())
            }
            // The kind is the path's last step where serde got so far.
            Complaint::UnknownVariant { name, .. } if found.0.last() == Some(&Segment::Key(name.clone())) => {
                Path(found.0[..found.0.len() - 1].to_vec())
            }
            _ => found.clone(),
        };
        let written = self.as_written(&path);
        let problem = match &complaint {
            Complaint::Missing { name } => {
                let own_doing = self.taken.contains(&written.then(name.as_str()));
                (!own_doing).then(|| complaint.problem(&written, self.at(&path)))
            }
            _ => Some(complaint.problem(&written, self.at(&path))),
        };
        let goes_on = self.take_out(&path);
        (problem, goes_on)
    }

    fn at(&self, path: &Path) -> Option<&Value> {
        path.0.iter().try_fold(&self.value, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        })
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
        let Some(holder) = parent.iter().try_fold(&mut self.value, |value, segment| match segment {
            Segment::Key(key) => value.get_mut(key),
            Segment::Index(index) => value.get_mut(index),
        }) else {
            return false;
        };
        self.taken.push(written);
        match (holder, last) {
            (Value::Object(map), Segment::Key(key)) => map.shift_remove(key).is_some(),
            (Value::Array(items), Segment::Index(index)) if *index < items.len() => {
                items.drain(..=*index);
                *self.dropped.entry(list).or_default() += index + 1;
                true
            }
            // A kind written as a bare word: the word itself goes.
            (_, Segment::Key(_)) => {
                self.taken.pop();
                self.take_out(&Path(parent.to_vec()))
            }
            _ => false,
        }
    }
}

impl From<serde_path_to_error::Path> for Path {
    fn from(path: serde_path_to_error::Path) -> Path {
        use serde_path_to_error::Segment as Step;
        Path(
            path.iter()
                .filter_map(|step| match step {
                    Step::Seq { index } => Some(Segment::Index(*index)),
                    Step::Map { key } => Some(Segment::Key(key.clone())),
                    Step::Enum { variant } => Some(Segment::Key(variant.clone())),
                    Step::Unknown => None,
                })
                .collect(),
        )
    }
}

/// What serde's sentence means.
enum Complaint {
    UnknownField { name: String, known: Vec<String> },
    UnknownVariant { name: String, known: Vec<String> },
    Missing { name: String },
    Type { found: String, expected: String },
    Other(String),
}

impl Complaint {
    fn of(message: &str) -> Complaint {
        let ticked = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let after = |prefix: &str| message.strip_prefix(prefix).map(ticked).filter(|names| !names.is_empty());
        if let Some(mut names) = after("unknown field ") {
            let name = names.remove(0);
            return Complaint::UnknownField { name, known: names };
        }
        if let Some(mut names) = after("unknown variant ") {
            let name = names.remove(0);
            return Complaint::UnknownVariant { name, known: names };
        }
        if let Some(mut names) = after("missing field ") {
            return Complaint::Missing { name: names.remove(0) };
        }
        for prefix in ["invalid type: ", "invalid value: "] {
            if let Some((found, expected)) =
                message.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected "))
            {
                return Complaint::Type { found: found.to_owned(), expected: expected.to_owned() };
            }
        }
        Complaint::Other(message.to_owned())
    }

    fn problem(&self, path: &Path, value: Option<&Value>) -> Problem {
        let owner = path.0.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        });
        let problem = match self {
            Complaint::UnknownField { name, known } => suggest(
                Problem::new(format!("there is no setting called `{name}` here")).label("unknown setting"),
                name,
                known,
                "settings here",
            ),
            Complaint::UnknownVariant { name, known } => {
                let what = owner.unwrap_or("value");
                suggest(
                    Problem::new(format!("`{name}` is not one of the choices for `{what}`")).label("unknown choice"),
                    name,
                    known,
                    "choices",
                )
            }
            Complaint::Missing { name } => {
                Problem::new(format!("`{name}` is missing")).label(format!("needs `{name}`"))
            }
            Complaint::Type { found, expected } => mistyped(found, expected, value),
            Complaint::Other(message) => Problem::new(message.clone()),
        };
        problem_at(problem, path)
    }
}

fn problem_at(problem: Problem, path: &Path) -> Problem {
    problem.below(path)
}

fn suggest(problem: Problem, name: &str, known: &[String], what: &str) -> Problem {
    let problem = match closest(name, known.iter().map(String::as_str)) {
        Some(close) => problem.help(format!("did you mean `{close}`?")),
        None => problem,
    };
    match known {
        [] => problem,
        known => problem.help(format!("{what}: {}", known.join(", "))),
    }
}

/// A value of the wrong kind, in YAML's words.
fn mistyped(found: &str, expected: &str, value: Option<&Value>) -> Problem {
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer" | "floating", rest)) => {
            format!("the number {}", rest.trim_start_matches("point ").trim_matches('`'))
        }
        Some(("boolean", text)) => format!("the boolean {}", text.trim_matches('`')),
        _ if found == "map" => "a map".to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "null" => "nothing".to_owned(),
        _ if found.contains("variant") => "a bare word".to_owned(),
        _ => found.to_owned(),
    };
    let expected = match expected {
        "a string" => "text",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "newtype variant" | "struct variant" | "tuple variant" => "a choice with settings: `{ kind: … }`",
        "unit" | "unit variant" => "a bare word: this choice has no settings",
        "map with a single key" => "exactly one choice",
        "string or map" => "a choice: a word, or a map with one key",
        other => other.strip_prefix("struct ").map_or(other, |_| "a map of settings"),
    };
    let problem = Problem::new(format!("expected {expected}, found {found}")).label("wrong kind of value");
    match value.and_then(Value::as_str) {
        Some("yes" | "Yes" | "on" | "On" | "y") if expected == "true or false" => {
            problem.help("YAML 1.2 writes it `true`")
        }
        Some("no" | "No" | "off" | "Off" | "n") if expected == "true or false" => {
            problem.help("YAML 1.2 writes it `false`")
        }
        Some(text) if text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()) => {
            problem.help("a number has no leading zero")
        }
        Some(text) if text.parse::<f64>().is_ok() => problem.help("write the number without quotes"),
        _ => problem,
    }
}
