//! From a YAML text to its [`Outline`].
//!
//! This is where the text is held to what a configuration may be: one document,
//! no key twice, no tags, no merge keys, nothing nested or repeated out of all
//! reason.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle};

use super::outline::{Content, Key, Node, Outline};
use super::place::Place;
use super::problem::{Problem, Problems};
use super::scalar;

/// Deeper than any setting, shallow enough for every stack.
const DEEPEST: usize = 64;
/// A configuration with more values, each alias counted as all it stands for,
/// is a database or a bomb.
const MOST_VALUES: usize = 50_000;

/// Reads a text. What can be read on after is gathered in `problems`; the
/// error is what cannot.
pub(super) fn read(file: &str, text: &str, problems: &mut Problems) -> Result<Outline, Problem> {
    let mut reader =
        Reader { file, text, problems, open: Vec::new(), root: None, anchors: HashMap::new(), documents: 0, values: 0 };
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            syntax_problem(file, text, error.marker().byte_offset().unwrap_or(text.len()), &error.info())
        })?;
        if let Some(tag) = span.tag_span() {
            reader.tag(tag.byte_range().unwrap_or(0..0));
        }
        let range = span.byte_range().unwrap_or(0..0);
        reader.event(event, range.clone()).map_err(|problem| problem.at(Place::of(file, text, range)))?;
    }
    Ok(Outline { root: reader.root })
}

/// A map or list whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    tagged: bool,
    parts: Parts,
    /// How many values the text had before this one.
    before: usize,
    /// How deep its deepest part reaches below it.
    height: usize,
}

enum Parts {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, names: HashMap<String, Range<usize>>, next: Next },
}

/// What a map is waiting for.
enum Next {
    Key,
    Value(Key),
    /// The value of a key that is refused, and so goes with it.
    Nothing,
}

/// What an anchor names, for the aliases to come.
struct Anchored {
    node: Node,
    values: usize,
    height: usize,
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: &'a mut Problems,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    documents: usize,
    values: usize,
}

impl Reader<'_> {
    /// Takes one event in; the error is a problem that ends the reading.
    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new("the file holds more than one YAML document")
                        .label("a second one starts here")
                        .help("keep one; join the settings under one set of keys"));
                }
            }
            Event::Alias(anchor) => {
                self.text_for_a_key("an alias")?;
                let Some(Anchored { node, values, height }) = self.anchors.get(&anchor) else {
                    return Err(Problem::new("an alias cannot stand for what it is part of").label("stands for itself"));
                };
                let (content, values, height) = (node.content.clone(), *values, *height);
                self.count(values)?;
                if self.open.len() + height > DEEPEST {
                    return Err(too_deep());
                }
                self.close(Node { range, content }, height);
            }
            Event::UnresolvedAlias(name) => {
                return Err(Problem::new(format!("the alias `*{name}` stands for nothing"))
                    .label("no such anchor before it")
                    .help(format!("put `&{name}` before the value it is to repeat, or the text in quotes")));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if let Some(Open { parts: Parts::Map { next: Next::Key, .. }, .. }) = self.open.last() {
                    self.key(&text, range, plain);
                } else {
                    self.count(1)?;
                    let content = match tag {
                        Some(_) => Content::Tagged,
                        None => Content::Scalar { text: text.into_owned(), plain },
                    };
                    let node = Node { range, content: Arc::new(content) };
                    self.name(anchor, &node, 1, 0);
                    self.close(node, 0);
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(range, anchor, tag.is_some(), Parts::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.start(
                    range,
                    anchor,
                    tag.is_some(),
                    Parts::Map { entries: Vec::new(), names: HashMap::new(), next: Next::Key },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, anchor, tagged, parts, before, height }) = self.open.pop() else {
                    return Ok(());
                };
                let content = match parts {
                    _ if tagged => Content::Tagged,
                    Parts::List(items) => Content::List(items),
                    Parts::Map { entries, .. } => Content::Map(entries),
                };
                let node = Node { range: start..range.start.max(start), content: Arc::new(content) };
                self.name(anchor, &node, self.values - before, height + 1);
                self.close(node, height + 1);
            }
            _ => {}
        }
        Ok(())
    }

    fn tag(&mut self, range: Range<usize>) {
        let problem = Problem::new("a configuration has no tags")
            .label("a tag")
            .help("a choice is written `kind` or `{ kind: … }`, and text that begins with `!` or looks like a number in quotes");
        self.note(problem, range);
    }

    fn note(&mut self, problem: Problem, range: Range<usize>) {
        // Finding a place takes a walk through the text.
        if !self.problems.is_full() {
            self.problems.push(problem.at(Place::of(self.file, self.text, range)));
        }
    }

    /// Refuses what is no text in a key's place.
    fn text_for_a_key(&self, what: &str) -> Result<(), Problem> {
        match self.open.last() {
            Some(Open { parts: Parts::Map { next: Next::Key, .. }, .. }) => Err(Problem::new("a key must be text")
                .label(format!("{what} as a key"))
                .help("settings are named by words")),
            _ => Ok(()),
        }
    }

    fn count(&mut self, values: usize) -> Result<(), Problem> {
        self.values += values;
        if self.values <= MOST_VALUES {
            return Ok(());
        }
        Err(Problem::new(format!("more than {MOST_VALUES} values, each alias counted as all it stands for"))
            .label("one too many")
            .help("what is that large belongs in a file or a database of its own"))
    }

    fn key(&mut self, name: &str, range: Range<usize>, plain: bool) {
        let Some(Open { parts: Parts::Map { names, next, .. }, .. }) = self.open.last_mut() else { return };
        let first = names.get(name).cloned();
        let problem = if name == "<<" && plain {
            Problem::new("merge keys (`<<`) are not part of YAML 1.2")
                .label("a merge key")
                .help("write the settings out where they apply")
        } else if name.contains("${") {
            Problem::new("variables are filled into values, not into keys")
                .label("a variable in a key")
                .help("write the key out")
        } else if let Some(first) = first {
            let line = self.text[..first.start].matches('\n').count() + 1;
            Problem::new(format!("the key `{name}` stands twice in one map"))
                .label("the second one")
                .help(format!("the first is on line {line}; keep one of them"))
        } else if plain && !scalar::plain(name).is_some_and(|value| value.is_string()) {
            Problem::new(format!("a key must be text, and YAML reads `{name}` as something else"))
                .label("not text")
                .help(format!("put it in quotes if it is meant: `\"{name}\"`"))
        } else {
            names.insert(name.to_owned(), range.clone());
            *next = Next::Value(Key { name: name.to_owned(), range });
            return;
        };
        *next = Next::Nothing;
        self.note(problem, range);
    }

    fn start(&mut self, range: Range<usize>, anchor: usize, tagged: bool, parts: Parts) -> Result<(), Problem> {
        self.text_for_a_key("a list or map")?;
        if self.open.len() == DEEPEST {
            return Err(too_deep());
        }
        self.open.push(Open { start: range.start, anchor, tagged, parts, before: self.values, height: 0 });
        self.count(1)
    }

    fn name(&mut self, anchor: usize, node: &Node, values: usize, height: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), values, height });
        }
    }

    /// Hands a finished value to what holds it.
    fn close(&mut self, value: Node, height: usize) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return;
        };
        open.height = open.height.max(height);
        match &mut open.parts {
            Parts::List(items) => items.push(value),
            Parts::Map { entries, next, .. } => {
                if let Next::Value(key) = std::mem::replace(next, Next::Key) {
                    entries.push((key, value));
                }
            }
        }
    }
}

