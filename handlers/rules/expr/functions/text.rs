//! Text: what is in it, parts of it, other text made of it. Places in a text
//! are counted in characters.

use super::super::failed::Failed;
use super::super::run::Frame;
use super::super::seen::{Seen, Text};
use super::{Due, Function, Gives, Overload, Style, unfit, wrong};

macro_rules! method {
    ($name:literal, [$($overload:expr),+], $run:expr) => {
        Function { name: $name, style: Style::Method, overloads: &[$($overload),+], run: $run }
    };
}

const TWO: Overload = Overload(&[Due::String, Due::String], Gives::Bool);

pub(super) const FUNCTIONS: &[Function] = &[
    method!("contains", [TWO], |given, frame| ask("contains", given, frame, |text, part| text.contains(part))),
    method!("startsWith", [TWO], |given, frame| ask("startsWith", given, frame, |text, part| text.starts_with(part))),
    method!("endsWith", [TWO], |given, frame| ask("endsWith", given, frame, |text, part| text.ends_with(part))),
    Function { name: "matches", style: Style::Both, overloads: &[TWO], run: matches },
    method!("lowerAscii", [Overload(&[Due::String], Gives::String)], |given, frame| {
        made("lowerAscii", given, frame, str::to_ascii_lowercase)
    }),
    method!("upperAscii", [Overload(&[Due::String], Gives::String)], |given, frame| {
        made("upperAscii", given, frame, str::to_ascii_uppercase)
    }),
    method!("trim", [Overload(&[Due::String], Gives::String)], |given, frame| {
        made("trim", given, frame, |text| text.trim().to_owned())
    }),
    method!("charAt", [Overload(&[Due::String, Due::Int], Gives::String)], char_at),
    method!(
        "substring",
        [
            Overload(&[Due::String, Due::Int], Gives::String),
            Overload(&[Due::String, Due::Int, Due::Int], Gives::String)
        ],
        substring
    ),
    method!(
        "indexOf",
        [
            Overload(&[Due::String, Due::String], Gives::Int),
            Overload(&[Due::String, Due::String, Due::Int], Gives::Int)
        ],
        |given, frame| index_of("indexOf", given, frame)
    ),
    method!("lastIndexOf", [Overload(&[Due::String, Due::String], Gives::Int)], |given, frame| {
        index_of("lastIndexOf", given, frame)
    }),
    method!(
        "replace",
        [
            Overload(&[Due::String, Due::String, Due::String], Gives::String),
            Overload(&[Due::String, Due::String, Due::String, Due::Int], Gives::String)
        ],
        replace
    ),
    method!(
        "split",
        [
            Overload(&[Due::String, Due::String], Gives::Strings),
            Overload(&[Due::String, Due::String, Due::Int], Gives::Strings)
        ],
        split
    ),
    method!("join", [Overload(&[Due::List], Gives::String), Overload(&[Due::List, Due::String], Gives::String)], join),
    method!("format", [Overload(&[Due::String, Due::List], Gives::String)], super::format::format),
];

fn ask<'a>(
    name: &'static str,
    given: &[Seen<'a>],
    frame: &mut Frame<'a>,
    of: fn(&str, &str) -> bool,
) -> Result<Seen<'a>, Failed> {
    let [Seen::String(text), Seen::String(part)] = given else { return unfit(name, given) };
    frame.steps.bytes(text.len() + part.len())?;
    Ok(Seen::Bool(of(text, part)))
}

fn made<'a>(
    name: &'static str,
    given: &[Seen<'a>],
    frame: &mut Frame<'a>,
    of: fn(&str) -> String,
) -> Result<Seen<'a>, Failed> {
    let [Seen::String(text)] = given else { return unfit(name, given) };
    frame.steps.bytes(text.len())?;
    Ok(Seen::text(of(text)))
}

/// Patterns that are no constants are made anew each time.
fn matches<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::String(text), Seen::String(pattern)] = given else { return unfit("matches", given) };
    // Making a pattern is far more work than its length.
    frame.steps.many(2_000 + 100 * pattern.len() + text.len())?;
    match compiled(pattern) {
        Ok(pattern) => Ok(Seen::Bool(pattern.is_match(text))),
        Err(_) => wrong("matches", "is given a pattern that cannot be read, or one too large"),
    }
}

/// A pattern within bounds.
pub(in super::super) fn compiled(pattern: &str) -> Result<regex::Regex, regex::Error> {
    const LARGEST_BYTES: usize = 256 << 10;
    regex::RegexBuilder::new(pattern).size_limit(LARGEST_BYTES).dfa_size_limit(LARGEST_BYTES).build()
}

