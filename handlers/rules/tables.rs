//! Tables: rows to look things up in, read when the configuration is.

use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::expr::{Expression, Fields, Key, Names, Scope, Template, Type, Value};
use super::named::Named;
use super::settings::Table;
use crate::config::{JsonText, Problem, Problems};
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

/// Loads every table; of one that cannot be, the name is known all the same, so
/// that what uses it is not told of.
pub(super) async fn load(
    tables: &Named<Table>,
    schema: &Schema,
    build: &Build,
    problems: &mut Problems,
) -> Vec<Loaded> {
    let mut loaded = Vec::new();
    for (name, table) in &tables.0 {
        let table = one(name, table, schema, build).await;
        let table = problems.take(table.map_err(|found| found.within(name.as_str()).within("tables")));
        loaded.push(table.unwrap_or_else(|| Loaded { name: name.clone(), of: Type::Dyn, rows: Value::Null }));
    }
    loaded
}

async fn one(name: &str, table: &Table, schema: &Schema, build: &Build) -> Result<Loaded, Problems> {
    let of = table.of.as_deref().map(|of| message(of, schema)).transpose()?;
    let row_type = of.clone().map_or(Type::Dyn, Type::Message);
    let scope = Scope::default().schema(schema.pool()).with("row", row_type.clone());
    let key = table.key.as_deref().map(|key| Expression::compile(key, &scope).map_err(|problem| problem.within("key")));
    let key = key.transpose()?;
    let reading = Reading { of, key };
    let rows = match (&table.file, &table.inline) {
        (Some(file), None) => {
            let bytes = build.read(file, LARGEST_BYTES).await.map_err(|problem| problem.within("file"))?;
            let shown = build.path(file).display().to_string();
            let cannot = |error: &dyn std::fmt::Display| Problem::new(format!("{shown} cannot be read: {error}"));
            let read = {
                let shown = shown.clone();
                tokio::task::spawn_blocking(move || reading.file(&shown, &bytes)).await
            };
            read.map_err(|error| cannot(&error))?.map_err(|found| found.within("file"))?
        }
        (None, Some(rows)) => reading.inline(rows).map_err(|found| found.within("inline"))?,
        _ => {
            return Err(Problem::new("a table has rows of a `file` or `inline`, one of the two")
                .help("write `{ file: rows.json }`")
                .into());
        }
    };
    let (of, rows) = match rows {
        Rows::List(rows) => (Type::list(row_type), rows.into()),
        Rows::ByKey(rows) => (Type::map(Type::Dyn, row_type), rows.into()),
    };
    Ok(Loaded { name: name.to_owned(), of, rows })
}

/// How the rows of a table are read.
struct Reading {
    /// The message type that each is.
    of: Option<MessageDescriptor>,
    key: Option<Expression>,
}

enum Rows {
    List(Vec<Value>),
    ByKey(Fields),
}

impl Reading {
    /// The rows of a file; problems have their place in it.
    fn file(&self, file: &str, bytes: &[u8]) -> Result<Rows, Problems> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Problem::new(format!("the table {file} is not UTF-8 text: byte {} is not", error.valid_up_to()))
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let json = JsonText { file, text };
        let misread = |part: &str, what: String, error: serde_json::Error| {
            let (words, place) = json.misread(part, &error);
            Problem::new(format!("{what}: {words}")).at(place)
        };
        let rows: Vec<&RawValue> = serde_json::from_str(text)
            .map_err(|error| misread(text, "the table is no list of rows in JSON".to_owned(), error))?;
        self.rows(rows.into_iter().enumerate().map(|(at, raw)| {
            let row = match &self.of {
                None => serde_json::from_str::<Json>(raw.get()).map(|row| Value::from(&row)),
                Some(of) => {
                    let mut json = serde_json::Deserializer::from_str(raw.get());
                    DynamicMessage::deserialize(of.clone(), &mut json).map(Value::of_message)
                }
            };
            let row = row.map_err(|error| {
                let ours = serde_json::from_str(raw.get()).ok().and_then(|row| self.unfit(&row));
                match ours.as_ref().and_then(|found| found.iter().next()) {
                    Some(first) => {
                        let problem = Problem::new(format!("{}: {}", self.refused(at), first.words()));
                        problem.at(json.place(raw.get()))
                    }
                    None => misread(raw.get(), self.refused(at), error),
                }
            });
            (row, move |problem: Problem| problem.at(json.place(raw.get())))
        }))
    }

    /// Rows written out in the configuration.
    fn inline(&self, rows: &[Json]) -> Result<Rows, Problems> {
        self.rows(rows.iter().enumerate().map(|(at, row)| {
            let read = match &self.of {
                None => Ok(Value::from(row)),
                Some(of) => DynamicMessage::deserialize(of.clone(), row).map(Value::of_message),
            };
            let row = read.map_err(|error| match self.unfit(row).and_then(|found| found.iter().next().cloned()) {
                Some(first) => first.within(at),
                None => Problem::new(format!("{}: {error}", self.refused(at))).within(at),
            });
            (row, move |problem: Problem| problem.within(at))
        }))
    }

    /// What is wrong with a row that is no message of its type, in the words that replies
    /// are told in: those of the JSON reader name its own types.
    fn unfit(&self, row: &Json) -> Option<Problems> {
        Template::compile(row, self.of.as_ref()?, &Scope::default()).err()
    }

    fn refused(&self, at: usize) -> String {
        match &self.of {
            Some(of) => format!("row {at} is no {}", of.full_name()),
            None => format!("row {at} cannot be read"),
        }
    }

    /// All rows, each with how a problem with it is told where; by the key, if there is one.
    fn rows<W: FnOnce(Problem) -> Problem>(
        &self,
        rows: impl Iterator<Item = (Result<Value, Problem>, W)>,
    ) -> Result<Rows, Problems> {
        let mut problems = Problems::default();
        let mut told = 0;
        let (mut list, mut fields) = (Vec::new(), Fields::new());
        for (at, (row, place)) in rows.enumerate() {
            let keyed = row.and_then(|row| match self.key(&row) {
                Ok(key) => Ok((key, row)),
                Err(why) => Err(place(Problem::new(format!("row {at} has no key: {why}")))),
            });
            match keyed {
                Ok((Some(key), row)) => {
                    fields.entry(key).or_insert(row);
                }
                Ok((None, row)) => list.push(row),
                Err(problem) if told < MOST_TOLD => {
                    told += 1;
                    problems.push(problem);
                }
                Err(_) => {}
            }
        }
        problems.or(if self.key.is_some() { Rows::ByKey(fields) } else { Rows::List(list) })
    }

    fn key(&self, row: &Value) -> Result<Option<Key>, String> {
        let Some(key) = &self.key else { return Ok(None) };
        let found = key.evaluate(&Names::default().lent("row", row)).map_err(|failed| failed.to_string())?;
        found.as_key().map(Some).ok_or_else(|| "it is of no type that can be one".to_owned())
    }
}

/// The message type of a name.
fn message(name: &str, schema: &Schema) -> Result<MessageDescriptor, Problem> {
    schema.pool().get_message_by_name(name).ok_or_else(|| {
        let problem = Problem::new(format!("the schema has no message `{name}`")).within("of");
        let known: Vec<_> = schema.pool().all_messages().map(|message| message.full_name().to_owned()).collect();
        problem.meant(name, known.iter().map(String::as_str))
    })
}