fn too_deep() -> Problem {
    Problem::new(format!("nested more than {DEEPEST} deep")).label("too deep")
}

/// What most often causes a syntax error, by the words the parser has for it.
const HINTS: [(&str, &str); 14] = [
    ("tabs", "YAML is indented with spaces, never with tabs"),
    ("escape", r"in double quotes `\` starts an escape: write `\\`, or use single quotes"),
    ("recursion limit", "nothing in a configuration nests that deep"),
    ("unexpected character", "such a character stands in quotes, an unprintable one as an escape"),
    ("mapping values are not allowed", "text with `: ` in it goes in quotes"),
    ("trailing content", "a text with quotes in it and more around them goes in quotes of the other kind as a whole"),
    ("quoted scalar", "is a quote left open on a line before?"),
    ("unclosed quote", "a text with a quote in it goes in quotes of the other kind as a whole"),
    ("flow mapping", "within `{ }` a text with `,`, `[`, `]`, `{`, `}` or `: ` goes in quotes"),
    ("flow sequence", "within `[ ]` a text with `,`, `[`, `]`, `{`, `}` or `: ` goes in quotes"),
    ("block scalar", "after `|` or `>` the text starts on the next line; one that begins with them goes in quotes"),
    ("not allowed in this context", "text that begins with `- ` or `? ` goes in quotes"),
    ("':' indicator", "is a bracket or a brace left open on a line before?"),
    ("block mapping", "the keys of one map start in the same column"),
];

/// An expression in braces that YAML cut at its first comma, so that the quotes after it
/// opened and closed in the wrong places: the last one before the fault.
fn cut_at_a_comma(text: &str, before: usize) -> Option<Range<usize>> {
    let lines = text.split_inclusive('\n').scan(0, |start, line| {
        let from = *start;
        *start += line.len();
        Some((from, line.trim_end()))
    });
    let cut = |(from, line): (usize, &str)| {
        let brace = line.find('{')?;
        let start = brace + line[brace..].find(": =")? + 2;
        let rest = line[start..].trim_end_matches(['}', ']', ' ']);
        let comma = rest.find(',')?;
        // A quote that was open when YAML cut it.
        (rest[..comma].matches(['"', '\'']).count() % 2 == 1).then(|| from + start..from + start + rest.len())
    };
    lines.take_while(|(from, _)| *from <= before).filter_map(cut).last()
}

fn syntax_problem(file: &str, text: &str, at: usize, message: &str) -> Problem {
    if let Some(cut) = cut_at_a_comma(text, at).filter(|_| message.contains("quote") || message.contains("flow")) {
        return Problem::new("not valid YAML: within braces a text without quotes ends at its first comma")
            .label("not in quotes")
            .help("put the whole of it in quotes, of the kind that it does not have: `'=a + \", \" + b'`")
            .at(Place::of(file, text, cut));
    }
    let place = Place::of(file, text, at..at + 1);
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let problem = Problem::new(format!("not valid YAML: {message}")).label("here");
    let problem = match HINTS.iter().find(|(words, _)| message.contains(words)) {
        // Braces of a variable end a plain scalar inside of braces.
        _ if message.contains("flow") && line.contains("${") => {
            problem.help("inside of `{ }` and `[ ]` a variable goes in quotes: \"${NAME}\"")
        }
        _ if message.contains("block mapping") && text[..at.min(text.len())].ends_with(['}', ']']) => {
            problem.help("text that begins with a bracket goes in quotes")
        }
        Some((_, hint)) => problem.help(*hint),
        None => problem,
    };
    problem.at(place)
}
