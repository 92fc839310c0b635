//! Feature databases in JSON, in both shapes the reference servers read.
//!
//! Shape A is an array of features; shape B, the Java server's, is an object
//! with that array under `feature`. Entries follow the protobuf JSON mapping:
//! a missing name is empty, a missing coordinate is 0, a number may be written
//! as a string. A bad entry is a problem with its place; the database is never
//! shortened.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::config::{JsonText, Place, Problem, Problems};

/// More than these are told as a number.
const MOST_PROBLEMS: usize = 20;

/// One feature as written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a feature: an object with a location and a name")]
pub(crate) struct Entry {
    /// What it is called; may be left out.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) name: String,
    /// Where it is.
    pub(crate) location: Location,
}

/// Where a feature is, in E7: degrees times ten million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a location: an object with a latitude and a longitude")]
pub(crate) struct Location {
    /// North is positive.
    #[serde(deserialize_with = "e7")]
    pub(crate) latitude: i32,
    /// East is positive.
    #[serde(deserialize_with = "e7")]
    pub(crate) longitude: i32,
}

/// Null is the default, as the protobuf JSON mapping has it.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// An int32 as the protobuf JSON mapping takes it: a number, or one in a string.
fn e7<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    struct E7;

    impl Visitor<'_> for E7 {
        type Value = i32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a coordinate in E7: a whole number such as 407838351")
        }

        fn visit_unit<E: de::Error>(self) -> Result<i32, E> {
            Ok(0)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<i32, E> {
            i32::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<i32, E> {
            i32::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<i32, E> {
            let whole = number as i32;
            if f64::from(whole) == number {
                Ok(whole)
            } else {
                Err(E::invalid_value(de::Unexpected::Float(number), &self))
            }
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<i32, E> {
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    from.deserialize_any(E7)
}

/// Shape B.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeB<'a> {
    #[serde(borrow)]
    feature: Vec<&'a RawValue>,
}

/// Reads a whole database, or everything that is wrong with it.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Entry>, Problems> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::new(format!("the feature database {file} is not UTF-8 text: byte {} is not", error.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        let problem =
            Problem::new(format!("the feature database {file} is empty")).help("for no features at all write `[]`");
        return Err(problem.at(Place::of(file, text, 0..0)).into());
    }
    let raw = match text.trim_start().as_bytes().first() {
        Some(b'{') => serde_json::from_str::<ShapeB<'_>>(text).map(|shape| shape.feature),
        _ => serde_json::from_str::<Vec<&RawValue>>(text),
    };
    let database = JsonText { file, text };
    let raw = raw.map_err(|error| {
        let (words, place) = database.misread(text, &error);
        Problem::new(format!(
            "the feature database is not an array of features, nor an object with one under `feature`: {words}"
        ))
        .at(place)
    })?;

    let mut problems = Problems::default();
    let mut entries = Vec::with_capacity(raw.len());
    let mut wrong = 0;
    for (index, raw) in raw.into_iter().enumerate() {
        match serde_json::from_str(raw.get()) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                wrong += 1;
                if wrong <= MOST_PROBLEMS {
                    let (words, place) = database.misread(raw.get(), &error);
                    problems.push(Problem::new(format!("entry {index} of the feature database: {words}")).at(place));
                }
            }
        }
    }
    if wrong > MOST_PROBLEMS {
        problems.push(Problem::new(format!("{} more bad entries in {file}", wrong - MOST_PROBLEMS)));
    }
    problems.or(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        parse("db.json", text.as_bytes()).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    fn complaint(text: &str) -> String {
        parse("db.json", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn both_shapes_read_alike() {
        let a = r#"[{"location":{"latitude":1,"longitude":2},"name":"here"},{"location":{}}]"#;
        let b = format!("{{\"feature\":{a}}}");
        assert_eq!(names(a), ["here", ""]);
        assert_eq!(names(&b), ["here", ""]);
        assert_eq!(names(r#"[{"location":{"latitude":null},"name":null}]"#), [""], "null is the default");
    }

    #[test]
    fn numbers_may_be_strings_or_whole_floats() {
        let entries = parse("db.json", br#"[{"location":{"latitude":"-7","longitude":4.0e8}}]"#).unwrap();
        assert_eq!(entries[0].location, Location { latitude: -7, longitude: 400_000_000 });
    }

    #[test]
    fn every_bad_entry_is_told_with_its_index_and_line() {
        let text = "[\n {\"location\":{\"latitude\":1.5}},\n {\"location\":{}},\n {\"nam\":\"x\"},\n {\"name\":\"nowhere\"}\n]";
        let complaint = complaint(text);
        assert!(complaint.contains("db.json:2:") && complaint.contains("entry 0"), "{complaint}");
        assert!(
            complaint.contains("db.json:4:") && complaint.contains("entry 2") && complaint.contains("`nam`"),
            "{complaint}"
        );
        assert!(complaint.contains("db.json:5:") && complaint.contains("missing field `location`"), "{complaint}");
        assert!(!complaint.contains("entry 1"), "{complaint}");
    }

    #[test]
    fn what_is_cut_off_is_refused_whole() {
        assert!(complaint(r#"[{"location":{}},"#).contains("EOF"));
        assert!(complaint("").contains("is empty"));
        assert!(complaint(r#"{"features":[]}"#).contains("`features`"));
        assert!(complaint(r#"[{"location":{"latitude":3000000000}}]"#).contains("3000000000"));
    }
}
