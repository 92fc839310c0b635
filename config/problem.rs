//! What is wrong with a request, where, and what would be right.
//!
//! A [`Problem`] is made where it is noticed, knows its [`Path`] from there,
//! and gets its [`Place`] in the text on the way up; nobody below formats a
//! path or counts a line. [`Problems`] are gathered, so that an operator reads
//! all of them at once.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::outline::Mark;
use super::place::{Path, Place, Segment};

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    label: String,
    help: Vec<String>,
    path: Path,
    /// What to mark at the path.
    mark: Mark,
    /// Whether the marked line is not to be shown.
    private: bool,
    place: Option<Box<Place>>,
}

impl Problem {
    /// A problem, said in one sentence without a full stop.
    pub fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            label: String::new(),
            help: Vec::new(),
            path: Path::default(),
            mark: Mark::Value,
            private: false,
            place: None,
        }
    }

    /// Two or three words beneath the marked text.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = label.into();
        self
    }

    /// What would be right.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help.push(help.into());
        self
    }

    /// What would be right, where a known name is close enough to be what was meant.
    pub fn meant<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        match closest(name, known) {
            Some(close) => self.help(format!("did you mean `{close}`?")),
            None => self,
        }
    }

    /// Says the problem lies one step further in than where it was noticed.
    pub fn within(mut self, step: impl Into<Segment>) -> Problem {
        self.path.0.insert(0, step.into());
        self
    }

    /// Takes back the last [`within`](Self::within): the value stands where what
    /// is around it would.
    pub fn outside(mut self) -> Problem {
        if !self.path.0.is_empty() {
            self.path.0.remove(0);
        }
        self
    }

    /// Says the problem lies below this path.
    pub fn below(mut self, path: &Path) -> Problem {
        self.path = path.join(&self.path);
        self
    }

    /// Says it is the key at the path that is wrong, whatever it holds.
    pub fn key(mut self) -> Problem {
        self.mark = Mark::Key;
        self
    }

    /// Says which bytes of the text at the path are wrong, counted as the text was read.
    pub fn part(mut self, bytes: Range<usize>) -> Problem {
        // A configuration is far smaller than what 32 bits count.
        let [from, to] = [bytes.start, bytes.end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        self.mark = Mark::Part { from, to };
        self
    }

    /// Says that the text at the path ends too early, and from which byte on it cannot be read.
    pub fn unfinished(mut self, from: usize) -> Problem {
        self.mark = Mark::Rest { from: u32::try_from(from).unwrap_or(u32::MAX) };
        self
    }

    /// The first byte that is wrong of the text at the path, where it is not all of it.
    pub fn part_start(&self) -> Option<usize> {
        match self.mark {
            Mark::Part { from, .. } | Mark::Rest { from } => Some(from as usize),
            Mark::Value | Mark::Key => None,
        }
    }

    /// Says the line it is on holds a secret.
    pub fn private(mut self) -> Problem {
        self.private = true;
        self
    }

    /// Says where in a file; what knows best says it first and is kept.
    pub fn at(mut self, place: Place) -> Problem {
        self.place.get_or_insert_with(|| Box::new(place));
        self
    }

    /// The sentence it was said in.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would be right, as far as it was said.
    pub fn helps(&self) -> &[String] {
        &self.help
    }

    /// The way to it from the root of the document.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to mark at the path.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Where it is, once known.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// One step less far in.
    pub(super) fn shortened(mut self) -> Problem {
        self.path.0.pop();
        self
    }

    /// At the same place, in other words.
    pub(super) fn reworded(self, message: String) -> Problem {
        Problem { message, label: String::new(), help: Vec::new(), ..self }
    }

    /// Every text a reader would see, to be rewritten.
    pub(super) fn words_mut(&mut self) -> impl Iterator<Item = &mut String> {
        [&mut self.message, &mut self.label].into_iter().chain(&mut self.help)
    }

    /// The name of the file it is in.
    pub(super) fn file_mut(&mut self) -> Option<&mut String> {
        self.place.as_mut().map(|place| &mut place.file)
    }

    /// Everything but the place, on one line.
    pub fn words(&self) -> String {
        let path = if self.path.0.is_empty() { String::new() } else { format!(" (at {})", self.path) };
        let help = self.help.iter().map(|help| format!("; {help}")).collect::<String>();
        format!("{}{path}{help}", self.message)
    }

    /// Drawn as rustc draws its errors.
    pub fn draw(&self, renderer: &Renderer) -> String {
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .elements(Vec::<Snippet<'_, annotate_snippets::Annotation<'_>>>::new());
        if let Some(place) = &self.place {
            group = match &place.excerpt {
                Some((line, (start, end))) if !self.private => group.element(
                    Snippet::source(line.as_str()).line_start(place.line).path(place.file.as_str()).annotation(
                        AnnotationKind::Primary
                            .span(*start..*end)
                            .label((!self.label.is_empty()).then_some(self.label.as_str())),
                    ),
                ),
                _ => group.element(Origin::path(place.file.as_str()).line(place.line).char_column(place.column)),
            };
        }
        if !self.path.0.is_empty() {
            group = group.element(Level::NOTE.message(format!("at {}", self.path)));
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// On one line, for logs.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, column, .. }) = self.place() {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(&self.words())
    }
}

impl std::error::Error for Problem {}

/// For machines: `check --format json`.
impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut out = serializer.serialize_struct("Problem", 6)?;
        out.serialize_field("file", &self.place.as_ref().map(|place| &place.file))?;
        out.serialize_field("line", &self.place.as_ref().map(|place| place.line))?;
        out.serialize_field("column", &self.place.as_ref().map(|place| place.column))?;
        out.serialize_field("path", &self.path.to_string())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("help", &self.help)?;
        out.end()
    }
}

