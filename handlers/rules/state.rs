//! What rules remember: named, bounded, and a stream's own or everybody's.
//!
//! A rule's changes are worked out and seen to fit, and only then made: all of
//! them, or none. What is made can be taken back while it is held.

mod edit;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::expr::{Failed, Key, Names, Value};
use super::named::Named;
use super::settings::{Full, Scope, State};
use crate::host::Build;
use edit::Edit;

/// One state as it was declared.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    kind: Kind,
    pub(super) scope: Scope,
    start: Value,
    entries: usize,
    each: usize,
    bytes: usize,
    full: Full,
}

/// One state as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    value: Value,
    bytes: usize,
}

impl Slot {
    fn new(value: Value) -> Slot {
        Slot { bytes: value.size_bytes(), value }
    }
}

/// States by name and kind, each with the number of [`States`] that declare it: it
/// goes with the last of them, so that a configuration which is refused takes none along.
type Kept = BTreeMap<String, BTreeMap<Kind, (Slot, usize)>>;

/// What a state is at its start. Under one name, each kind is a state of its own: no
/// rule is to meet what those of another configuration left, and could make nothing of.
type Kind = &'static str;

/// The states of a service.
#[derive(Debug)]
pub(super) struct States {
    declared: Vec<Declared>,
    /// Those of every call's scope, from reload to reload.
    shared: Arc<Mutex<Kept>>,
}

/// The states of one call.
#[derive(Debug)]
pub(super) struct Own(Vec<Slot>);

/// Every state there is for one rule, those that are shared kept still.
#[derive(Debug)]
pub(super) struct Held<'a> {
    states: &'a States,
    own: &'a mut Own,
    shared: Option<MutexGuard<'a, Kept>>,
}

/// What is to become of one state.
#[derive(Debug)]
pub(super) struct Change {
    /// Which.
    pub(super) state: usize,
    pub(super) at: Option<Key>,
    pub(super) act: Act,
}

/// What is done.
#[derive(Debug)]
pub(super) enum Act {
    Set(Value),
    Add(Value),
    Append(Value),
    Remove,
}

/// A change that there is room for: making it cannot fail.
#[derive(Debug)]
pub(super) struct Fitting {
    state: usize,
    at: Option<Key>,
    edit: Edit,
    /// What the state takes afterwards.
    bytes: usize,
}

impl States {
    /// States that are at their start, or as the last configuration left them.
    pub(super) fn new(declared: &Named<State>, build: &Build) -> States {
        let declared: Vec<Declared> = declared
            .0
            .iter()
            .map(|(name, state)| {
                let start = Value::from(&state.start);
                Declared {
                    name: name.clone(),
                    kind: kind(&start),
                    scope: state.scope,
                    start,
                    entries: state.entries as usize,
                    each: state.each as usize,
                    bytes: usize::try_from(state.size.0).unwrap_or(usize::MAX),
                    full: state.full,
                }
            })
            .collect();
        let shared = build.keep::<Mutex<Kept>>("state", Mutex::default);
        let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
        for one in declared.iter().filter(|one| one.scope == Scope::Service) {
            let kinds = kept.entry(one.name.clone()).or_default();
            if let (None, Some(was)) = (kinds.get(one.kind), kinds.keys().next()) {
                tracing::warn!(
                    service = build.service(),
                    state = one.name,
                    "a state begins anew: it starts as {}, and what is remembered started as {was}",
                    one.kind
                );
            }
            let (_, users) = kinds.entry(one.kind).or_insert_with(|| (Slot::new(one.start.clone()), 0));
            *users += 1;
        }
        drop(kept);
        States { declared, shared }
    }

    pub(super) fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// A call's own, at their start.
    pub(super) fn own(&self) -> Own {
        Own(self.declared.iter().map(|one| Slot::new(one.start.clone())).collect())
    }

