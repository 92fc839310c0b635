//! `show` and `kinds`: what is configured and what can be, told from the
//! settings' own types.

use std::fmt::Write as _;
use std::path::Path as FilePath;
use std::process::ExitCode;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{EXIT_CONFIG, complain, find, open, renderer, say};
use crate::config::{Document, Entry, Origin, Path, Problems, Segment};
use crate::host::{Plan, Registry};

/// `ostler show`: the file in full, each value with where it came from.
pub(super) fn show(registry: &Registry, file: Option<&FilePath>) -> ExitCode {
    let file = find(file.map(FilePath::to_owned));
    match shown(registry, file.as_deref()) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(problems) => {
            complain(&problems.draw(&renderer()));
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn shown(registry: &Registry, file: Option<&FilePath>) -> Result<String, Problems> {
    let document = open(file).map_err(|failure| failure.problems)?;
    let plans = registry.plan(&document)?;
    let mut lines = Lines { document: &document, lines: Vec::new(), depth: 0 };
    let shape = serde_json::to_value(&document.shape).unwrap_or_default();
    lines.map(&shape, &Path::default(), &|path| document.origin(path));
    lines.key(0, "services");
    for Plan { entry, effective, methods, .. } in &plans {
        lines.key(1, &format!("{:?}", entry.name));
        if let Some(schema) = &entry.schema {
            let below = Path::default().then("services").then(entry.name.as_str());
            lines.depth = 2;
            lines.map(&json!({ "schema": schema }), &below, &|path| document.origin(path));
        }
        lines.key(2, "handler");
        lines.handler(3, entry, effective);
        if !methods.is_empty() {
            lines.key(2, "methods");
        }
        for Plan { entry, effective, .. } in methods {
            lines.key(3, entry.method.as_deref().unwrap_or_default());
            lines.handler(4, entry, effective);
        }
    }
    Ok(lines.aligned())
}

/// A text as it is written where `${` would start a variable.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Where the value at a path came from.
type Origins<'a> = &'a dyn Fn(&Path) -> Option<Origin>;

/// YAML lines, each with a remark.
struct Lines<'a> {
    document: &'a Document,
    lines: Vec<(String, String)>,
    depth: usize,
}

impl Lines<'_> {
    fn key(&mut self, depth: usize, key: &str) {
        self.lines.push((format!("{}{key}:", "  ".repeat(depth)), String::new()));
    }

    fn handler(&mut self, depth: usize, entry: &Entry, effective: &Value) {
        // The settings of a method may be a list, which has one line.
        if effective.is_array() {
            let (path, origins) = (Path::default(), |path: &Path| entry.section.origin(path));
            let text = self.masked(effective, &path, &origins);
            let from = origins(&path).map_or_else(String::new, |origin| origin.place);
            self.lines.push((format!("{}{}: {text}", "  ".repeat(depth), entry.kind), from));
            return;
        }
        self.key(depth, &entry.kind);
        self.depth = depth + 1;
        self.map(effective, &Path::default(), &|path| entry.section.origin(path));
        self.depth = 0;
    }

    fn map(&mut self, value: &Value, path: &Path, origins: Origins<'_>) {
        let Value::Object(map) = value else { return };
        for (key, value) in map {
            let path = path.then(key.as_str());
            let indent = "  ".repeat(self.depth);
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.key(self.depth, key);
                    self.depth += 1;
                    self.map(value, &path, origins);
                    self.depth -= 1;
                }
                scalar => {
                    let text = self.masked(scalar, &path, origins);
                    let from = origins(&path).map_or("default".to_owned(), |origin| origin.place);
                    self.lines.push((format!("{indent}{key}: {text}"), from));
                }
            }
        }
    }

    /// A value with what variables filled shown as it was written.
    fn masked(&self, value: &Value, path: &Path, origins: Origins<'_>) -> Value {
        match (value, origins(path)) {
            (_, Some(Origin { written: Some(written), .. })) => Value::String(written),
            (Value::Array(items), _) => {
                let items = items.iter().enumerate();
                items.map(|(at, item)| self.masked(item, &path.then(Segment::Index(at)), origins)).collect()
            }
            (Value::Object(map), _) => {
                let masked =
                    |(key, item): (&String, _)| (key.clone(), self.masked(item, &path.then(key.as_str()), origins));
                Value::Object(map.iter().map(masked).collect())
            }
            // Not to be found in the file by its path, but it may have come from there.
            (Value::String(text), None) => Value::String(self.document.mask(&literal(text))),
            (Value::String(text), _) => Value::String(literal(text)),
            (scalar, _) => scalar.clone(),
        }
    }

    fn aligned(&self) -> String {
        let width =
            self.lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
        let mut text = String::new();
        for (line, remark) in &self.lines {
            let _ = match remark.as_str() {
                "" => writeln!(text, "{line}"),
                remark => writeln!(text, "{line:width$}  # {remark}"),
            };
        }
        text
    }
}

