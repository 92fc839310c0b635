//! Scalars as protobuf's JSON mapping writes them.

use prost_reflect::{EnumDescriptor, Kind, Syntax, Value as Proto};
use serde_json::Value as Json;

use super::super::check::suggest;
use super::super::functions::from_base64;
use super::due::Due;
use crate::config::Problem;

/// A scalar that is written out.
pub(super) fn scalar(json: &Json, kind: &Kind, due: &Due) -> Result<Proto, Problem> {
    let wrong = || {
        let problem = Problem::new(format!("{} is due here, and this is {}", due.said(), said(json)));
        match json.as_str().filter(|text| text.starts_with("request.")) {
            Some(text) => problem.help(format!("an expression starts with `=`: `={text}`")),
            None => problem,
        }
    };
    Ok(match kind {
        Kind::Bool => Proto::Bool(json.as_bool().ok_or_else(wrong)?),
        Kind::String => {
            let quoted = if json.is_boolean() { "in quotes it is a string" } else { "a number in quotes is a string" };
            Proto::String(json.as_str().ok_or_else(|| wrong().help(quoted))?.to_owned())
        }
        Kind::Bytes => match json.as_str().map(from_base64) {
            Some(Some(bytes)) => Proto::Bytes(bytes.into()),
            Some(None) => {
                return Err(Problem::new("this is no base64")
                    .help("bytes are written as base64; `=b'…'` or `=bytes('…')` takes text"));
            }
            None => return Err(wrong()),
        },
        Kind::Enum(of) => match json {
            Json::String(name) => match of.get_value_by_name(name) {
                Some(value) => Proto::EnumNumber(value.number()),
                None => {
                    let known: Vec<_> = of.values().map(|value| value.name().to_owned()).collect();
                    let problem =
                        Problem::new(format!("`{}` has no value `{name}`", of.full_name())).label("unknown value");
                    return Err(suggest(problem, name, "values", known.iter().map(String::as_str)));
                }
            },
            json => {
                let number = whole(json).ok_or_else(wrong)?.try_into().map_err(|_| range(due))?;
                if !may_be(of, number) {
                    let values: Vec<_> =
                        of.values().map(|value| format!("{} ({})", value.name(), value.number())).collect();
                    let problem = Problem::new(format!("`{}` has no value {number}", of.full_name()));
                    return Err(suggest(problem, "", "values", values.iter().map(String::as_str)));
                }
                Proto::EnumNumber(number)
            }
        },
        Kind::Double => Proto::F64(number(json).ok_or_else(wrong)?),
        Kind::Float => {
            let value = number(json).ok_or_else(wrong)?;
            if value.is_finite() && (value as f32).is_infinite() {
                return Err(range(due));
            }
            Proto::F32(value as f32)
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Proto::I32(whole(json).ok_or_else(wrong)?.try_into().map_err(|_| range(due))?)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Proto::I64(whole(json).ok_or_else(wrong)?.try_into().map_err(|_| range(due))?)
        }
        Kind::Uint32 | Kind::Fixed32 => Proto::U32(whole(json).ok_or_else(wrong)?.try_into().map_err(|_| range(due))?),
        Kind::Uint64 | Kind::Fixed64 => Proto::U64(whole(json).ok_or_else(wrong)?.try_into().map_err(|_| range(due))?),
        Kind::Message(_) => return Err(wrong()),
    })
}

/// Whether an enum can have a number: one of proto2 is closed, and takes none but its own.
pub(super) fn may_be(of: &EnumDescriptor, number: i32) -> bool {
    of.parent_file().syntax() != Syntax::Proto2 || of.get_value(number).is_some()
}

fn range(due: &Due) -> Problem {
    Problem::new(format!("the number is out of range: {} is due here", due.said()))
}

/// A value as it is called in a sentence.
pub(super) fn said(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(number) if number.is_f64() => "a fraction",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "a map",
    }
}

/// A whole number, or a text that is one.
fn whole(json: &Json) -> Option<i128> {
    match json {
        Json::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            whole.or_else(|| number.as_f64().filter(|value| value.fract() == 0.0).map(|value| value as i128))
        }
        Json::String(text) => text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from)).ok(),
        _ => None,
    }
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => real(text),
        _ => None,
    }
}

/// A text that JSON has for a number it cannot write, or one in quotes.
pub(super) fn real(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}
