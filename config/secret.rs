//! A setting that must not be read over anyone's shoulder.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What our deserializer knows a secret by.
pub(super) const NAME: &str = "ostler::config::Secret";
/// What is shown in its place.
const MASK: &str = "…";

/// A password, a token, a URL with one in it. The file may only name it, by
/// `${NAME}` or `${file:/run/secrets/name}`; written out it is refused. Whoever
/// prints settings prints `…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK})")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> de::Visitor<'de> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret, by a variable such as `${NAME}` or `${file:/run/secrets/name}`")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Secret, D::Error> {
                String::deserialize(from).map(Secret)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }
        }

        from.deserialize_newtype_struct(NAME, Text)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": r"\$\{", "writeOnly": true,
            "description": "A secret: never written out, but named by ${NAME} or ${file:/run/secrets/name}.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::super::section::Section;
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        url: Secret,
        #[serde(default)]
        spare: Option<Secret>,
    }

    fn section(settings: &str) -> Section {
        let yaml = format!("services:\n  a.B:\n    handler:\n      kind:\n{settings}");
        let env = |name: &str| (name == "URL").then(|| "1e3".to_owned());
        let document = Document::parse("x.yaml", &yaml, std::path::Path::new("."), &env).unwrap();
        document.services[0].section.clone()
    }

    #[test]
    fn a_variable_fills_it_and_nothing_prints_it() {
        let settings: Settings = section("        url: ${URL}\n        spare: \"x${URL}\"\n").read().unwrap();
        assert_eq!(settings.url.reveal(), "1e3", "as it is, not as the number it looks like");
        assert_eq!(settings.spare.as_ref().unwrap().reveal(), "x1e3");
        assert_eq!(format!("{settings:?}"), "Settings { url: Secret(…), spare: Some(Secret(…)) }");
        assert_eq!(serde_json::to_string(&settings).unwrap(), r#"{"url":"…","spare":"…"}"#);
    }

    #[test]
    fn written_out_it_is_refused_and_its_line_is_not_shown() {
        let problems = section("        url: hunter2hunter2\n        spare: ${URL}\n").read::<Settings>().unwrap_err();
        let drawn = problems.draw(&annotate_snippets::Renderer::plain());
        assert!(drawn.contains("x.yaml:5:14") && drawn.contains("${NAME}"), "{drawn}");
        assert!(!drawn.contains("hunter2"), "{drawn}");
    }

    #[test]
    fn other_values_are_refused_as_anywhere() {
        let problems = section("        url: [a]\n").read::<Settings>().unwrap_err();
        assert!(problems.to_string().contains("found a list"), "{problems}");
    }
}
