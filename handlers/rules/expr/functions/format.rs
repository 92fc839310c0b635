//! `"%s is %d".format([name, age])`.

use super::super::failed::Failed;
use super::super::run::Frame;
use super::super::seen::Seen;
use super::convert::written;
use super::{math, unfit, wrong};

/// The most digits behind the point.
const MOST_DIGITS: usize = 100;

/// Digits behind the point unless told otherwise.
const DIGITS: usize = 6;

pub(super) fn format<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::String(pattern), Seen::List(list)] = given else { return unfit("format", given) };
    frame.steps.bytes(pattern.len())?;
    let mut out = String::with_capacity(pattern.len());
    let mut rest: &str = pattern;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let digits = rest.strip_prefix('.').map(|after| &after[..after.bytes().take_while(u8::is_ascii_digit).count()]);
        let precision = match digits {
            None => DIGITS,
            Some(digits) => match digits.parse() {
                Ok(precision) if precision <= MOST_DIGITS => precision,
                _ => return wrong("format", "is given a precision that is no number up to 100"),
            },
        };
        rest = &rest[digits.map_or(0, |digits| digits.len() + 1)..];
        let Some(verb) = rest.chars().next() else { return wrong("format", "ends in the middle of a `%`") };
        rest = &rest[verb.len_utf8()..];
        let Some(value) = list.get(next) else { return wrong("format", "has more `%` than values") };
        next += 1;
        let before = out.len();
        one(verb, precision, &value, &mut out, frame)?;
        frame.steps.one()?;
        frame.steps.bytes(out.len() - before)?;
    }
    out.push_str(rest);
    Ok(Seen::text(out))
}

/// One value in the way that its letter says.
fn one(verb: char, precision: usize, value: &Seen<'_>, out: &mut String, frame: &mut Frame<'_>) -> Result<(), Failed> {
    let text = match (verb, value) {
        ('s', value) => return all(value, out, frame),
        ('d', Seen::Int(_) | Seen::Uint(_) | Seen::Double(_)) => written(value),
        ('f', value) => {
            math::double(value).map(|value| finite(value).unwrap_or_else(|| format!("{value:.precision$}")))
        }
        ('e', value) => math::double(value).map(|value| finite(value).unwrap_or_else(|| scientific(value, precision))),
        ('b', Seen::Bool(value)) => Some(u8::from(*value).to_string()),
        ('b', Seen::Int(value)) => Some(format!("{}{:b}", minus(*value), value.unsigned_abs())),
        ('b', Seen::Uint(value)) => Some(format!("{value:b}")),
        ('o', Seen::Int(value)) => Some(format!("{}{:o}", minus(*value), value.unsigned_abs())),
        ('o', Seen::Uint(value)) => Some(format!("{value:o}")),
        ('x' | 'X', value) => {
            hexadecimal(value, frame)?.map(|text| if verb == 'X' { text.to_uppercase() } else { text })
        }
        ('d' | 'b' | 'o', _) => None,
        _ => return wrong("format", "has a `%` that is followed by none of s, d, f, e, b, o, x and X"),
    };
    match text {
        Some(text) => out.push_str(&text),
        None => return Err(Failed::unfit("format", std::slice::from_ref(value))),
    }
    Ok(())
}

/// Anything as text, lists and maps with what they hold.
fn all(value: &Seen<'_>, out: &mut String, frame: &mut Frame<'_>) -> Result<(), Failed> {
    frame.steps.one()?;
    match value {
        Seen::String(text) => {
            frame.steps.bytes(text.len())?;
            out.push_str(text);
        }
        Seen::Bytes(bytes) => {
            frame.steps.bytes(bytes.len())?;
            out.push_str(&String::from_utf8_lossy(bytes));
        }
        Seen::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                all(&item, out, frame)?;
            }
            out.push(']');
        }
        Seen::Map(map) => {
            frame.steps.many(map.len())?;
            out.push('{');
            for (at, (key, value)) in map.entries().into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                all(&Seen::key(&key), out, frame)?;
                out.push_str(": ");
                all(&value, out, frame)?;
            }
            out.push('}');
        }
        value => match written(value) {
            Some(text) => out.push_str(&text),
            None => return Err(Failed::unfit("format", std::slice::from_ref(value))),
        },
    }
    Ok(())
}

fn finite(value: f64) -> Option<String> {
    (!value.is_finite()).then(|| written(&Seen::Double(value)))?
}

/// With a sign and at least two digits in the exponent.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

fn minus(value: i64) -> &'static str {
    if value < 0 { "-" } else { "" }
}

fn hexadecimal(value: &Seen<'_>, frame: &mut Frame<'_>) -> Result<Option<String>, Failed> {
    let bytes: &[u8] = match value {
        Seen::Int(value) => return Ok(Some(format!("{}{:x}", minus(*value), value.unsigned_abs()))),
        Seen::Uint(value) => return Ok(Some(format!("{value:x}"))),
        Seen::String(text) => text.as_bytes(),
        Seen::Bytes(bytes) => bytes,
        _ => return Ok(None),
    };
    frame.steps.many(bytes.len())?;
    Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}
