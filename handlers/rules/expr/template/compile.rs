//! From a tree to what is filled in a call; all of its problems at once.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Proto};
use serde_json::{Map as Object, Value as Json};

use super::super::check::suggest;
use super::super::expression::Expression;
use super::super::run::Frame;
use super::super::scope::Scope;
use super::super::types::{Type, WellKnown};
use super::due::{Due, Shape};
use super::json::Tree;
use super::{Built, Names, Part, fit, literal};
use crate::config::{Problem, Problems};

/// Whatever is due at a place.
pub(super) fn one(json: &Json, due: &Due, scope: &Scope) -> Result<Part, Problems> {
    if let Json::String(text) = json
        && text.starts_with('=')
    {
        let expression = Expression::compile(text, scope)?;
        let gives = expression.gives();
        if due.takes(gives) {
            return Ok(Part::Expression(Box::new(expression)));
        }
        let problem = Problem::new(format!("{} is due here, and this is {}", due.said(), gives.said()));
        return Err(converted(problem, due, gives).into());
    }
    let wrong = || Problem::new(format!("{} is due here, and this is {}", due.said(), literal::said(json)));
    match (due.shape(), json) {
        (Shape::List, Json::Array(items)) => list(items, due, scope),
        (Shape::Map, Json::Object(entries)) => map(entries, due, scope),
        (Shape::List | Shape::Map, _) => Err(wrong().into()),
        (Shape::One(Kind::Message(of)), json) => match (WellKnown::of(&of), json) {
            (None, Json::Object(entries)) => message(entries, &of, scope),
            (None, Json::String(text)) if of.full_name() == "google.protobuf.FieldMask" => mask(text, &of),
            (None, _) => Err(wrong().into()),
            (Some(WellKnown::Any), Json::Object(entries)) => packed(entries, &of, scope),
            (Some(WellKnown::Wrapper), json) => match of.get_field(1) {
                Some(field) => {
                    let value = literal::scalar(json, &field.kind(), &Due::Field(field.clone()))?;
                    let mut message = DynamicMessage::new(of);
                    message.try_set_field(&field, value).map_err(|_| wrong())?;
                    Ok(Part::Fixed(Proto::Message(message)))
                }
                None => Err(wrong().into()),
            },
            (Some(WellKnown::Struct), Json::Object(_)) | (Some(WellKnown::List), Json::Array(_)) => {
                tree(json, due, scope)
            }
            (Some(WellKnown::Value), json) => tree(json, due, scope),
            (Some(WellKnown::Timestamp | WellKnown::Duration), Json::String(_)) => {
                tree(json, due, scope).map_err(|_| {
                    let example = if of.name() == "Duration" { "1.5s" } else { "2020-01-01T00:00:00Z" };
                    wrong_text(&of).help(format!("such as \"{example}\"")).into()
                })
            }
            (Some(_), _) => Err(wrong().into()),
        },
        (Shape::One(Kind::Enum(of)), Json::Null) if of.full_name() == "google.protobuf.NullValue" => {
            Ok(Part::Fixed(Proto::EnumNumber(0)))
        }
        (Shape::One(kind), json) => Ok(Part::Fixed(literal::scalar(json, &kind, due)?)),
    }
}

fn wrong_text(of: &MessageDescriptor) -> Problem {
    Problem::new(format!("this is no `{}`", of.full_name()))
}

/// How to make what an expression gives what is due.
fn converted(problem: Problem, due: &Due, gives: &Type) -> Problem {
    match (due.shape(), gives) {
        (
            Shape::One(Kind::String),
            Type::Int | Type::Uint | Type::Double | Type::Bool | Type::Timestamp | Type::Duration | Type::Bytes,
        ) => problem.help("`string(…)` makes it one"),
        (Shape::One(Kind::Bytes), Type::String) => {
            problem.help("`bytes(…)` takes the text's own bytes, `base64.decode(…)` what it encodes")
        }
        (Shape::One(Kind::Double | Kind::Float), Type::String) => problem.help("`double(…)` makes it one"),
        (Shape::One(Kind::Bool), Type::String) => problem.help("`bool(…)` makes it one"),
        (Shape::One(Kind::Message(_)), _) => problem,
        (Shape::One(_), Type::String) => problem.help("`int(…)` makes it a number"),
        (Shape::List, gives) if due.item().takes(gives) => problem.help("`[…]` around it makes a list of one"),
        _ => problem,
    }
}

