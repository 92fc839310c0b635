//! What a plain scalar means: YAML 1.2's core schema, so `no` is text.
//!
//! One deviation, on the strict side: digits behind a zero (`0123`) are text,
//! because half the world's readers take them for octal.

use serde_json::{Number, Value};

/// The value of a scalar written without quotes; `None` for NaN and the
/// infinities, which no setting can be.
pub(super) fn plain(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return None,
        _ if matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF") => return None,
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    match text.get(..2) {
        // `from_str_radix` takes a sign, and YAML none here.
        Some("0x") if !text.contains(['+', '-']) => return radix(&text[2..], 16),
        Some("0o") if !text.contains(['+', '-']) => return radix(&text[2..], 8),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts_right = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || unsigned.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let zero_first = unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.as_bytes()[1].is_ascii_digit();
    if !starts_right || zero_first {
        return None;
    }
    let whole = text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
    whole.ok().or_else(|| text.parse().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_yaml_1_2_says_is_more_than_text() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("FALSE", json!(false)),
            ("12", json!(12)),
            ("+12", json!(12)),
            ("-12", json!(-12)),
            ("0", json!(0)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1.", json!(1.0)),
        ] {
            assert_eq!(plain(text), Some(value), "{text}");
        }
        for text in [
            "no", "yes", "on", "tRUE", "0123", "-01", "1_000", "0x-1", "12s", "inf", "nan", "infinity", "1 2", "+",
            "-", ".",
        ] {
            assert_eq!(plain(text), Some(json!(text)), "{text}");
        }
        for text in [".nan", ".inf", "-.inf", "+.INF"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