    /// All of them, for one rule: nobody else changes them meanwhile.
    pub(super) fn hold<'a>(&'a self, own: &'a mut Own) -> Held<'a> {
        let any = self.declared.iter().any(|one| one.scope == Scope::Service);
        let shared = any.then(|| self.shared.lock().unwrap_or_else(PoisonError::into_inner));
        Held { states: self, own, shared }
    }
}

impl Drop for States {
    fn drop(&mut self) {
        let mut kept = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for one in self.declared.iter().filter(|one| one.scope == Scope::Service) {
            if let Some((_, users)) = kept.get_mut(&one.name).and_then(|kinds| kinds.get_mut(one.kind)) {
                *users -= 1;
            }
        }
        kept.retain(|_, kinds| {
            kinds.retain(|_, (_, users)| *users > 0);
            !kinds.is_empty()
        });
    }
}

impl Held<'_> {
    fn slot(&self, at: usize) -> &Slot {
        let declared = &self.states.declared[at];
        let shared = self.shared.as_ref().filter(|_| declared.scope == Scope::Service);
        let kinds = shared.and_then(|shared| shared.get(&declared.name));
        kinds.and_then(|kinds| kinds.get(declared.kind)).map_or(&self.own.0[at], |(slot, _)| slot)
    }

    /// The names with those of the states.
    pub(super) fn names<'b>(&'b self, names: Names<'b>) -> Names<'b> {
        let all = self.states.declared.iter().enumerate();
        all.fold(names, |names, (at, one)| names.lent(&one.name, &self.slot(at).value))
    }

    /// The values of some states as they are now.
    pub(super) fn values(&self, of: &[usize]) -> Vec<Value> {
        of.iter().map(|at| self.slot(*at).value.clone()).collect()
    }

    /// Sees whether there is room for a change, and what it comes to.
    pub(super) fn fit(&self, Change { state, at, act }: Change) -> Result<Fitting, Failed> {
        let (slot, declared) = (self.slot(state), &self.states.declared[state]);
        let (edit, bytes) = match &at {
            None => slot.fit(declared, act)?,
            Some(key) => slot.fit_entry(declared, key, act)?,
        };
        Ok(Fitting { state, at, edit, bytes })
    }

    /// Makes changes that fit, no two of one state; gives those that take them back.
    pub(super) fn make(&mut self, changes: Vec<Fitting>) -> Vec<Fitting> {
        changes.into_iter().map(|change| self.make_one(change)).collect()
    }

    fn make_one(&mut self, Fitting { state, at, edit, bytes }: Fitting) -> Fitting {
        let declared = &self.states.declared[state];
        let shared = self.shared.as_mut().filter(|_| declared.scope == Scope::Service);
        let kinds = shared.and_then(|shared| shared.get_mut(&declared.name));
        let slot =
            kinds.and_then(|kinds| kinds.get_mut(declared.kind)).map_or(&mut self.own.0[state], |(slot, _)| slot);
        let bytes = std::mem::replace(&mut slot.bytes, bytes);
        let edit = edit.make(&mut slot.value, at.as_ref());
        Fitting { state, at, edit, bytes }
    }
}

impl Slot {
    /// A change of the whole.
    fn fit(&self, declared: &Declared, act: Act) -> Result<(Edit, usize), Failed> {
        match act {
            Act::Set(value) => {
                let bytes = value.size_bytes();
                if bytes > declared.bytes || entries(&value) > declared.entries {
                    return Err(declared.is_full());
                }
                Ok((Edit::Put(value), bytes))
            }
            Act::Add(value) => Ok((Edit::Put(sum(&self.value, &value)?), self.bytes)),
            Act::Append(item) => {
                item.may_be_put(1)?;
                let items = self.value.items("append")?;
                let (dropped, bytes) = declared.room(items, declared.entries, &item, self.bytes)?;
                Ok((Edit::Push { item, dropped }, bytes))
            }
            Act::Remove => Ok((Edit::Put(declared.start.clone()), declared.start.size_bytes())),
        }
    }

