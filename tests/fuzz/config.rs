//! A whole configuration: read, planned by the standard registry, and refused
//! at places that exist or taken. What is taken and written out in full is
//! taken again and means the same. A variable's value is told nobody.

#![no_main]

mod told;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ostler::config::{Document, Problems};
use ostler::host::Plan;
use serde_json::{Map, Value, json};

/// What a variable holds, of no letters that messages are made of.
const SECRET: &str = "Zq7vKx93LmWp";
/// Fewer characters than these are in many a word.
const TELLING_BYTES: usize = 6;

/// Every setting of a text, defaults filled in.
fn effective(text: &str) -> Result<Value, Problems> {
    let env = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "PORT" => Some("50051".to_owned()),
        _ => None,
    };
    // Relative paths lead nowhere.
    let document = Document::parse("ostler.yaml", text, Path::new("/nonexistent"), &env)?;
    let plans = ostler::handlers::standard().plan(&document)?;
    let handler = |plan: Plan| json!({ plan.entry.kind: plan.effective });
    let service = |mut plan: Plan| {
        let methods = std::mem::take(&mut plan.methods).into_iter();
        let methods: Map<_, _> =
            methods.map(|plan| (plan.entry.method.clone().unwrap_or_default(), handler(plan))).collect();
        let (name, schema) = (plan.entry.name.clone(), plan.entry.schema.clone());
        let mut service = json!({ "handler": handler(plan) });
        if let Some(schema) = schema {
            service["schema"] = json!(schema);
        }
        if !methods.is_empty() {
            service["methods"] = methods.into();
        }
        (name, service)
    };
    let services: Map<String, Value> = plans.into_iter().map(service).collect();
    let mut settings = serde_json::to_value(&document.shape).expect("settings are values");
    settings["services"] = services.into();
    Ok(settings)
}

/// As YAML in its JSON style: escapes for what YAML may not hold as it is, and
/// nothing that would be a variable.
fn written(settings: &Value) -> String {
    let json = settings.to_string().replace("${", "$${");
    let escaped = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    json.chars().map(escaped).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What lies at an absolute path is this machine's, and may never end.
    if text.contains("file:/") {
        return;
    }
    match effective(text) {
        Ok(settings) => {
            let again = written(&settings);
            match effective(&again) {
                Ok(same) => assert_eq!(same, settings, "{again}"),
                Err(problems) => panic!("taken, and refused in full: {problems}\n{again}"),
            }
        }
        Err(problems) => {
            let told = told::told(&problems, text);
            assert!(problems.iter().all(|problem| problem.place().is_some()), "without a place: {told}");
            let mut parts = (0..=SECRET.len() - TELLING_BYTES).map(|at| &SECRET[at..at + TELLING_BYTES]);
            assert!(parts.all(|part| text.contains(part) || !told.contains(part)), "the secret is told: {told}");
        }
    }
});
