//! From one type to another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::failed::Failed;
use super::super::run::Frame;
use super::super::seen::Seen;
use super::super::time::{Duration, NANOS, Timestamp};
use super::{Due, Function, Gives, Overload, Style, unfit, wrong};

macro_rules! global {
    ($name:literal, [$($due:expr),+], $gives:expr, $run:expr) => {
        Function { name: $name, style: Style::Global, overloads: &[$(Overload(&[$due], $gives)),+], run: $run }
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    global!("int", [Due::Number, Due::String, Due::Timestamp, Due::Duration], Gives::Int, int),
    global!("uint", [Due::Number, Due::String], Gives::Uint, uint),
    global!("double", [Due::Number, Due::String], Gives::Double, double),
    global!(
        "string",
        [Due::String, Due::Number, Due::Bool, Due::Bytes, Due::Timestamp, Due::Duration],
        Gives::String,
        string
    ),
    global!("bytes", [Due::String, Due::Bytes], Gives::Bytes, bytes),
    global!("bool", [Due::Bool, Due::String], Gives::Bool, bool),
    global!("timestamp", [Due::String, Due::Timestamp, Due::Int], Gives::Timestamp, timestamp),
    global!("duration", [Due::String, Due::Duration], Gives::Duration, duration),
    global!("base64.encode", [Due::Bytes], Gives::String, encode),
    global!("base64.decode", [Due::String], Gives::Bytes, decode),
];

fn int<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let value = match given {
        [Seen::Int(value)] => *value,
        [Seen::Uint(value)] => i64::try_from(*value).map_err(|_| Failed::Overflow)?,
        // 2^63 is the first double that is too large.
        [Seen::Double(value)] if value.abs() < 9_223_372_036_854_775_808.0 => *value as i64,
        [Seen::Double(_)] => return Err(Failed::Overflow),
        [Seen::String(text)] => match text.parse() {
            Ok(value) => value,
            Err(_) => return wrong("int", "is given a text that is no whole number"),
        },
        [Seen::Timestamp(time)] => time.parts().0,
        [Seen::Duration(span)] => (span.nanos() / NANOS) as i64,
        _ => return unfit("int", given),
    };
    Ok(Seen::Int(value))
}

fn uint<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let value = match given {
        [Seen::Uint(value)] => *value,
        [Seen::Int(value)] => u64::try_from(*value).map_err(|_| Failed::Overflow)?,
        [Seen::Double(value)] if (0.0..18_446_744_073_709_551_616.0).contains(value) => *value as u64,
        [Seen::Double(_)] => return Err(Failed::Overflow),
        [Seen::String(text)] => match text.parse() {
            Ok(value) => value,
            Err(_) => return wrong("uint", "is given a text that is no whole number"),
        },
        _ => return unfit("uint", given),
    };
    Ok(Seen::Uint(value))
}

fn double<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [Seen::String(text)] => match text.parse() {
            Ok(value) => Ok(Seen::Double(value)),
            Err(_) => wrong("double", "is given a text that is no number"),
        },
        [number] => match super::math::double(number) {
            Some(value) => Ok(Seen::Double(value)),
            None => unfit("double", given),
        },
        _ => unfit("double", given),
    }
}

fn string<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value @ Seen::String(_)] => Ok(value.clone()),
        [Seen::Bytes(bytes)] => {
            frame.steps.bytes(bytes.len())?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Seen::text(text)),
                Err(_) => wrong("string", "is given bytes that are no text"),
            }
        }
        [value] => match written(value) {
            Some(text) => Ok(Seen::text(text)),
            None => unfit("string", given),
        },
        _ => unfit("string", given),
    }
}

/// A scalar as text.
pub(super) fn written(value: &Seen<'_>) -> Option<String> {
    Some(match value {
        Seen::Bool(value) => value.to_string(),
        Seen::Int(value) => value.to_string(),
        Seen::Uint(value) => value.to_string(),
        Seen::Double(value) if value.is_infinite() => if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Seen::Double(value) if *value != 0.0 && !(1e-6..1e21).contains(&value.abs()) => format!("{value:e}"),
        Seen::Double(value) => value.to_string(),
        Seen::Timestamp(time) => time.to_string(),
        Seen::Duration(span) => span.to_string(),
        Seen::String(text) => text.to_string(),
        Seen::Type(name) => name.to_string(),
        Seen::Null => "null".to_owned(),
        _ => return None,
    })
}

fn bytes<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value @ Seen::Bytes(_)] => Ok(value.clone()),
        [Seen::String(text)] => {
            frame.steps.bytes(text.len())?;
            Ok(Seen::Bytes(text.as_bytes().to_vec().into()))
        }
        _ => unfit("bytes", given),
    }
}

fn bool<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value @ Seen::Bool(_)] => Ok(value.clone()),
        [Seen::String(text)] => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Seen::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Seen::Bool(false)),
            _ => wrong("bool", "is given a text that is neither true nor false"),
        },
        _ => unfit("bool", given),
    }
}

fn timestamp<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value @ Seen::Timestamp(_)] => Ok(value.clone()),
        [Seen::Int(seconds)] => Timestamp::of_parts(*seconds, 0).map(Seen::Timestamp).ok_or(Failed::Overflow),
        [Seen::String(text)] => match Timestamp::parse(text) {
            Some(time) => Ok(Seen::Timestamp(time)),
            None => wrong("timestamp", "is given a text that is no time such as `2020-01-01T00:00:00Z`"),
        },
        _ => unfit("timestamp", given),
    }
}

fn duration<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value @ Seen::Duration(_)] => Ok(value.clone()),
        [Seen::String(text)] => match Duration::parse(text) {
            Some(span) => Ok(Seen::Duration(span)),
            None => wrong("duration", "is given a text that is no span such as `1h30m` or `1.5s`"),
        },
        _ => unfit("duration", given),
    }
}

fn encode<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::Bytes(bytes)] = given else { return unfit("base64.encode", given) };
    frame.steps.bytes(2 * bytes.len())?;
    Ok(Seen::text(STANDARD.encode(bytes)))
}

fn decode<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::String(text)] = given else { return unfit("base64.decode", given) };
    frame.steps.bytes(text.len())?;
    match from_base64(text) {
        Some(bytes) => Ok(Seen::Bytes(bytes.into())),
        None => wrong("base64.decode", "is given a text that is no base64"),
    }
}

/// Of either alphabet, with or without padding, as protobuf's JSON mapping allows.
pub(in super::super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &base64::alphabet::URL_SAFE } else { &base64::alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}