/// Whoever reads this many knows enough; and finding places takes time.
const MOST_PROBLEMS: usize = 100;

/// Everything that is wrong, in the order of the text; of very much, the first part.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no more are taken, and looking for more is of no use.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST_PROBLEMS
    }

    /// One more.
    pub fn push(&mut self, problem: Problem) {
        if !self.is_full() {
            self.0.push(problem);
        }
    }

    /// One by one, places first to last.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Each changed on its way up.
    pub fn map(self, with: impl FnMut(Problem) -> Problem) -> Problems {
        Problems(self.0.into_iter().map(with).collect())
    }

    /// Those that are worth telling.
    pub fn filter(mut self, is_worth: impl FnMut(&Problem) -> bool) -> Problems {
        self.0.retain(is_worth);
        self
    }

    /// Says they all lie one step further in than where they were noticed.
    pub fn within(self, step: impl Into<Segment>) -> Problems {
        let step = step.into();
        self.map(|problem| problem.within(step.clone()))
    }

    /// The value, or what was gathered, in the order of the text.
    pub fn or<T>(mut self, value: T) -> Result<T, Problems> {
        if self.is_empty() {
            return Ok(value);
        }
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        Err(self)
    }

    /// What was gathered and what ended the gathering, in the order of the text.
    pub(super) fn with(mut self, last: Problem) -> Problems {
        // The last is why nothing is known of the rest, so it is always told.
        self.0.push(last);
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        self
    }

    /// Keeps the value, or gathers why there is none.
    pub fn take<T>(&mut self, result: Result<T, impl Into<Problems>>) -> Option<T> {
        result.map_err(|problems| problems.into().0.into_iter().for_each(|problem| self.push(problem))).ok()
    }

    /// All drawn, one below the other.
    pub fn draw(&self, renderer: &Renderer) -> String {
        let more = self.is_full().then(|| format!("there may be more: these are the first {MOST_PROBLEMS}\n"));
        self.0.iter().map(|problem| problem.draw(renderer) + "\n").chain(more).collect::<Vec<_>>().join("\n")
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name that was most likely meant.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(name.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
