//! Where everything stands in a YAML text.
//!
//! serde_yaml gives values without places; granit-parser gives events with
//! byte ranges. The outline is the second reading of the same text: a tree of
//! ranges, asked by [`Path`]. It is also where the text is held to what a
//! configuration may be: one document, no key twice, no tags, no merge keys,
//! nothing nested out of all reason.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

use super::problem::{Path, Place, Problem, Problems, Segment};

/// Deeper than any setting, shallow enough for every stack.
const DEEPEST: usize = 64;
/// A text with more aliases than this is not sharing values, it is a bomb.
const MOST_ALIASES: usize = 100;

/// A value's range in the text, and its parts.
#[derive(Debug)]
pub(super) struct Node {
    range: Range<usize>,
    plain: bool,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    None,
    Map(Vec<(String, Range<usize>, Node)>),
    List(Vec<Node>),
}

/// The tree of a whole text.
#[derive(Debug)]
pub(super) struct Outline {
    root: Option<Node>,
}

impl Outline {
    /// Reads a text's places, or says why it is no configuration.
    pub(super) fn read(file: &str, text: &str) -> Result<Outline, Problems> {
        let mut reader = Reader {
            file,
            text,
            open: Vec::new(),
            root: None,
            aliases: 0,
            documents: 0,
            problems: Problems::default(),
        };
        for event in Parser::new_from_str(text) {
            match event {
                Ok((event, span)) => {
                    let range = span.byte_range().unwrap_or(0..0);
                    if !reader.event(event, range) {
                        break;
                    }
                }
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(0);
                    reader.problems.push(syntax_problem(file, text, at, &error.info()));
                    break;
                }
            }
        }
        let Reader { root, problems, .. } = reader;
        problems.or(Outline { root })
    }

    /// The range to mark for a path: the scalar there, the key of a larger
    /// value, or the nearest ancestor that the text has.
    pub(super) fn range(&self, path: &Path) -> Option<Range<usize>> {
        let mut node = self.root.as_ref()?;
        let mut best = node.range.clone();
        for segment in &path.0 {
            match (segment, &node.parts) {
                (Segment::Key(name), Parts::Map(entries)) => {
                    let Some((_, key_range, value)) = entries.iter().find(|(entry, ..)| entry == name) else {
                        return Some(best);
                    };
                    // A list or map is best marked by its key: its own range may span pages.
                    let scalar = matches!(value.parts, Parts::None) && !value.range.is_empty();
                    best = if scalar { value.range.clone() } else { key_range.clone() };
                    node = value;
                }
                (Segment::Index(index), Parts::List(items)) => {
                    let Some(item) = items.get(*index) else { return Some(best) };
                    best = item.range.clone();
                    node = item;
                }
                _ => return Some(best),
            }
        }
        Some(best)
    }

    /// Whether the scalar at a path was written without quotes.
    pub(super) fn is_plain(&self, path: &Path) -> bool {
        self.find(path).is_some_and(|node| node.plain)
    }

    /// The range of exactly this value; `None` where the text does not have it.
    pub(super) fn exact(&self, path: &Path) -> Option<Range<usize>> {
        self.find(path).map(|node| node.range.clone())
    }

    fn find(&self, path: &Path) -> Option<&Node> {
        path.0.iter().try_fold(self.root.as_ref()?, |node, segment| match (segment, &node.parts) {
            (Segment::Key(name), Parts::Map(entries)) => {
                entries.iter().find(|(entry, ..)| entry == name).map(|(.., value)| value)
            }
            (Segment::Index(index), Parts::List(items)) => items.get(*index),
            _ => None,
        })
    }
}

/// A collection whose end has not come yet.
struct Open {
    node: Node,
    key: Option<(String, Range<usize>)>,
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    aliases: usize,
    documents: usize,
    problems: Problems,
}

