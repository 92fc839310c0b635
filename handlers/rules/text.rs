//! Texts that are written out, or worked out: a status's words, and metadata.

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, BinaryMetadataKey, BinaryMetadataValue, MetadataMap};

use super::expr::{Expression, Failed, Names, Scope, Type, Value};
use super::named::Named;
use crate::config::{Problem, Problems};

/// Whether a text is an expression, where it may be either.
fn is_expression(text: &str) -> bool {
    text.starts_with('=')
}

/// An expression, where only one type will do.
pub(super) fn of_type(text: &str, scope: &Scope, due: &Type) -> Result<Expression, Problem> {
    let expression = Expression::compile(text, scope)?;
    match expression.gives() {
        Type::Dyn => Ok(expression),
        gives if gives == due || matches!((gives, due), (Type::List(_), Type::List(_))) => Ok(expression),
        gives => Err(Problem::new(format!("{} is due here, and this gives {}", due.said(), gives.said()))
            .label(format!("gives {}", gives.said()))),
    }
}

/// A text.
#[derive(Debug)]
pub(super) enum Text {
    Literal(String),
    Expression(Expression),
}

impl Text {
    pub(super) fn compile(text: &str, scope: &Scope) -> Result<Text, Problem> {
        match is_expression(text) {
            true => of_type(text, scope, &Type::String).map(Text::Expression),
            false => Ok(Text::Literal(text.to_owned())),
        }
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        matches!(self, Text::Expression(expression) if expression.reads(name))
    }

    pub(super) fn work_out(&self, names: &Names<'_>) -> Result<String, Failed> {
        match self {
            Text::Literal(text) => Ok(text.clone()),
            Text::Expression(expression) => match expression.evaluate(names)? {
                Value::String(text) => Ok(text.to_string()),
                _ => Err(Failed::Argument { function: "a text", why: "is due, and this is none" }),
            },
        }
    }
}

/// One piece of metadata.
#[derive(Debug)]
enum Metadatum {
    Ascii(AsciiMetadataKey, Text),
    /// Bytes; a text is taken as the bytes it is.
    Binary(BinaryMetadataKey, Expression),
    Bytes(BinaryMetadataKey, BinaryMetadataValue),
}

/// Metadata that a rule sends.
#[derive(Debug, Default)]
pub(super) struct Metadata(Vec<Metadatum>);

impl Metadata {
    pub(super) fn compile(named: &Named<String>, scope: &Scope) -> Result<Metadata, Problems> {
        let mut problems = Problems::default();
        let mut compiled = Vec::new();
        for (name, text) in &named.0 {
            compiled.extend(problems.take(one(name, text, scope).map_err(|problem| problem.within(name.as_str()))));
        }
        problems.or(Metadata(compiled))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.0.iter().any(|metadatum| match metadatum {
            Metadatum::Ascii(_, text) => text.reads(name),
            Metadatum::Binary(_, expression) => expression.reads(name),
            Metadatum::Bytes(..) => false,
        })
    }

    /// Adds to a map.
    pub(super) fn work_out(&self, names: &Names<'_>, to: &mut MetadataMap) -> Result<(), Failed> {
        let cannot = |key: &str, why: &str| Failed::Field { field: key.to_owned(), why: why.to_owned() };
        for metadatum in &self.0 {
            match metadatum {
                Metadatum::Ascii(key, text) => {
                    let value = ascii(&text.work_out(names)?);
                    let value = value.ok_or_else(|| cannot(key.as_str(), "would hold more than printable ASCII"))?;
                    to.insert(key.clone(), value);
                }
                Metadatum::Bytes(key, value) => {
                    to.insert_bin(key.clone(), value.clone());
                }
                Metadatum::Binary(key, expression) => {
                    let value = match expression.evaluate(names)? {
                        Value::Bytes(bytes) => BinaryMetadataValue::from_bytes(&bytes),
                        Value::String(text) => BinaryMetadataValue::from_bytes(text.as_bytes()),
                        _ => return Err(cannot(key.as_str(), "is bytes, and is given something else")),
                    };
                    to.insert_bin(key.clone(), value);
                }
            }
        }
        Ok(())
    }
}

/// A text as metadata has them: printable ASCII.
fn ascii(text: &str) -> Option<AsciiMetadataValue> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable.then(|| AsciiMetadataValue::try_from(text).ok()).flatten()
}

fn one(name: &str, text: &str, scope: &Scope) -> Result<Metadatum, Problem> {
    let reserved = name.starts_with("grpc-") || ["te", "content-type", "connection"].contains(&name);
    if reserved || name.starts_with(':') {
        return Err(Problem::new(format!("`{name}` is the protocol's own")).key());
    }
    let bad = || {
        Problem::new(format!("`{name}` is no name for metadata"))
            .key()
            .help("a name is of lower-case letters, digits, `-`, `_` and `.`")
    };
    if !name.ends_with("-bin") {
        let key = AsciiMetadataKey::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let text = Text::compile(text, scope)?;
        if let Text::Literal(text) = &text
            && ascii(text).is_none()
        {
            return Err(Problem::new(format!("the value of `{name}` is not printable ASCII"))
                .help("a name that ends in -bin takes any bytes, as base64"));
        }
        return Ok(Metadatum::Ascii(key, text));
    }
    let key = BinaryMetadataKey::from_bytes(name.as_bytes()).map_err(|_| bad())?;
    match is_expression(text) {
        true => Expression::compile(text, scope).map(|expression| Metadatum::Binary(key, expression)),
        false => {
            let value = http::HeaderValue::from_str(text).ok().map(|value| {
                MetadataMap::from_headers(http::HeaderMap::from_iter([(http::HeaderName::from_static("x-bin"), value)]))
            });
            let bytes = value.as_ref().and_then(|map| map.get_bin("x-bin")).and_then(|value| value.to_bytes().ok());
            let bytes = bytes.ok_or_else(|| {
                Problem::new(format!("the value of `{name}` is not base64, as that of every name in -bin has to be"))
            })?;
            Ok(Metadatum::Bytes(key, BinaryMetadataValue::from_bytes(&bytes)))
        }
    }
}
