//! Tables: rows to look things up in, read when the configuration is.

use std::sync::Arc;

use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value as Json;

use super::expr::{Fields, Names, Scope, Type, Value};
use super::named::Named;
use super::settings::Table;
use super::text;
use crate::config::{Problem, Problems};
use crate::host::{Build, Schema};

/// A file of rows.
const LARGEST_BYTES: u64 = 256 << 20;
/// Faulty rows that are told of; there may be thousands of one kind.
const MOST_TOLD: usize = 5;

/// A table as expressions see it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) of: Type,
    pub(super) rows: Value,
}

/// Loads every table, or tells everything that is wrong with them.
pub(super) async fn load(tables: &Named<Table>, schema: &Schema, build: &Build) -> Result<Arc<[Loaded]>, Problems> {
    let mut problems = Problems::default();
    let mut loaded = Vec::new();
    for (name, table) in &tables.0 {
        let table = one(name, table, schema, build).await;
        loaded.extend(problems.take(table.map_err(|found| found.within(name.as_str()).within("tables"))));
    }
    problems.or(loaded.into())
}

async fn one(name: &str, table: &Table, schema: &Schema, build: &Build) -> Result<Loaded, Problems> {
    let (rows, inside) = match (&table.file, &table.inline) {
        (Some(file), None) => {
            let bytes = build.read(file, LARGEST_BYTES).await.map_err(|problem| problem.within("file"))?;
            let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice::<Vec<Json>>(&bytes)).await;
            let shown = file.display();
            let rows = match parsed {
                Ok(Ok(rows)) => rows,
                Ok(Err(error)) => {
                    return Err(Problem::new(format!("{shown} is no list of rows: {error}")).within("file").into());
                }
                Err(error) => return Err(Problem::new(format!("{shown} cannot be read: {error}")).into()),
            };
            (rows, "file")
        }
        (None, Some(rows)) => (rows.clone(), "inline"),
        _ => {
            return Err(Problem::new("a table has rows of a `file` or `inline`, one of the two")
                .help("write `{ file: rows.json }`")
                .into());
        }
    };
    let of = table.of.as_deref().map(|of| message(of, schema)).transpose()?;
    let row_type = of.clone().map_or(Type::Dyn, Type::Message);
    let scope = Scope::default().schema(schema.pool()).with("row", row_type.clone());
    let key = table.key.as_deref().map(|key| text::always(key, &scope).map_err(|problem| problem.within("key")));
    let key = key.transpose()?;

    let mut problems = Problems::default();
    let mut told = 0;
    let mut kept = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        match value(row, of.as_ref()) {
            Ok(row) => kept.push(row),
            Err(why) if told < MOST_TOLD => {
                told += 1;
                let problem = Problem::new(format!("row {at} of the table `{name}` {why}"));
                problems.push(if inside == "inline" {
                    problem.within(at).within(inside)
                } else {
                    problem.within(inside)
                });
            }
            Err(_) => {}
        }
    }
    problems.or(())?;
    let Some(key) = key else {
        return Ok(Loaded { name: name.to_owned(), of: Type::list(row_type), rows: kept.into() });
    };
    let mut fields = Fields::new();
    for (at, row) in kept.into_iter().enumerate() {
        let names = Names::default().lent("row", &row);
        let found = key.evaluate(&names).map_err(|failed| failed.to_string());
        let found = found.and_then(|found| found.as_key().ok_or_else(|| "gives nothing that can be a key".to_owned()));
        let found = found.map_err(|why| Problem::new(format!("at row {at}: {why}")).within("key"))?;
        drop(names);
        fields.entry(found).or_insert(row);
    }
    Ok(Loaded { name: name.to_owned(), of: Type::map(Type::Dyn, row_type), rows: fields.into() })
}

/// The message type of a name.
pub(super) fn message(name: &str, schema: &Schema) -> Result<MessageDescriptor, Problem> {
    schema.pool().get_message_by_name(name).ok_or_else(|| {
        let problem = Problem::new(format!("the schema has no message `{name}`")).within("of");
        let known: Vec<_> = schema.pool().all_messages().map(|message| message.full_name().to_owned()).collect();
        problem.meant(name, known.iter().map(String::as_str))
    })
}

fn value(row: &Json, of: Option<&MessageDescriptor>) -> Result<Value, String> {
    match of {
        None => Ok(Value::from(row)),
        Some(of) => DynamicMessage::deserialize(of.clone(), row)
            .map(Value::of_message)
            .map_err(|error| format!("is no {}: {error}", of.full_name())),
    }
}
