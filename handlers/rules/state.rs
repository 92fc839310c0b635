//! What rules remember: named, bounded, and a stream's own or everybody's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::expr::{Failed, Key, Names, Value};
use super::named::Named;
use super::settings::{Full, Scope, State};
use crate::host::Build;

/// One state as it was declared.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: String,
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

type Shared = Arc<Mutex<BTreeMap<String, Slot>>>;

/// The states of a service.
#[derive(Debug)]
pub(super) struct States {
    declared: Vec<Declared>,
    /// Those of every call's scope, from reload to reload.
    shared: Shared,
}

/// The states of one call.
#[derive(Debug)]
pub(super) struct Own(Vec<Slot>);

/// Every state there is for one rule, those that are shared kept still.
#[derive(Debug)]
pub(super) struct Held<'a> {
    states: &'a States,
    own: &'a mut Own,
    shared: Option<MutexGuard<'a, BTreeMap<String, Slot>>>,
}

/// What becomes of one state.
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

impl States {
    /// States that are at their start, or as the last configuration left them.
    pub(super) fn new(declared: &Named<State>, build: &Build) -> States {
        let declared: Vec<Declared> = declared
            .0
            .iter()
            .map(|(name, state)| Declared {
                name: name.clone(),
                scope: state.scope,
                start: Value::from(&state.start),
                entries: state.entries as usize,
                each: state.each as usize,
                bytes: usize::try_from(state.size.0).unwrap_or(usize::MAX),
                full: state.full,
            })
            .collect();
        let shared: Shared = build.keep::<Mutex<BTreeMap<String, Slot>>>("state", Mutex::default);
        let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let everybodys = |name: &str| declared.iter().any(|one| one.name == name && one.scope == Scope::Service);
        kept.retain(|name, _| everybodys(name));
        for one in declared.iter().filter(|one| one.scope == Scope::Service) {
            kept.entry(one.name.clone()).or_insert_with(|| Slot::new(one.start.clone()));
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

impl Held<'_> {
    fn slot(&self, at: usize) -> &Slot {
        let declared = &self.states.declared[at];
        match (&self.shared, declared.scope) {
            (Some(shared), Scope::Service) => shared.get(&declared.name).unwrap_or(&self.own.0[at]),
            _ => &self.own.0[at],
        }
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

    /// Makes changes in their order. The first that finds no room ends the
    /// call; those before it stand.
    pub(super) fn change(&mut self, changes: Vec<Change>) -> Result<(), Status> {
        changes.into_iter().try_for_each(|Change { state, at, act }| {
            let declared = &self.states.declared[state];
            let slot = match (&mut self.shared, declared.scope) {
                (Some(shared), Scope::Service) => shared.entry(declared.name.clone()).or_default(),
                _ => &mut self.own.0[state],
            };
            match at {
                None => slot.change(declared, act),
                Some(key) => slot.change_entry(declared, key, act),
            }
        })
    }
}

impl Slot {
    /// Changes the whole.
    fn change(&mut self, declared: &Declared, act: Act) -> Result<(), Status> {
        match act {
            Act::Set(value) => {
                let bytes = value.size_bytes();
                if bytes > declared.bytes || entries(&value) > declared.entries {
                    return Err(declared.is_full());
                }
                *self = Slot { value, bytes };
            }
            Act::Add(value) => self.value = sum(&self.value, &value)?,
            Act::Append(item) => append(&mut self.value, item, &mut self.bytes, declared.entries, declared)?,
            Act::Remove => *self = Slot::new(declared.start.clone()),
        }
        Ok(())
    }

    /// Changes what a map has at a key.
    fn change_entry(&mut self, declared: &Declared, key: Key, act: Act) -> Result<(), Status> {
        let key_bytes = key.size_bytes();
        // Taken out, so that nothing else holds it and it can grow where it is.
        let old = self.value.remove(&key)?;
        if old.is_none() && entries(&self.value) >= declared.entries && !matches!(act, Act::Remove) {
            return Err(declared.is_full());
        }
        let gone = |slot: &mut Slot, old: &Option<Value>| {
            let bytes = old.as_ref().map_or(0, |old| old.size_bytes() + key_bytes);
            slot.bytes -= bytes.min(slot.bytes);
        };
        let (value, result) = match act {
            Act::Remove => {
                gone(self, &old);
                return Ok(());
            }
            Act::Append(item) => {
                let mut list = old.unwrap_or_else(|| {
                    self.bytes += key_bytes;
                    Vec::new().into()
                });
                let appended = append(&mut list, item, &mut self.bytes, declared.each, declared);
                (list, appended)
            }
            act => {
                let value = match (act, &old) {
                    (Act::Add(value), Some(old)) => sum(old, &value).map_err(Status::from),
                    (Act::Set(value) | Act::Add(value), _) => Ok(value),
                    _ => Ok(Value::Null),
                };
                let before = self.bytes;
                gone(self, &old);
                let fits = |value: &Value| self.bytes + value.size_bytes() + key_bytes <= declared.bytes;
                match (value, old) {
                    (Ok(value), _) if fits(&value) => {
                        self.bytes += value.size_bytes() + key_bytes;
                        (value, Ok(()))
                    }
                    (value, Some(old)) => {
                        self.bytes = before;
                        (old, Err(value.err().unwrap_or_else(|| declared.is_full())))
                    }
                    (value, None) => return Err(value.err().unwrap_or_else(|| declared.is_full())),
                }
            }
        };
        self.value.set(key, value)?;
        result
    }
}

impl Declared {
    fn is_full(&self) -> Status {
        Status::resource_exhausted(format!("the state `{}` is full", self.name))
    }
}

/// Appends to a list of at most so many items, which counts in `bytes`.
fn append(list: &mut Value, item: Value, bytes: &mut usize, most: usize, declared: &Declared) -> Result<(), Status> {
    let added = item.size_bytes();
    while entries(list) >= most || *bytes + added > declared.bytes {
        let oldest = match list {
            Value::List(items) if declared.full == Full::DropOldest && !items.is_empty() => {
                Arc::make_mut(items).remove(0)
            }
            _ => return Err(declared.is_full()),
        };
        *bytes -= oldest.size_bytes().min(*bytes);
    }
    list.push(item)?;
    *bytes += added;
    Ok(())
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
