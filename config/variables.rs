//! `${NAME}`, `${NAME:-default}`, `${file:/run/secrets/x}`; `$${` for a literal.
//!
//! Variables fill scalars after the text is parsed, so what they hold can
//! never change the file's structure. In a plain scalar the result means what it
//! would if it had been typed there; in quotes it stays text. Every filled
//! value counts as a secret: messages show `${NAME}` in its place.

use std::borrow::Cow;
use std::fmt;
use std::path::Path as FilePath;

use super::place::Path;
use super::problem::Problem;
use super::source::Sources;

/// Values shorter than this are too common in ordinary words to be masked
/// wherever they appear; at their own place they are not told all the same.
const SHORTEST_SECRET_CHARS: usize = 4;
/// A file named by `${file:…}` may hold a secret, not a library.
const LARGEST_SECRET_BYTES: usize = 64 * 1024;

/// A scalar that variables filled.
struct Filled {
    path: Path,
    /// As the operator wrote it.
    written: String,
    /// What was put in, each with the variable that held it.
    values: Vec<(String, String)>,
}

/// The values stay out.
impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.written)
    }
}

/// Every scalar that variables filled.
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<Filled>);

/// Where variables come from; a test brings its own environment.
pub(super) struct Surroundings<'a> {
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub base: &'a FilePath,
    pub sources: &'a mut Sources,
}

impl Variables {
    /// The text of a scalar with its variables filled in, and whether it had any.
    pub(super) fn fill<'a>(
        &mut self,
        written: &'a str,
        path: &Path,
        from: &mut Surroundings<'_>,
    ) -> Result<(Cow<'a, str>, bool), Problem> {
        if !written.contains("${") {
            return Ok((written.into(), false));
        }
        let mut values = Vec::new();
        let text = expand(written, &mut values, from)?;
        let filled = !values.is_empty();
        if filled {
            self.0.push(Filled { path: path.clone(), written: written.to_owned(), values });
        }
        Ok((text.into(), filled))
    }

    /// What the operator wrote at a path, if variables filled it.
    pub(super) fn written(&self, path: &Path) -> Option<&str> {
        self.0.iter().find(|filled| filled.path == *path).map(|filled| filled.written.as_str())
    }

    /// Words about a path with every filled value replaced by the variable that
    /// held it; `None` where they may tell a part of the value filled in at
    /// that very place.
    pub(super) fn mask(&self, words: &str, path: &Path) -> Option<String> {
        // First cut out, then named: a variable's own spelling may hold its value, as a default.
        let mut cut = words.to_owned();
        let long = |value: &String| value.chars().count() >= SHORTEST_SECRET_CHARS;
        let all = || self.0.iter().flat_map(|filled| &filled.values).filter(|(_, value)| long(value));
        for (at, (_, value)) in all().enumerate() {
            cut = cut.replace(value.as_str(), &gap(at)).replace(&escaped(value), &gap(at));
        }
        let here = self.0.iter().filter(|filled| path.0.starts_with(&filled.path.0));
        if here.flat_map(|filled| &filled.values).any(|(_, value)| tells(&cut, value)) {
            return None;
        }
        Some(all().enumerate().fold(cut, |words, (at, (variable, _))| words.replace(&gap(at), variable)))
    }

    /// As [`mask`](Self::mask), for what stands where no variable filled it.
    pub(super) fn mask_elsewhere(&self, words: &str) -> String {
        self.mask(words, &Path::default()).unwrap_or_default()
    }
}

/// What stands for a value that was cut out: characters nobody writes.
fn gap(number: usize) -> String {
    format!("\u{e000}{number}\u{e001}")
}

/// As Rust's messages quote it.
fn escaped(value: &str) -> String {
    let quoted = format!("{value:?}");
    quoted[1..quoted.len() - 1].to_owned()
}

/// Whether words hold a part of a value long enough to be told by, or all of a
/// short one.
fn tells(words: &str, value: &str) -> bool {
    let starts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    let length = (starts.len() - 1).min(SHORTEST_SECRET_CHARS);
    length > 0 && starts.windows(length + 1).any(|window| words.contains(&value[window[0]..window[length]]))
}

/// Puts values in for variables, gathering what was put in.
fn expand(written: &str, values: &mut Vec<(String, String)>, from: &mut Surroundings<'_>) -> Result<String, Problem> {
    let mut text = String::new();
    let mut rest = written;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            text.push_str(&rest[..at - 1]);
            text.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        text.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or_else(|| {
            Problem::new("a variable has no closing brace")
                .label("`${` without `}`")
                .help("for a literal `${` write `$${`")
        })?;
        let variable = format!("${{{}}}", &inside[..end]);
        let value = look_up(&inside[..end], from)?;
        text.push_str(&value);
        values.push((variable, value));
        rest = &inside[end + 1..];
    }
    text.push_str(rest);
    Ok(text)
}

/// What one variable holds.
fn look_up(name: &str, from: &mut Surroundings<'_>) -> Result<String, Problem> {
    if let Some(file) = name.strip_prefix("file:") {
        let path = from.base.join(file);
        let bytes = from.sources.read(&path, LARGEST_SECRET_BYTES as u64).map_err(|error| {
            Problem::new(format!("cannot read the file of `${{{name}}}`: {error}")).label("no such value")
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Problem::new(format!("the file of `${{{name}}}` is not UTF-8 text")).label("not text"))?;
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    let (name, default) = match name.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (name, None),
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(valid) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Problem::new(format!("`{name}` cannot be a variable's name"))
            .label("bad name")
            .help("write `${NAME}`, `${NAME:-default}`, `${file:/path}`, or `$${` for a literal `${`"));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Problem::new("a default cannot hold a variable").label("a variable in a default"));
    }
    // As in a shell, `:-` also stands in for a variable that is set but empty.
    match (from.env)(name).filter(|value| default.is_none() || !value.is_empty()) {
        Some(value) => Ok(value),
        None => default.map(str::to_owned).ok_or_else(|| {
            Problem::new(format!("the variable `{name}` is not set"))
                .label("not set")
                .help(format!("set it in the environment, or give a default: `${{{name}:-…}}`"))
        }),
    }
}
