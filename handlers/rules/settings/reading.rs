//! How the settings are read and written, where their types alone do not say it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::super::scope::Event;
use super::{Config, KEYS, Method, Rule, STEPS, Service, State, Table};
use crate::config::closest;

/// A code by its name; what it is called is checked with the rest of the rule.
pub(super) fn code<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Name;
    impl de::Visitor<'_> for Name {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a code by its name, such as NOT_FOUND")
        }
        fn visit_str<E: de::Error>(self, name: &str) -> Result<String, E> {
            Ok(name.to_owned())
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    from.deserialize_any(Name)
}

/// As it was written: a list, or a list for each event.
impl Serialize for Method {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Method { on_start, on_message, on_end, bare } = self;
        if *bare {
            return on_message.serialize(to);
        }
        let events = [("on_start", on_start), ("on_message", on_message), ("on_end", on_end)];
        to.collect_map(events.into_iter().filter(|(_, rules)| !rules.is_empty()))
    }
}

/// Reads the rules of a method of that name.
struct OneMethod<'a>(&'a str);

impl OneMethod<'_> {
    /// What is neither a list nor a map; the name may be that of a setting.
    fn misfit<E: de::Error>(&self, found: de::Unexpected<'_>) -> E {
        match closest(self.0, KEYS) {
            Some(close) => E::custom(format!(
                "`{}` is neither a setting of rules nor a method with its rules\ndid you mean `{close}`?",
                self.0
            )),
            None => E::invalid_type(found, self),
        }
    }
}

impl<'de> de::Visitor<'de> for OneMethod<'_> {
    type Value = Method;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rules, or a map of `on_start`, `on_message` and `on_end`")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Method, E> {
        Err(self.misfit(de::Unexpected::Bool(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Method, E> {
        Err(self.misfit(de::Unexpected::Unsigned(value)))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, rules: A) -> Result<Method, A::Error> {
        let on_message = Vec::deserialize(de::value::SeqAccessDeserializer::new(rules))?;
        Ok(Method { on_message, bare: true, ..Method::default() })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Method, A::Error> {
        let mut method = Method::default();
        while let Some(event) = map.next_key_seed(EventOf(self.0))? {
            match event {
                Event::Start => method.on_start = map.next_value()?,
                Event::Message => method.on_message = map.next_value()?,
                Event::End => method.on_end = map.next_value()?,
            }
        }
        Ok(method)
    }
}

impl<'de> de::DeserializeSeed<'de> for OneMethod<'_> {
    type Value = Method;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Method, D::Error> {
        from.deserialize_any(self)
    }
}

/// Reads the key of an event below a method of that name.
struct EventOf<'a>(&'a str);

impl de::Visitor<'_> for EventOf<'_> {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Event, E> {
        if let Some(event) = Event::ALL.into_iter().find(|event| event.key() == key) {
            return Ok(event);
        }
        Err(match (key, closest(self.0, KEYS)) {
            // The keys of a rule are where its method's list would be.
            ("when" | "reply" | "replies" | "fail" | "is" | "each" | "change", _) => E::custom(format!(
                "a method's rules are a list, and `{key}` is a key of one rule\nput `- ` before its first key"
            )),
            (_, Some(close)) => E::custom(format!(
                "`{key}` is no event of a method called `{}`\ndid you mean `{close}` by that?",
                self.0
            )),
            _ => E::unknown_field(key, &["on_start", "on_message", "on_end"]),
        })
    }
}

impl<'de> de::DeserializeSeed<'de> for EventOf<'_> {
    type Value = Event;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Event, D::Error> {
        from.deserialize_identifier(self)
    }
}

/// A rule in a list where a map from methods may have been meant: a key that begins
/// as methods do, and no key of a rule, is told as one.
struct Listed(Rule);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_struct("Rule", &[], RuleOrMethod).map(Listed)
    }
}

struct RuleOrMethod;

impl<'de> de::Visitor<'de> for RuleOrMethod {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule, such as `{ reply: { … } }`")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Rule, A::Error> {
        Rule::deserialize(de::value::MapAccessDeserializer::new(NoMethods(map)))
    }
}

/// The entries of a map, none of which is to be a method's.
struct NoMethods<A>(A);

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for NoMethods<A> {
    type Error = A::Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(NoMethod(seed))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

struct NoMethod<K>(K);

impl<'de, K: de::DeserializeSeed<'de>> de::DeserializeSeed<'de> for NoMethod<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<K::Value, D::Error> {
        let key = String::deserialize(from)?;
        if key.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(de::Error::custom(format!(
                "a map from methods to their rules is due here, and this is a list\nwrite `{key}:` without the dash before it"
            )));
        }
        self.0.deserialize(key.into_deserializer())
    }
}

struct Whole;

impl<'de> de::Visitor<'de> for Whole {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from methods to their rules")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Config, A::Error> {
        let mut rules = Vec::new();
        while let Some(Listed(rule)) = items.next_element()? {
            rules.push(rule);
        }
        Ok(Config::Method(rules))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let mut service = Service { steps: STEPS, ..Service::default() };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "tables" => service.tables = map.next_value()?,
                "state" => service.state = map.next_value()?,
                "explain" => service.explain = map.next_value()?,
                "steps" => service.steps = map.next_value()?,
                _ => {
                    let method = map.next_value_seed(OneMethod(&key))?;
                    service.methods.0.push((key, method));
                }
            }
        }
        Ok(Config::Service(service))
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Whole)
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Config::Service(service) => service.serialize(to),
            Config::Method(rules) => rules.serialize(to),
        }
    }
}

impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = generator.subschema_for::<Vec<Rule>>();
        let tables = generator.subschema_for::<BTreeMap<String, Table>>();
        let state = generator.subschema_for::<BTreeMap<String, State>>();
        json_schema!({
            "description": "Answers by rules written here: the first whose `when` fits a request says what happens.",
            "anyOf": [
                { "type": "object",
                  "properties": {
                    "tables": { "description": "Rows to look things up in, loaded with the configuration.", "anyOf": [tables] },
                    "state": { "description": "What is remembered from message to message.", "anyOf": [state] },
                    "explain": { "type": "boolean", "default": false,
                        "description": "Whether answers say in a trailer which rule gave them, and why the ones before it did not." },
                    "steps": { "type": "integer", "minimum": 1, "maximum": u32::MAX, "default": STEPS,
                        "description": "Steps that working out one rule may take before the call ends RESOURCE_EXHAUSTED." },
                  },
                  "additionalProperties": { "description": "A method's rules: a list, or a list for each event of a stream.", "anyOf": [
                    rules,
                    { "type": "object", "additionalProperties": false, "properties": {
                        "on_start": rules, "on_message": rules, "on_end": rules } },
                  ] } },
                rules,
            ],
        })
    }
}