/// JSON for the messages that hold any.
fn tree(json: &Json, due: &Due, scope: &Scope) -> Result<Part, Problems> {
    let tree = Tree::compile(json, scope)?;
    if !tree.is_fixed() {
        return Ok(Part::Tree(tree));
    }
    let names = Names::default();
    let mut frame = Frame::new(&names);
    let made = tree.see(&mut frame).and_then(|seen| fit::required(&seen, due, &mut frame.steps));
    made.map(Part::Fixed).map_err(|failed| Problem::new(failed.to_string()).into())
}

fn list(items: &[Json], due: &Due, scope: &Scope) -> Result<Part, Problems> {
    let item_due = due.item();
    let mut problems = Problems::default();
    let mut parts = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let part = one(item, &item_due, scope).map_err(|found| found.within(at));
        parts.extend(problems.take(part));
    }
    problems.or(())?;
    Ok(match fixed(&parts) {
        Some(items) => Part::Fixed(Proto::List(items)),
        None => Part::List(parts),
    })
}

/// What parts are that are all the same in every call.
fn fixed<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Option<Vec<Proto>> {
    parts.into_iter().map(|part| if let Part::Fixed(value) = part { Some(value.clone()) } else { None }).collect()
}

fn map(entries: &Object<String, Json>, due: &Due, scope: &Scope) -> Result<Part, Problems> {
    let (key_due, value_due) = (due.key(), due.value());
    let mut problems = Problems::default();
    let mut parts = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let Shape::One(kind) = key_due.shape() else { continue };
        let Some(key) = fit::key(name, &kind) else {
            let words = format!("{} is due as a key, and `{name}` is none", key_due.said());
            problems.push(Problem::new(words).key().within(name.as_str()));
            continue;
        };
        let part = one(value, &value_due, scope).map_err(|found| found.within(name.as_str()));
        parts.extend(problems.take(part).map(|part| (key, part)));
    }
    problems.or(())?;
    Ok(match fixed(parts.iter().map(|(_, part)| part)) {
        Some(values) => {
            let keys = parts.into_iter().map(|(key, _)| key);
            Part::Fixed(Proto::Map(keys.zip(values).collect()))
        }
        None => Part::Map(parts),
    })
}

/// A message by its fields.
fn message(entries: &Object<String, Json>, of: &MessageDescriptor, scope: &Scope) -> Result<Part, Problems> {
    let mut problems = Problems::default();
    let mut built = Built { base: DynamicMessage::new(of.clone()), holes: Vec::new() };
    // What was given before, by number, and which member of each oneof.
    let mut given: HashMap<u32, &str> = HashMap::new();
    let mut chosen: HashMap<String, &str> = HashMap::new();
    for (name, value) in entries {
        let Some(field) = of.get_field_by_json_name(name).or_else(|| of.get_field_by_name(name)) else {
            if name.starts_with('[') && name.ends_with(']') {
                let problem = Problem::new("rules do not set extensions").label("an extension");
                problems.push(problem.key().within(name.as_str()));
                continue;
            }
            let known: Vec<_> = of.fields().map(|field| field.name().to_owned()).collect();
            let problem = Problem::new(format!("`{}` has no field `{name}`", of.full_name())).label("unknown field");
            let problem = suggest(problem, name, "fields", known.iter().map(String::as_str));
            problems.push(problem.key().within(name.as_str()));
            continue;
        };
        if value.is_null() && !takes_null(&field) {
            continue;
        }
        if let Some(other) = given.insert(field.number(), name) {
            let words = format!("`{name}` and `{other}` are one field");
            problems.push(Problem::new(words).key().within(name.as_str()));
            continue;
        }
        if let Some(oneof) = field.containing_oneof()
            && let Some(other) = chosen.insert(oneof.name().to_owned(), name)
        {
            let words = format!("`{name}` and `{other}` cannot both be set: they are members of `{}`", oneof.name());
            problems.push(Problem::new(words).key().within(name.as_str()));
            continue;
        }
        let part = one(value, &Due::Field(field.clone()), scope);
        let part = part.map_err(|found| found.within(name.as_str()));
        match problems.take(part) {
            Some(Part::Fixed(value)) => {
                let set = built.base.try_set_field(&field, value);
                let misfit = |_| Problem::new("this does not fit the field").within(name.as_str());
                problems.take(set.map_err(misfit));
            }
            Some(part) => built.holes.push((field, part)),
            None => {}
        }
    }
    problems.or(())?;
    // Told last: what is missing may be there under a name misspelt.
    let missing = |field: &FieldDescriptor| field.is_required() && !given.contains_key(&field.number());
    let missing: Vec<_> = of.fields().filter(missing).map(|field| format!("`{}`", field.name())).collect();
    if !missing.is_empty() {
        let words = format!("`{}` requires {}", of.full_name(), missing.join(", "));
        return Err(Problem::new(words).label("not a whole message").into());
    }
    Ok(if built.holes.is_empty() { Part::Fixed(Proto::Message(built.base)) } else { Part::Message(Box::new(built)) })
}

