//! `schema:`: where the words of a service come from that was not compiled in.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema as JsonShape, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::units::Period;

/// Where a service's schema is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// A `.proto`, a folder of them, or a descriptor set.
    Files {
        /// Which file or folder.
        path: PathBuf,
        /// The folders that imports start from; by default the folder the
        /// `.proto` is in, or the folder itself.
        imports: Vec<PathBuf>,
    },
    /// What another server says of itself.
    Reflect {
        /// The server: `http://host:port`, `https://host:port` or `unix:/path`.
        reflect: String,
        /// How often to ask again; by default at each reload and never between.
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

/// Asking more often than this is no way to treat a server.
const SHORTEST_REFRESH: Duration = Duration::from_millis(100);

impl Spelled {
    fn meant(self) -> Result<Schema, String> {
        let wrong = match self {
            Spelled { path: Some(path), imports, reflect: None, refresh: None } => {
                return Ok(Schema::Files { path, imports });
            }
            Spelled { path: None, imports, reflect: Some(reflect), refresh } if imports.is_empty() => {
                return asked(reflect, refresh);
            }
            Spelled { path: Some(_), reflect: Some(_), .. } => {
                "a schema comes from `path` or from `reflect`, not from both"
            }
            Spelled { path: Some(_), .. } => "`refresh` goes with `reflect`: files are watched as they are",
            Spelled { reflect: Some(_), .. } => "`imports` goes with `path`: a server has its imports",
            _ => "a schema needs `path` or `reflect`\nwrite `schema: protos/service.proto`",
        };
        Err(wrong.to_owned())
    }
}

/// A server that can be asked: the address as it is, where it is one.
fn asked(reflect: String, refresh: Option<Period>) -> Result<Schema, String> {
    let is_server = match reflect.strip_prefix("unix:") {
        Some(path) => path.starts_with('/'),
        None => reflect.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.port().is_some()
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none()
        }),
    };
    if !is_server {
        return Err(format!(
            "`{reflect}` is no server to ask\nwrite `http://host:port`, `https://host:port` or `unix:/path`"
        ));
    }
    if refresh.is_some_and(|refresh| refresh.0 < SHORTEST_REFRESH) {
        return Err(format!("a server is asked every {} at the most", Period(SHORTEST_REFRESH)));
    }
    Ok(Schema::Reflect { reflect, refresh })
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

/// As it was written: a path alone is a word.
impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Schema::Files { path, imports } if imports.is_empty() => path.serialize(to),
            Schema::Files { path, imports } => {
                let mut map = to.serialize_map(Some(2))?;
                map.serialize_entry("path", path)?;
                map.serialize_entry("imports", imports)?;
                map.end()
            }
            Schema::Reflect { reflect, refresh } => {
                let mut map = to.serialize_map(None)?;
                map.serialize_entry("reflect", reflect)?;
                if let Some(refresh) = refresh {
                    map.serialize_entry("refresh", refresh)?;
                }
                map.end()
            }
        }
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
                    "reflect": { "type": "string",
                        "description": "A server to ask: http://host:port, https://host:port or unix:/path.",
                        "pattern": "^(https?://[^/?#]+:[0-9]+/?|unix:/.*)$" },
                    "refresh": period,
                } },
            ],
        })
    }
}
