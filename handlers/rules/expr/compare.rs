//! When two values are equal, and which comes first.

use std::cmp::Ordering;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value as Proto};

use super::failed::Failed;
use super::seen::Seen;
use super::steps::Steps;

impl Seen<'_> {
    /// Whether both are the same, whatever that takes.
    pub(super) fn equals(&self, other: &Seen<'_>) -> bool {
        self.equal(other, &mut Steps::unlimited()).unwrap_or_default()
    }

    /// Whether both are the same: numbers by what they count, lists and maps
    /// by what they hold, messages by their fields.
    pub(super) fn equal(&self, other: &Seen<'_>, steps: &mut Steps) -> Result<bool, Failed> {
        steps.one()?;
        Ok(match (self, other) {
            (Seen::Null, Seen::Null) => true,
            (Seen::Bool(a), Seen::Bool(b)) => a == b,
            (Seen::String(a), Seen::String(b)) | (Seen::Type(a), Seen::Type(b)) => {
                steps.bytes(a.len().min(b.len()))?;
                **a == **b
            }
            (Seen::Bytes(a), Seen::Bytes(b)) => {
                steps.bytes(a.len().min(b.len()))?;
                a == b
            }
            (Seen::Timestamp(a), Seen::Timestamp(b)) => a == b,
            (Seen::Duration(a), Seen::Duration(b)) => a == b,
            (Seen::List(a), Seen::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equal(&b, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Seen::Map(a), Seen::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                steps.many(a.len())?;
                for (key, value) in a.entries() {
                    let Some(other) = Seen::key(&key).as_key().and_then(|key| b.get(key)) else { return Ok(false) };
                    if !value.equal(&other, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Seen::Message(a), Seen::Message(b)) => messages_equal(a, b, steps)?,
            (a, b) => numbers(a, b) == Some(Ordering::Equal),
        })
    }

    /// Which comes first, if they are of types that have an order. NaN has none.
    pub(super) fn order(&self, other: &Seen<'_>, steps: &mut Steps) -> Result<Option<Ordering>, Failed> {
        Ok(match (self, other) {
            (Seen::Bool(a), Seen::Bool(b)) => Some(a.cmp(b)),
            (Seen::String(a), Seen::String(b)) => {
                steps.bytes(a.len().min(b.len()))?;
                Some((**a).cmp(&**b))
            }
            (Seen::Bytes(a), Seen::Bytes(b)) => {
                steps.bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (Seen::Timestamp(a), Seen::Timestamp(b)) => Some(a.cmp(b)),
            (Seen::Duration(a), Seen::Duration(b)) => Some(a.cmp(b)),
            (a, b) if a.is_number() && b.is_number() => numbers(a, b),
            (a, b) => return Err(Failed::unfit("<", &[a.clone(), b.clone()])),
        })
    }

    fn is_number(&self) -> bool {
        matches!(self, Seen::Int(_) | Seen::Uint(_) | Seen::Double(_))
    }
}

/// Field by field: one that was not set equals one that has the default, where
/// the schema does not tell these apart. What the schema does not know is not
/// looked at.
fn messages_equal(a: &DynamicMessage, b: &DynamicMessage, steps: &mut Steps) -> Result<bool, Failed> {
    if a.descriptor().full_name() != b.descriptor().full_name() {
        return Ok(false);
    }
    let mut set = 0;
    for (field, value) in a.fields() {
        set += 1;
        // The other may be of another schema, in which numbers are what counts.
        let Some(there) = b.descriptor().get_field(field.number()) else { return Ok(false) };
        if !b.has_field(&there) || !Seen::proto(value).equal(&Seen::proto(&b.get_field(&there)), steps)? {
            return Ok(false);
        }
    }
    Ok(set == b.fields().count())
}

/// Whether both are one and the same message, whatever its fields mean: NaN is
/// NaN, as for those who compare messages in tests, and a number is of its type.
/// What the schema does not know is not looked at.
pub(in crate::handlers::rules) fn same(a: &DynamicMessage, b: &DynamicMessage) -> bool {
    let there = |number| b.has_field_by_number(number).then(|| b.get_field_by_number(number)).flatten();
    a.descriptor().full_name() == b.descriptor().full_name()
        && a.fields().all(|(field, value)| there(field.number()).is_some_and(|other| same_value(value, &other)))
        && a.fields().count() == b.fields().count()
}

fn same_value(a: &Proto, b: &Proto) -> bool {
    match (a, b) {
        (Proto::F32(a), Proto::F32(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Proto::F64(a), Proto::F64(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Proto::Message(a), Proto::Message(b)) => same(a, b),
        (Proto::List(a), Proto::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b)),
        (Proto::Map(a), Proto::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Numbers of any types by what they count.
pub(super) fn numbers(a: &Seen<'_>, b: &Seen<'_>) -> Option<Ordering> {
    match (a, b) {
        (Seen::Double(a), Seen::Double(b)) => a.partial_cmp(b),
        (Seen::Double(a), b) => whole_to_double(whole(b)?, *a).map(Ordering::reverse),
        (a, Seen::Double(b)) => whole_to_double(whole(a)?, *b),
        (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

fn whole(number: &Seen<'_>) -> Option<i128> {
    match number {
        Seen::Int(value) => Some((*value).into()),
        Seen::Uint(value) => Some((*value).into()),
        _ => None,
    }
}

/// Exactly, where making the whole number a double would round it.
fn whole_to_double(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Saturates far beyond any whole number there is.
    let floor = double.floor() as i128;
    Some(whole.cmp(&floor).then(if double.fract() == 0.0 { Ordering::Equal } else { Ordering::Less }))
}
