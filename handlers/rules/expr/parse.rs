//! From text to a tree, within bounds.
//!
//! The parser recurses, so it gets a stack that the longest text we take
//! cannot fill; a tree too deep to walk on an ordinary stack goes no further.

use std::ops::Range;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Env, ParseError};

use crate::config::Problem;

/// The longest expression, in bytes.
pub(super) const LONGEST_BYTES: usize = 4 << 10;
/// The most operators, calls and brackets within each other.
const DEEPEST: usize = 100;
/// More than a text of the longest kind can make the parser use.
const STACK_BYTES: usize = 128 << 20;

/// A text that was read.
pub(super) struct Parsed {
    pub(super) tree: IdedExpr,
    /// The word each node is about, by its id, in bytes of the text as it was written.
    words: Vec<(u64, Range<usize>)>,
}

impl Parsed {
    /// Where the word stands that a node is about: a name, an operator, a bracket.
    pub(super) fn word(&self, id: u64) -> Option<Range<usize>> {
        self.words.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| self.words[at].1.clone())
    }
}

/// Reads an expression, which may have its `=` before it.
pub(super) fn parse(written: &str) -> Result<Parsed, Problem> {
    let text = written.strip_prefix('=').unwrap_or(written);
    let from = written.len() - text.len();
    if text.trim().is_empty() {
        return Err(
            Problem::new("there is no expression after the `=`").help("a text that starts with `=` is written `='=…'`")
        );
    }
    if text.len() > LONGEST_BYTES {
        return Err(Problem::new(format!("the expression is {} bytes long", text.len())).help(format!(
            "an expression has at most {LONGEST_BYTES} bytes; work a part of it out in an earlier step"
        )));
    }
    let parsed = std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK_BYTES);
        parser.spawn_scoped(scope, || read(text, from)).map(std::thread::ScopedJoinHandle::join)
    });
    match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => Err(Problem::new("the expression cannot be read: its parser gave up on it")),
        Err(error) => Err(Problem::new(format!("the expression cannot be read: {error}"))),
    }
}

/// `from` is where the text starts in what was written.
fn read(text: &str, from: usize) -> Result<Parsed, Problem> {
    // Without its macros the parser leaves calls as they are written, and so
    // a mistake within one can be told in the words of whoever wrote it.
    let parser = Env::default().with_optional_support(false).parser();
    let (tree, source) =
        parser.parse_with_source_info(text).map_err(|errors| unreadable(text, from, &errors.errors))?;
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let byte = |character: u32| starts.get(character as usize).copied().unwrap_or(text.len());
    let mut words = Vec::new();
    let deepest = measure(&tree, 0, &mut |id| {
        if let Some((first, last)) = source.offset_for(id) {
            let word = word(text, byte(first)..byte(last.saturating_add(1)).max(byte(first)));
            words.push((id, word.start + from..word.end + from));
        }
    });
    if deepest > DEEPEST {
        return Err(Problem::new(format!("the expression nests {deepest} deep"))
            .help(format!("at most {DEEPEST}; work a part of it out in an earlier step")));
    }
    words.sort_unstable_by_key(|(id, _)| *id);
    Ok(Parsed { tree, words })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What a token of the parser's is about: a dot of the name after it, a
/// bracket of that before it.
fn word(text: &str, token: Range<usize>) -> Range<usize> {
    let word = match &text[token.clone()] {
        "." => {
            let rest = text[token.end..].trim_start();
            let from = text.len() - rest.len();
            from..from + rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        }
        "(" => {
            let before = text[..token.start].trim_end();
            before.trim_end_matches(is_name).len()..before.len()
        }
        _ => return token,
    };
    if word.is_empty() { token } else { word }
}

/// How deep a tree is; every node is shown on the way.
fn measure(node: &IdedExpr, above: usize, seen: &mut impl FnMut(u64)) -> usize {
    seen(node.id);
    let mut deepest = above + 1;
    let mut below = |node: &IdedExpr, seen: &mut _| deepest = deepest.max(measure(node, above + 1, seen));
    match &node.expr {
        Expr::Call(call) => {
            call.target.iter().map(|target| &**target).chain(&call.args).for_each(|node| below(node, seen))
        }
        Expr::Select(select) => below(&select.operand, seen),
        Expr::List(list) => list.elements.iter().for_each(|node| below(node, seen)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                below(&entry.key, seen);
                below(&entry.value, seen);
            }
            EntryExpr::StructField(field) => below(&field.value, seen),
        }),
        Expr::Struct(of) => of.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => below(&entry.value, seen),
            EntryExpr::StructField(field) => below(&field.value, seen),
        }),
        Expr::Comprehension(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
    deepest
}

/// The first thing the parser did not understand, in our words.
fn unreadable(text: &str, from: usize, errors: &[ParseError]) -> Problem {
    let Some(first) = errors.iter().find(|error| error.pos.1 >= 0 && error.pos.0 > 0).or(errors.first()) else {
        return Problem::new("the expression cannot be read");
    };
    let words = first.msg.trim_start_matches("Syntax error: ");
    let quoted = |words: &str| words.split('\'').nth(1).unwrap_or_default().to_owned();
    let is_unfinished = words.contains("'<EOF>'") && !words.starts_with("extraneous");
    let is_unknown = words.starts_with("token recognition");
    let said = if is_unfinished {
        "it ends too early".to_owned()
    } else if is_unknown {
        format!(
            "`{}` means nothing here; is a text without its closing quote?",
            words.split(": ").last().unwrap_or_default().trim_matches('\'')
        )
    } else if words.starts_with("extraneous input") {
        format!("`{}` is not expected", quoted(words))
    } else if words.starts_with("mismatched input") {
        format!("something else is expected in place of `{}`", quoted(words))
    } else if words.starts_with("no viable alternative") {
        format!("it makes no sense from `{}` on", quoted(words))
    } else if words.contains("ecursion") {
        "it nests too deep".to_owned()
    } else {
        words.chars().take(200).collect()
    };
    let problem = Problem::new(format!("the expression cannot be read: {said}"));
    let at = noticed(text, first.pos);
    let problem = if is_unfinished || is_unknown {
        problem.unfinished(from + at)
    } else {
        let name = text[at..].find(|c| !is_name(c)).unwrap_or(text.len() - at);
        let length = name.max(text[at..].chars().next().map_or(0, char::len_utf8));
        problem.part(from + at..from + at + length)
    };
    let slips = [("and", "&&"), ("or", "||"), ("not", "!")];
    let slip = slips.iter().find(|(word, _)| text.split_whitespace().any(|written| written == *word));
    match slip {
        _ if text.starts_with('=') => problem.help("an expression starts with one `=`"),
        Some((word, sign)) => problem.help(format!("`{word}` is written `{sign}`")),
        None if text.contains(" = ") => problem.help("what is equal is written `==`"),
        None => problem,
    }
}

/// Where the parser noticed something, in bytes; it counts lines and characters from 1.
fn noticed(text: &str, (line, column): (isize, isize)) -> usize {
    let count = |number: isize| usize::try_from(number - 1).unwrap_or_default();
    let start: usize = text.split_inclusive('\n').take(count(line)).map(str::len).sum();
    let characters = text[start..].char_indices().map(|(at, _)| start + at);
    characters.chain([text.len()]).nth(count(column)).unwrap_or(text.len())
}
