//! What does not fit a settings type, from serde's terms to an operator's words.

use std::fmt;

use serde::de::{self, Expected, Unexpected};
use serde_json::Value;

use super::outline::{Content, Node};
use super::place::{Path, Segment};
use super::problem::Problem;
use super::values::Tree;

/// Longer texts are cut where a message quotes them.
const LONGEST_QUOTE_CHARS: usize = 40;

/// The first thing that does not fit.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) path: Path,
    /// Whether the path's last key is what is wrong, rather than its value.
    pub(super) key: bool,
    pub(super) complaint: Complaint,
}

/// What serde knows about it.
#[derive(Debug)]
pub(super) enum Complaint {
    UnknownSetting {
        name: String,
        known: &'static [&'static str],
    },
    UnknownChoice {
        name: String,
        known: &'static [&'static str],
    },
    Missing {
        name: &'static str,
    },
    /// What was expected, in serde's words or in Rust's names.
    Kind {
        expected: String,
    },
    /// A type's own sentence; further lines are help.
    Custom(String),
    /// A secret written out.
    Literal,
    /// A value that a problem was told of before.
    Told,
}

impl Misfit {
    pub(super) fn new(complaint: Complaint) -> Misfit {
        Misfit { path: Path::default(), key: false, complaint }
    }

    pub(super) fn kind(expected: impl Into<String>) -> Misfit {
        Misfit::new(Complaint::Kind { expected: expected.into() })
    }

    pub(super) fn within(mut self, step: impl Into<Segment>) -> Misfit {
        self.path.0.insert(0, step.into());
        self
    }

    /// Says it is this key that is wrong.
    pub(super) fn at_key(mut self, key: &str) -> Misfit {
        self.key = true;
        self.within(key)
    }
}

/// Never shown: a section words each complaint itself.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.complaint)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(words: T) -> Misfit {
        Misfit::new(Complaint::Custom(words.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Misfit {
        Misfit::kind(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Misfit {
        Misfit::kind(expected.to_string())
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Misfit {
        Misfit::custom(format!("{} is due, and this has {length}", plainly(&expected.to_string())))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Misfit {
        Misfit::new(Complaint::UnknownSetting { name: name.to_owned(), known })
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Misfit {
        Misfit::new(Complaint::UnknownChoice { name: name.to_owned(), known })
    }

    fn missing_field(name: &'static str) -> Misfit {
        Misfit::new(Complaint::Missing { name })
    }
}

impl Complaint {
    /// In an operator's words.
    pub(super) fn worded(&self, path: &Path, found: &str) -> Problem {
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
            // serde would name the Rust type.
            Complaint::Custom(words) if words.starts_with("data did not match any variant") => {
                Problem::new(format!("{found} is none of what can stand here")).label("does not fit")
            }
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

/// What others call a setting, where that is spelt too unlike ours.
const ELSEWHERE: [(&str, &str); 2] = [("file", "path"), ("retries", "retry")];

fn suggest(problem: Problem, name: &str, known: &[&str], what: &str) -> Problem {
    let elsewhere = ELSEWHERE.iter().find(|(theirs, ours)| *theirs == name && known.contains(ours));
    let problem = problem.meant(elsewhere.map_or(name, |(_, ours)| ours), known.iter().copied());
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
        _ => match name.rsplit_once("tuple of size ") {
            Some((_, length)) => format!("a list of {length}"),
            None => expected.to_owned(),
        },
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
        // A text of several words was meant as several, as in a shell.
        Some(text) if expected == "a list" && !text.ends_with('…') => {
            let items: Vec<_> = text.split_whitespace().map(|item| format!("'{}'", item.replace('\'', "''"))).collect();
            problem.help(format!("a list has brackets around it: `[{}]`", items.join(", ")))
        }
        None if expected == "a map" && found == "a list" => problem
            .help("a map has a key for each value: `{ key: value }`, or `key: value` line by line without dashes"),
        None if expected == "a list" && found == "a map" => {
            problem.help("a list has brackets around it, `[ … ]`, or a dash before each item")
        }
        None if found == "nothing" => problem.help("a setting that is to keep its default is left out altogether"),
        None if expected == "text" && !found.starts_with("a ") && found != "nothing" => {
            problem.help("put it in quotes if it is meant as text")
        }
        _ => problem,
    }
}

/// What stands at a path, as a message quotes it.
pub(super) fn found(tree: Option<&Tree>, node: Option<&Node>) -> String {
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