impl Reader<'_> {
    fn problem(&mut self, problem: Problem, range: Range<usize>) {
        self.problems.push(problem.at(Place::of(self.file, self.text, range)));
    }

    /// Takes one event in; false where reading on would be of no use.
    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> bool {
        if let Some(tag) = event.tag() {
            let problem = Problem::new(format!("a configuration has no tags, and this is `{}`", tag.original()))
                .label("unknown tag")
                .help("choices are written `kind` or `{ kind: settings }`, without a tag");
            self.problem(problem, range.clone());
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    let problem = Problem::new("the file holds more than one YAML document")
                        .label("a second one starts here")
                        .help("keep one; join the settings under one set of keys");
                    self.problem(problem, range);
                    return false;
                }
            }
            Event::Alias(_) => {
                self.aliases += 1;
                if self.aliases > MOST_ALIASES {
                    let problem = Problem::new(format!("more than {MOST_ALIASES} aliases"))
                        .label("one too many")
                        .help("write the values out, or set them by variables");
                    self.problem(problem, range);
                    return false;
                }
                self.close(Node { range, plain: false, parts: Parts::None });
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                if self.wants_key() {
                    self.key(text.into_owned(), range, plain);
                } else {
                    self.close(Node { range, plain, parts: Parts::None });
                }
            }
            Event::SequenceStart(..) => return self.start(range, Parts::List(Vec::new())),
            Event::MappingStart(..) => return self.start(range, Parts::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, .. }) = self.open.pop() {
                    node.range.end = range.start.max(node.range.start);
                    self.close(node);
                }
            }
            _ => {}
        }
        true
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { node: Node { parts: Parts::Map(_), .. }, key: None }))
    }

    fn key(&mut self, name: String, range: Range<usize>, plain: bool) {
        if name == "<<" && plain {
            let problem = Problem::new("merge keys (`<<`) are not part of YAML 1.2")
                .label("merge key")
                .help("write the settings out where they apply");
            self.problem(problem, range.clone());
        }
        let Some(Open { node: Node { parts: Parts::Map(entries), .. }, .. }) = self.open.last() else { return };
        if let Some((_, first, _)) = entries.iter().find(|(entry, ..)| *entry == name) {
            let line = Place::of(self.file, self.text, first.clone()).line;
            let problem = Problem::new(format!("the key `{name}` stands twice in one map"))
                .label("the second one")
                .help(format!("the first is on line {line}; keep one of them"));
            self.problem(problem, range.clone());
        }
        if let Some(open) = self.open.last_mut() {
            open.key = Some((name, range));
        }
    }

    fn start(&mut self, range: Range<usize>, parts: Parts) -> bool {
        if self.wants_key() {
            self.problem(
                Problem::new("a key must be text").label("a list or map as a key").help("settings are named by words"),
                range.clone(),
            );
            return false;
        }
        if self.open.len() == DEEPEST {
            self.problem(Problem::new(format!("nested more than {DEEPEST} deep")).label("too deep"), range);
            return false;
        }
        self.open.push(Open { node: Node { range, plain: false, parts }, key: None });
        true
    }

    /// Hands a finished value to what holds it.
    fn close(&mut self, value: Node) {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open { node: Node { parts: Parts::List(items), .. }, .. }) => items.push(value),
            Some(Open { node: Node { parts: Parts::Map(entries), .. }, key }) => {
                if let Some((name, range)) = key.take() {
                    entries.push((name, range, value));
                }
            }
            Some(_) => {}
        }
    }
}

/// A syntax error with what most often causes it.
pub(super) fn syntax_problem(file: &str, text: &str, at: usize, message: &str) -> Problem {
    let place = Place::of(file, text, at..at + 1);
    let problem = Problem::new(format!("not valid YAML: {message}")).label("here");
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let indented_by_tab = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let problem = if indented_by_tab(line) || text.lines().nth(place.line).is_some_and(indented_by_tab) {
        problem.help("YAML is indented with spaces, never with tabs")
    } else {
        problem
    };
    problem.at(place)
}
