//! From the neutral tree to a settings type, strictly, and with the way to
//! whatever does not fit.
//!
//! serde's deserializer for JSON values would read a list where a struct is due,
//! and say what is wrong in one sentence without a place. This one takes maps
//! only, and its error, a [`Misfit`], keeps what serde knew: which names are
//! known, what was expected, and the path. It also knows what variables filled,
//! and so what may be a [`Secret`](super::Secret).

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer as _, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::misfit::{Complaint, Misfit};
use super::secret;
use super::values::Tree;

/// A value to be typed.
#[derive(Clone, Copy)]
pub(super) struct Typed<'de>(pub(super) &'de Tree);

impl<'de> Typed<'de> {
    /// Maps only: serde would also take a list, field by field.
    fn settings<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::Map(_) | Tree::Told => self.deserialize_any(visitor),
            // A type may say it better than by its name.
            _ => Err(Misfit::kind((&visitor as &dyn Expected).to_string())),
        }
    }
}

impl<'de> Deserializer<'de> for Typed<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::Told => Err(Misfit::new(Complaint::Told)),
            Tree::Scalar(value) | Tree::Filled(value, _) => match value {
                Value::Bool(value) => visitor.visit_bool(*value),
                Value::String(text) => visitor.visit_borrowed_str(text),
                Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                    (Some(number), ..) => visitor.visit_u64(number),
                    (_, Some(number), _) => visitor.visit_i64(number),
                    (.., number) => visitor.visit_f64(number.unwrap_or_default()),
                },
                // No scalar holds a list or a map.
                _ => visitor.visit_unit(),
            },
            Tree::List(items) => {
                let mut list = Items { items, next: 0 };
                let value = visitor.visit_seq(&mut list)?;
                if list.next < items.len() {
                    return Err(Misfit::custom(format!("the list ends after {} items", list.next)));
                }
                Ok(value)
            }
            Tree::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::Scalar(Value::Null) | Tree::Filled(Value::Null, _) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.settings(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            // A password may look like a number, so what it means is not asked.
            Tree::Filled(_, text) if name == secret::NAME => visitor.visit_borrowed_str(text),
            Tree::Scalar(value) if name == secret::NAME && !value.is_null() => Err(Misfit::new(Complaint::Literal)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let expected = || format!("one of {}", known.join(", "));
        match self.0 {
            Tree::Told => Err(Misfit::new(Complaint::Told)),
            Tree::Map(entries) => match entries.as_slice() {
                [(kind, settings)] => visitor.visit_enum(Choice { kind, settings: Some(settings) }),
                [_, (second, _), ..] => {
                    Err(Misfit::custom(format!("only {} can be chosen", expected())).at_key(second))
                }
                [] => Err(Misfit::kind(expected())),
            },
            value => match value.scalar() {
                Value::String(kind) => visitor.visit_enum(Choice { kind, settings: None }),
                _ => Err(Misfit::kind(expected())),
            },
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Tree],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let at = self.next;
        self.next += 1;
        seed.deserialize(Typed(item)).map(Some).map_err(|misfit| misfit.within(at))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (String, Tree)>,
    value: Option<(&'de str, &'de Tree)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some((key, value));
        let key_only: StrDeserializer<'_, Misfit> = key.as_str().into_deserializer();
        seed.deserialize(key_only).map(Some).map_err(|misfit| misfit.at_key(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let Some((key, value)) = self.value.take() else { return Err(Misfit::kind("a key before its value")) };
        seed.deserialize(Typed(value)).map_err(|misfit| misfit.within(key))
    }
}

/// A choice: a word, or a map with one key.
struct Choice<'de> {
    kind: &'de str,
    settings: Option<&'de Tree>,
}

impl<'de> de::EnumAccess<'de> for Choice<'de> {
    type Error = Misfit;
    type Variant = Choice<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Choice<'de>), Misfit> {
        let word: StrDeserializer<'_, Misfit> = self.kind.into_deserializer();
        match seed.deserialize(word) {
            Ok(kind) => Ok((kind, self)),
            Err(misfit) if self.settings.is_some() => Err(misfit.at_key(self.kind)),
            Err(misfit) => Err(misfit),
        }
    }
}

impl<'de> Choice<'de> {
    /// Types the settings of a choice that has some.
    fn with<T>(self, read: impl FnOnce(Typed<'de>) -> Result<T, Misfit>) -> Result<T, Misfit> {
        let kind = self.kind;
        match self.settings {
            Some(settings) => read(Typed(settings)).map_err(|misfit| misfit.within(kind)),
            None => Err(Misfit::custom(format!("`{kind}` is not enough by itself\nwrite `{{ {kind}: … }}`"))),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Choice<'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.settings {
            None | Some(Tree::Scalar(Value::Null)) => Ok(()),
            Some(_) => {
                Err(Misfit::kind(format!("the bare word `{}`: it has no settings", self.kind)).within(self.kind))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        self.with(|settings| seed.deserialize(settings))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.with(|settings| settings.deserialize_any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        self.with(|settings| settings.settings(visitor))
    }
}
