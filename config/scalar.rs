//! What a plain scalar means: serde_yaml's word on it, YAML 1.2, so `no` is text.
//!
//! Only what could be more than text is asked about: a word of prose never is.

use serde_json::{Number, Value};

/// No number, boolean or null is spelled longer.
const LONGEST_BYTES: usize = 64;

/// The value of a scalar written without quotes; `None` for NaN and the
/// infinities, which no setting can be.
pub(super) fn plain(text: &str) -> Option<Value> {
    let as_text = || Value::String(text.to_owned());
    if !may_be_more_than_text(text) {
        return Some(as_text());
    }
    Some(match serde_yaml::from_str(text) {
        Ok(serde_yaml::Value::Null) => Value::Null,
        Ok(serde_yaml::Value::Bool(value)) => Value::Bool(value),
        Ok(serde_yaml::Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => Value::Number(Number::from_f64(number.as_f64()?)?),
        },
        // A number that no 64 bits hold is one all the same.
        Err(_) => text.parse().ok().and_then(Number::from_f64).map_or_else(as_text, Value::Number),
        // Text, or what no scalar is: a variable may hold anything.
        Ok(_) => as_text(),
    })
}

/// Whether a text starts like a number, a boolean or null.
fn may_be_more_than_text(text: &str) -> bool {
    let first = text.chars().next().is_none_or(|c| c.is_ascii_digit() || "~.+-tTfFnN".contains(c));
    first && text.len() <= LONGEST_BYTES && !text.contains(char::is_whitespace)
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
