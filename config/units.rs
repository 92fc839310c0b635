//! Quantities with their units: `30s`, `64MiB`, `200/s`.
//!
//! A bare number where a unit is due is refused, because nobody can tell what
//! was meant by it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written `250ms`, `30s`, `10m`, `24h` or `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub std::time::Duration);

/// A number of bytes, written `512B`, `64KiB`, `256MiB` or `1GiB`; `KB`, `MB`
/// and `GB` are powers of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// So many in so much time, written `200/s`, `30/m` or `1000/h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many, at least one.
    pub count: u32,
    /// In how long.
    pub per: std::time::Duration,
}

impl Period {
    /// Less time than this is none to do anything in.
    pub const SHORTEST: Period = Period(std::time::Duration::from_millis(10));
}

const PERIODS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Splits `64MiB` into its number and what one of its unit is worth.
fn quantity(text: &str, what: &str, units: &[(&str, u64)], example: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let known = || units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if number.is_empty() || !unit.chars().all(char::is_alphabetic) {
        return Err(format!("`{text}` is not {what}\nwrite a whole number and a unit, such as `{example}`"));
    }
    if unit.is_empty() {
        return Err(format!("`{text}` has no unit\nwrite {what} with one of {}, such as `{example}`", known()));
    }
    let (_, worth) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| format!("`{unit}` in `{text}` is no unit of {what}\nuse one of {}", known()))?;
    let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*worth));
    number.ok_or_else(|| format!("`{text}` is more than {what} can be"))
}

/// The largest unit that says the number without a fraction.
fn worded(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    match units.iter().find(|(_, worth)| number >= *worth && number.is_multiple_of(*worth)) {
        Some((name, worth)) => write!(f, "{}{name}", number / worth),
        None => f.write_str(zero),
    }
}

impl FromStr for Period {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        quantity(text, "a duration", &PERIODS, "30s").map(|ms| Period(std::time::Duration::from_millis(ms)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        worded(f, self.0.as_millis() as u64, &PERIODS, "0s")
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        quantity(text, "a size", &SIZES, "64MiB").map(Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Powers of two first: 1024 reads better as 1KiB than as 1024B.
        worded(f, self.0, &SIZES, "0B")
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a rate\nwrite a whole number from 1 up and a time: `200/s`, `30/m` or `1000/h`")
        };
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let seconds = match per {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return Err(wrong()),
        };
        Ok(Rate { count, per: std::time::Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{per}", self.count)
    }
}

/// Reads a quantity from text, and meets a bare number with the same words.
struct Quantity<T> {
    /// What is expected, with an example.
    what: &'static str,
    read: std::marker::PhantomData<T>,
}

impl<T: FromStr<Err = String>> de::Visitor<'_> for Quantity<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! spoken {
    ($type:ident, $what:literal, $pattern:literal, $about:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Quantity { what: $what, read: std::marker::PhantomData })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}

spoken!(
    Period,
    "a duration such as `30s`",
    "^[0-9]+(ms|s|m|h|d)$",
    "A duration with its unit: 250ms, 30s, 10m, 24h, 30d."
);
spoken!(
    Size,
    "a size such as `64MiB`",
    "^[0-9]+(B|KB|MB|GB|KiB|MiB|GiB)$",
    "A size with its unit: 512B, 64KiB, 256MiB, 1GiB."
);
spoken!(Rate, "a rate such as `200/s`", "^[1-9][0-9]*/(s|m|h)$", "A rate: 200/s, 30/m, 1000/h.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reads_and_writes_the_same() {
        for text in ["250ms", "30s", "10m", "23h", "30d", "0s"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for text in ["512B", "64KiB", "256MiB", "3GiB", "5MB", "0B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["200/s", "30/m", "7/h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bare_number_is_told_which_units_there_are() {
        let error = "30".parse::<Period>().unwrap_err();
        assert!(error.contains("no unit") && error.contains("ms, s, m, h, d"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in ["-1s", "1.5s", "s", "", "99999999999999999999d", "1 s", "1S"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        for text in ["0/s", "1/d", "x/s", "5"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
