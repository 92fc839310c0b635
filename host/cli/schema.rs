//! `schema`: the JSON Schema of a whole file for this very binary, as editors
//! and linters want it.

use std::process::ExitCode;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::say;
use crate::config::{Schema, Shape};
use crate::host::{HOSTS_OWN, Registry};

/// `ostler schema`.
pub(super) fn schema(registry: &Registry) -> ExitCode {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = generator.root_schema_for::<Shape>().to_value();
    let handlers: Vec<Value> = registry
        .kinds()
        .flat_map(|kind| {
            let settings = registry.schema(kind, &mut generator).map(Value::from).unwrap_or_default();
            [
                json!({ "const": kind }),
                json!({ "type": "object", "additionalProperties": false, "required": [kind],
                    "properties": { kind: { "anyOf": [settings, { "type": "null" }] } } }),
            ]
        })
        .collect();
    let source = generator.subschema_for::<Schema>();
    root["title"] = "ostler configuration".into();
    root["properties"]["services"] = json!({
        "type": "object",
        "description": "What is served: full service names, as grpcurl lists them, and what behaves for each.",
        "propertyNames": { "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", "not": { "enum": HOSTS_OWN } },
        "additionalProperties": {
            "type": "object",
            "additionalProperties": false,
            "required": ["handler"],
            "properties": { "schema": source, "handler": { "description": "One kind: a word, or a map with one key.", "anyOf": handlers } },
        },
    });
    root["$defs"] = Value::Object(generator.take_definitions(true));
    admit_variables(&mut root);
    root["$defs"]["Variable"] = json!({ "type": "string", "pattern": r"\$\{",
        "description": "Filled in from the environment or a file: ${NAME}, ${NAME:-default}, ${file:/path}." });
    say(&format!("{root:#}\n"));
    ExitCode::SUCCESS
}

/// Lets a variable stand wherever a scalar is due that is not just any text.
/// Choices become `anyOf`: no two fit one value, and a variable fits them all.
fn admit_variables(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if let Some(choices) = map.remove("oneOf") {
        map.insert("anyOf".to_owned(), choices);
    }
    for (word, part) in map.iter_mut() {
        match (word.as_str(), part) {
            ("properties" | "$defs", Value::Object(parts)) => parts.values_mut().for_each(admit_variables),
            ("anyOf", Value::Array(parts)) => parts.iter_mut().for_each(admit_variables),
            ("items" | "additionalProperties", part) => admit_variables(part),
            _ => {}
        }
    }
    bound(map);
    let typed = |kind: &str| {
        map.get("type")
            .is_some_and(|types| *types == kind || types.as_array().is_some_and(|types| types.contains(&kind.into())))
    };
    let special = ["const", "enum", "pattern"].iter().any(|word| map.contains_key(*word));
    if special || ["boolean", "integer", "number"].into_iter().any(typed) {
        let mut outer = Map::new();
        for word in ["description", "default"] {
            outer.extend(map.remove(word).map(|value| (word.to_owned(), value)));
        }
        outer.insert("anyOf".to_owned(), json!([std::mem::take(map), { "$ref": "#/$defs/Variable" }]));
        *schema = Value::Object(outer);
    }
}

/// Says what a format of whole numbers means, which validators ignore.
fn bound(map: &mut Map<String, Value>) {
    let (least, most) = match map.get("format").and_then(Value::as_str) {
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => return,
    };
    let least: i64 = least;
    let most: i64 = most;
    map.entry("minimum").or_insert(least.into());
    map.entry("maximum").or_insert(most.into());
}