/// `ostler kinds [NAME]`.
pub(super) fn kinds(registry: &Registry, name: Option<&str>) -> ExitCode {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let Some(name) = name else {
        for kind in registry.kinds() {
            say(&format!("{kind:16}{}\n", about(&settings_of(registry, kind, &mut generator))));
        }
        return ExitCode::SUCCESS;
    };
    let known = registry.kinds().collect::<Vec<_>>();
    if !known.contains(&name) {
        complain(&format!("there is no kind called `{name}`; known kinds: {}", known.join(", ")));
        return ExitCode::from(2);
    }
    let schema = settings_of(registry, name, &mut generator);
    let mut text = format!("{name}: {}\n\n", about(&schema));
    settings(&schema, 1, &mut text);
    say(&text);
    ExitCode::SUCCESS
}

fn settings_of(registry: &Registry, kind: &str, generator: &mut SchemaGenerator) -> Value {
    registry.schema(kind, generator).map(Value::from).unwrap_or_default()
}

/// The first sentence of a schema's description.
fn about(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// Each setting with its type, default and words; of several forms, the first.
fn settings(schema: &Value, depth: usize, text: &mut String) {
    let none = Map::new();
    for (name, property) in schema["properties"].as_object().unwrap_or(&none) {
        setting(name, property, depth, text);
    }
    if schema["additionalProperties"].is_object() {
        setting("NAME", &schema["additionalProperties"], depth, text);
    }
    settings_of_first(schema, depth, text);
}

fn settings_of_first(schema: &Value, depth: usize, text: &mut String) {
    if let Some(first) = schema["anyOf"].as_array().and_then(|forms| forms.first()) {
        settings(first, depth, text);
        settings(&first["items"], depth, text);
    }
}

fn setting(name: &str, property: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let default = match &property["default"] {
        Value::Null => String::new(),
        Value::Object(_) => String::new(),
        default => format!("  [default: {}]", default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
    };
    let _ = writeln!(text, "{indent}{name}: {}{default}", type_of(property));
    let words = about(property);
    if !words.is_empty() {
        let _ = writeln!(text, "{indent}    {words}");
    }
    settings(property, depth + 1, text);
    settings(&property["items"], depth + 1, text);
    for choice in property["oneOf"].as_array().into_iter().flatten() {
        settings(choice, depth + 1, text);
    }
}

/// A property's type in one line.
fn type_of(property: &Value) -> String {
    let named = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(choices) = property["oneOf"].as_array().or(property["anyOf"].as_array()) {
        let told = choices.iter().filter(|choice| choice["type"] != "null").map(type_of);
        return told.collect::<Vec<_>>().join(" | ");
    }
    if let Some(word) = named(&property["const"]) {
        return word;
    }
    let one_key = property["properties"].as_object().is_some_and(|properties| properties.len() == 1);
    if let (Some([only]), true) = (property["required"].as_array().map(Vec::as_slice), one_key) {
        return format!("{{ {}: … }}", only.as_str().unwrap_or_default());
    }
    if let Some(choices) = property["enum"].as_array() {
        return choices.iter().filter_map(named).collect::<Vec<_>>().join(" | ");
    }
    let one = |kind: &str| match kind {
        "string" => "text".to_owned(),
        "object" => "map".to_owned(),
        "array" => format!("list of {}", type_of(&property["items"])),
        kind => kind.to_owned(),
    };
    match &property["type"] {
        Value::String(kind) => one(kind),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .map(one)
            .collect::<Vec<_>>()
            .join(" | "),
        _ => "any".to_owned(),
    }
}