/// Where the character at an index starts, or the text ends.
fn offset(text: &str, at: i64) -> Result<usize, Failed> {
    let at = usize::try_from(at).map_err(|_| Failed::NoSuchIndex)?;
    let mut offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]);
    offsets.nth(at).ok_or(Failed::NoSuchIndex)
}

/// A part of a text, which stays where it is if it can.
fn part<'a>(text: &Text<'a>, range: std::ops::Range<usize>) -> Seen<'a> {
    match text {
        Text::Lent(text) => Seen::String(Text::Lent(text.get(range).unwrap_or_default())),
        Text::Made(text) => Seen::text(text.get(range).unwrap_or_default()),
    }
}

fn char_at<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::String(text), Seen::Int(at)] = given else { return unfit("charAt", given) };
    frame.steps.bytes(text.len())?;
    let start = offset(text, *at)?;
    let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    Ok(part(text, start..end))
}

fn substring<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let (text, start, end) = match given {
        [Seen::String(text), Seen::Int(start)] => (text, offset(text, *start)?, text.len()),
        [Seen::String(text), Seen::Int(start), Seen::Int(end)] => (text, offset(text, *start)?, offset(text, *end)?),
        _ => return unfit("substring", given),
    };
    frame.steps.bytes(2 * text.len())?;
    if start > end { Err(Failed::NoSuchIndex) } else { Ok(part(text, start..end)) }
}

fn index_of<'a>(name: &'static str, given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let (text, sought, from) = match given {
        [Seen::String(text), Seen::String(sought)] => (text, sought, 0),
        [Seen::String(text), Seen::String(sought), Seen::Int(from)] => (text, sought, offset(text, *from)?),
        _ => return unfit(name, given),
    };
    frame.steps.bytes(text.len() + sought.len())?;
    let found =
        if name == "indexOf" { text[from..].find(&**sought).map(|at| from + at) } else { text.rfind(&**sought) };
    Ok(Seen::Int(found.map_or(-1, |at| text[..at].chars().count() as i64)))
}

fn replace<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let (text, from, to, most) = match given {
        [Seen::String(text), Seen::String(from), Seen::String(to)] => (text, from, to, usize::MAX),
        [Seen::String(text), Seen::String(from), Seen::String(to), Seen::Int(most)] => {
            (text, from, to, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return unfit("replace", given),
    };
    // What comes out can be far longer than what went in.
    let found = if from.is_empty() { text.len() + 1 } else { text.len() / from.len() };
    frame.steps.bytes(text.len())?;
    let times = if found > 64 && !from.is_empty() { text.matches(&**from).count() } else { found };
    frame.steps.bytes(text.len().saturating_add(times.min(most).saturating_mul(to.len())))?;
    Ok(Seen::text(text.replacen(&**from, to, most)))
}

fn split<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let (text, by, most) = match given {
        [Seen::String(text), Seen::String(by)] => (text, by, usize::MAX),
        [Seen::String(text), Seen::String(by), Seen::Int(most)] => {
            (text, by, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return unfit("split", given),
    };
    frame.steps.bytes(text.len())?;
    let mut parts = Vec::new();
    let mut rest = 0;
    // Without a separator every character is a part, and there is none before the first.
    let end_of_next = |from: usize| match &**by {
        "" => text[from..]
            .chars()
            .next()
            .map(|c| from + c.len_utf8())
            .filter(|end| *end < text.len())
            .map(|end| (end, end)),
        by => text[from..].find(by).map(|at| (from + at, from + at + by.len())),
    };
    while parts.len() + 1 < most {
        let Some((end, next)) = end_of_next(rest) else { break };
        frame.steps.one()?;
        parts.push(part(text, rest..end));
        rest = next;
    }
    if most > 0 && !(by.is_empty() && text.is_empty()) {
        parts.push(part(text, rest..text.len()));
    }
    Ok(Seen::list(parts))
}

fn join<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let (list, between) = match given {
        [Seen::List(list)] => (list, ""),
        [Seen::List(list), Seen::String(between)] => (list, &**between),
        _ => return unfit("join", given),
    };
    let mut joined = String::new();
    for (at, item) in list.iter().enumerate() {
        let Seen::String(text) = &item else { return unfit("join", &[item]) };
        frame.steps.one()?;
        frame.steps.bytes(text.len() + between.len())?;
        if at > 0 {
            joined.push_str(between);
        }
        joined.push_str(text);
    }
    Ok(Seen::text(joined))
}
