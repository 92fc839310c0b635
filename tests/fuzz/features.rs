//! A feature database in JSON: refused at places that exist, or taken with the
//! features that another reader finds there.

#![no_main]

mod told;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// A coordinate by the protobuf JSON mapping: absent and null are 0, and a
/// number may be in quotes.
fn coordinate(value: Option<&Value>) -> Option<f64> {
    match value {
        None | Some(Value::Null) => Some(0.0),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    }
}

/// A feature as another reader has it.
fn feature(entry: &Value) -> Option<(&str, f64, f64)> {
    let name = match entry.get("name") {
        None | Some(Value::Null) => "",
        Some(name) => name.as_str()?,
    };
    let location = entry.get("location")?;
    Some((name, coordinate(location.get("latitude"))?, coordinate(location.get("longitude"))?))
}

fuzz_target!(|bytes: &[u8]| {
    match ostler::fuzzing::features("db.json", bytes) {
        Ok(features) => {
            let json = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
            let whole: Value = serde_json::from_slice(json).expect("what is taken is JSON");
            let entries = whole.get("feature").unwrap_or(&whole).as_array().expect("a list of features");
            let expected: Vec<_> =
                entries.iter().map(|entry| feature(entry).unwrap_or_else(|| panic!("taken: {entry}"))).collect();
            let found: Vec<_> = features
                .iter()
                .map(|(name, north, east)| (name.as_str(), f64::from(*north), f64::from(*east)))
                .collect();
            assert_eq!(found, expected);
        }
        Err(problems) => {
            told::told(&problems, &String::from_utf8_lossy(bytes));
        }
    }
});
