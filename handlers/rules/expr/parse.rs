//! From text to a tree, within bounds.
//!
//! The parser recurses, so it gets a stack that the longest text we take
//! cannot fill; a tree too deep to walk on an ordinary stack goes no further.

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
    /// Where each node starts, by its id, in characters from 1.
    columns: Vec<(u64, usize)>,
}

impl Parsed {
    /// Where a node starts, in characters from 1.
    pub(super) fn column(&self, id: u64) -> Option<usize> {
        self.columns.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| self.columns[at].1)
    }
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Parsed, Problem> {
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
        parser.spawn_scoped(scope, || read(text)).map(std::thread::ScopedJoinHandle::join)
    });
    match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => Err(Problem::new("the expression cannot be read: its parser gave up on it")),
        Err(error) => Err(Problem::new(format!("the expression cannot be read: {error}"))),
    }
}

fn read(text: &str) -> Result<Parsed, Problem> {
    // Without its macros the parser leaves calls as they are written, and so
    // a mistake within one can be told in the words of whoever wrote it.
    let parser = Env::default().with_optional_support(false).parser();
    let (tree, source) = parser.parse_with_source_info(text).map_err(|errors| unreadable(text, &errors.errors))?;
    let mut columns = Vec::new();
    let deepest = measure(&tree, 0, &mut |id| {
        if let Some((start, _)) = source.offset_for(id) {
            columns.push((id, start as usize + 1));
        }
    });
    if deepest > DEEPEST {
        return Err(Problem::new(format!("the expression nests {deepest} deep"))
            .help(format!("at most {DEEPEST}; work a part of it out in an earlier step")));
    }
    columns.sort_unstable();
    Ok(Parsed { tree, columns })
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
fn unreadable(text: &str, errors: &[ParseError]) -> Problem {
    let Some(first) = errors.iter().find(|error| error.pos.1 >= 0 && error.pos.0 > 0).or(errors.first()) else {
        return Problem::new("the expression cannot be read");
    };
    let words = first.msg.trim_start_matches("Syntax error: ");
    let quoted = |words: &str| words.split('\'').nth(1).unwrap_or_default().to_owned();
    let said = if words.contains("'<EOF>'") && !words.starts_with("extraneous") {
        "it ends too early".to_owned()
    } else if words.starts_with("token recognition") {
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
    let column = usize::try_from(first.pos.1).unwrap_or_default().clamp(1, text.chars().count() + 1);
    let problem = Problem::new(format!("the expression cannot be read: {said} (column {column})"));
    let slips = [("and", "&&"), ("or", "||"), ("not", "!")];
    let slip = slips.iter().find(|(word, _)| text.split_whitespace().any(|written| written == *word));
    match slip {
        _ if text.starts_with('=') => problem.help("an expression starts with one `=`"),
        Some((word, sign)) => problem.help(format!("`{word}` is written `{sign}`")),
        None if text.contains(" = ") => problem.help("what is equal is written `==`"),
        None => problem,
    }
}
