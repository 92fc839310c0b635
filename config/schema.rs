//! `schema:`: where the words of a service come from that was not compiled in.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema as JsonShape, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::units::Period;

/// Where a service's schema is to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Schema {
    /// A `.proto`, a folder of them, or a descriptor set.
    Files {
        /// Which file or folder.
        path: PathBuf,
        /// The folders that imports start from; by default the folder the
        /// `.proto` is in, or the folder itself.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        imports: Vec<PathBuf>,
    },
    /// What another server says of itself.
    Reflect {
        /// The server: `http://host:port` or `unix:/path`.
        reflect: String,
        /// How often to ask again; by default at each reload and never between.
        #[serde(skip_serializing_if = "Option::is_none")]
        refresh: Option<Period>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    path: Option<PathBuf>,
    #[serde(default)]
    imports: Vec<PathBuf>,
    reflect: Option<String>,
    refresh: Option<Period>,
}

impl Spelled {
    fn meant(self) -> Result<Schema, &'static str> {
        match self {
            Spelled { path: Some(path), imports, reflect: None, refresh: None } => Ok(Schema::Files { path, imports }),
            Spelled { path: None, imports, reflect: Some(reflect), refresh } if imports.is_empty() => {
                Ok(Schema::Reflect { reflect, refresh })
            }
            Spelled { path: Some(_), reflect: Some(_), .. } => {
                Err("a schema comes from `path` or from `reflect`, not from both")
            }
            Spelled { path: Some(_), .. } => Err("`refresh` goes with `reflect`: files are watched as they are"),
            Spelled { reflect: Some(_), .. } => Err("`imports` goes with `path`: a server has its imports"),
            _ => Err("a schema needs `path` or `reflect`\nwrite `schema: protos/service.proto`"),
        }
    }
}

struct OneSource;

impl<'de> de::Visitor<'de> for OneSource {
    type Value = Schema;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, or a map of `path` and `imports` or of `reflect` and `refresh`")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Schema, E> {
        if path.starts_with("http://") || path.starts_with("https://") {
            return Err(E::custom(format_args!(
                "`{path}` is a server and not a file\nwrite `schema: {{ reflect: {path} }}`"
            )));
        }
        Ok(Schema::Files { path: path.into(), imports: Vec::new() })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Schema, A::Error> {
        Spelled::deserialize(de::value::MapAccessDeserializer::new(map))?.meant().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneSource)
    }
}

impl JsonSchema for Schema {
    fn schema_name() -> Cow<'static, str> {
        "Schema".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> JsonShape {
        let period = generator.subschema_for::<Period>();
        json_schema!({
            "description": "Where the service's schema comes from: a .proto, a folder of them, a descriptor set, or another server's reflection.",
            "anyOf": [
                { "type": "string", "not": { "pattern": "^https?://" } },
                { "type": "object", "additionalProperties": false, "required": ["path"], "properties": {
                    "path": { "type": "string", "description": "A .proto, a folder of them, or a descriptor set." },
                    "imports": { "type": "array", "items": { "type": "string" },
                        "description": "The folders that imports start from; by default the .proto's own." },
                } },
                { "type": "object", "additionalProperties": false, "required": ["reflect"], "properties": {
                    "reflect": { "type": "string", "description": "A server to ask: http://host:port or unix:/path." },
                    "refresh": period,
                } },
            ],
        })
    }
}