    /// A change of what a map has at a key.
    fn fit_entry(&self, declared: &Declared, key: &Key, act: Act) -> Result<(Edit, usize), Failed> {
        let fields = self.value.fields("at")?;
        let old = fields.get(key);
        if old.is_none() && fields.len() >= declared.entries && !matches!(act, Act::Remove) {
            return Err(declared.is_full());
        }
        let entry_bytes = |value: &Value| key.size_bytes() + value.size_bytes();
        let value = match (act, old) {
            (Act::Remove, old) => return Ok((Edit::Take, self.bytes.saturating_sub(old.map_or(0, entry_bytes)))),
            (Act::Append(item), Some(old)) => {
                item.may_be_put(2)?;
                let (dropped, bytes) = declared.room(old.items("append")?, declared.each, &item, self.bytes)?;
                return Ok((Edit::Push { item, dropped }, bytes));
            }
            (Act::Append(item), None) => {
                item.may_be_put(2)?;
                // The list is new, and takes what null does.
                let before = self.bytes + entry_bytes(&Value::Null);
                let (_, bytes) = declared.room(&[], declared.each, &item, before)?;
                return Ok((Edit::Put(vec![item].into()), bytes));
            }
            (Act::Add(value), Some(old)) => sum(old, &value)?,
            (Act::Add(value), None) => sum(&value, &Value::Int(0))?,
            (Act::Set(value), _) => value,
        };
        value.may_be_put(1)?;
        let bytes = self.bytes.saturating_sub(old.map_or(0, entry_bytes)) + entry_bytes(&value);
        if bytes > declared.bytes {
            return Err(declared.is_full());
        }
        Ok((Edit::Put(value), bytes))
    }
}

impl Declared {
    fn is_full(&self) -> Failed {
        Failed::Full(self.name.clone())
    }

    /// How many items go for one more in a list of at most so many, and what
    /// the state takes then.
    fn room(&self, items: &[Value], most: usize, item: &Value, mut bytes: usize) -> Result<(usize, usize), Failed> {
        let added = item.size_bytes();
        let mut dropped = 0;
        while items.len() - dropped >= most || bytes + added > self.bytes {
            match items.get(dropped).filter(|_| self.full == Full::DropOldest) {
                Some(oldest) => bytes = bytes.saturating_sub(oldest.size_bytes()),
                None => return Err(self.is_full()),
            }
            dropped += 1;
        }
        Ok((dropped, bytes + added))
    }
}

/// What a state is that starts as a value of YAML.
fn kind(start: &Value) -> Kind {
    match start {
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => "a number",
        Value::Bool(_) => "a bool",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        _ => "null",
    }
}

/// How many entries a value has.
fn entries(value: &Value) -> usize {
    match value {
        Value::List(items) => items.len(),
        Value::Map(fields) => fields.len(),
        _ => 0,
    }
}

/// Two numbers of one type, or a whole and a fractional one.
fn sum(one: &Value, other: &Value) -> Result<Value, Failed> {
    let of = |sum: Option<Value>| sum.ok_or(Failed::Overflow);
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => of(one.checked_add(*other).map(Value::Int)),
        (Value::Uint(one), Value::Uint(other)) => of(one.checked_add(*other).map(Value::Uint)),
        (Value::Uint(one), Value::Int(other)) => of(one.checked_add_signed(*other).map(Value::Uint)),
        (Value::Double(one), Value::Double(other)) => Ok(Value::Double(one + other)),
        (Value::Double(one), Value::Int(other)) => Ok(Value::Double(one + *other as f64)),
        (Value::Int(one), Value::Double(other)) => Ok(Value::Double(*one as f64 + other)),
        _ => Err(Failed::Argument { function: "add", why: "is for numbers" }),
    }
}

#[cfg(test)]
mod tests;