/// Whether null is a value of the field, and not the lack of one.
fn takes_null(field: &FieldDescriptor) -> bool {
    let null = matches!(field.kind(), Kind::Enum(of) if of.full_name() == "google.protobuf.NullValue");
    Due::Field(field.clone()).holds_anything() || (null && !field.is_list())
}

/// Paths between commas.
fn mask(text: &str, of: &MessageDescriptor) -> Result<Part, Problems> {
    let made = DynamicMessage::deserialize(of.clone(), Json::from(text));
    made.map(|message| Part::Fixed(Proto::Message(message)))
        .map_err(|_| wrong_text(of).help("such as \"name,price\"").into())
}

/// An Any: the fields of a message, beside the name of its type.
fn packed(entries: &Object<String, Json>, any: &MessageDescriptor, scope: &Scope) -> Result<Part, Problems> {
    const TYPE: &str = "@type";
    let url = match entries.get(TYPE) {
        Some(Json::String(url)) => url,
        Some(_) => return Err(Problem::new("the name of a type is a string").within(TYPE).into()),
        None if entries.is_empty() => return Ok(Part::Fixed(Proto::Message(DynamicMessage::new(any.clone())))),
        None => {
            let problem = Problem::new("an Any says what it holds in `@type`");
            return Err(problem.help("such as `\"@type\": type.googleapis.com/pkg.Message`").into());
        }
    };
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some(of) = any.parent_pool().get_message_by_name(name) else {
        let known: Vec<_> = any.parent_pool().all_messages().map(|of| of.full_name().to_owned()).collect();
        let problem = Problem::new(format!("the schema has no message `{name}`")).within(TYPE);
        return Err(suggest(problem, name, "messages", known.iter().map(String::as_str)).into());
    };
    let due = Due::message(&of);
    let part = if WellKnown::of(&of).is_some() || of.full_name() == "google.protobuf.FieldMask" {
        // Their JSON is not made of their fields, and so it has a name of its own.
        let value = entries.get("value").unwrap_or(&Json::Null);
        one(value, &due, scope).map_err(|found| found.within("value"))?
    } else {
        let fields = entries.iter().filter(|(key, _)| *key != TYPE).map(|(key, value)| (key.clone(), value.clone()));
        message(&fields.collect(), &of, scope)?
    };
    let url = if url.contains('/') { url.clone() } else { format!("type.googleapis.com/{url}") };
    let part = Part::Packed { any: any.clone(), url, of: Box::new((due.clone(), part)) };
    let Part::Packed { of, .. } = &part else { return Ok(part) };
    if !matches!(of.1, Part::Fixed(_)) {
        return Ok(part);
    }
    let names = Names::default();
    let made = part.required(&Due::message(any), &mut Frame::new(&names));
    made.map(Part::Fixed).map_err(|failed| Problem::new(failed.to_string()).into())
}
