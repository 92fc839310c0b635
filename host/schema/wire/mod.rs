//! What a new schema breaks for callers who have the old one.
//!
//! Protobuf lets a schema grow: fields may be added and left out, and some
//! types stand for each other. Everything else that changes under the same
//! number is read as something that it is not, and nobody is told. Here two
//! schemas of one service are held against each other, from its methods down to
//! all that their messages hold.

mod fields;

use std::collections::{HashMap, HashSet};

use prost_reflect::{EnumDescriptor, FileDescriptor, MessageDescriptor, ServiceDescriptor};

use super::clean;

/// Whoever reads this many of one service knows enough.
const MOST_BREAKS: usize = 20;

/// One thing that old callers will not understand, or be misunderstood in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::host) struct Break {
    /// The schema file, as it is new; as it was, where it is no more.
    pub(in crate::host) file: String,
    /// What has changed.
    pub(in crate::host) symbol: String,
    /// How, in words that follow the symbol.
    pub(in crate::host) what: String,
}

/// Everything a service's new schema breaks, as far as anybody reads on.
pub(in crate::host) fn breaks(old: &ServiceDescriptor, new: &ServiceDescriptor) -> Vec<Break> {
    // Of one pool: nothing was loaded anew.
    if old == new {
        return Vec::new();
    }
    let mut walk = Walk::default();
    for was in old.methods() {
        let symbol = was.full_name();
        let Some(is) = new.methods().find(|method| method.name() == was.name()) else {
            walk.found(&new.parent_file(), symbol, "is there no more".to_owned());
            continue;
        };
        let kinds = |client: bool, server: bool| {
            let side = |streams| if streams { "a stream" } else { "one message" };
            format!("{} to {}", side(client), side(server))
        };
        let (before, after) = (
            kinds(was.is_client_streaming(), was.is_server_streaming()),
            kinds(is.is_client_streaming(), is.is_server_streaming()),
        );
        if before != after {
            walk.found(&is.parent_file(), symbol, format!("was of {before}, and is of {after}"));
        }
        for (how, was, now) in [("took", was.input(), is.input()), ("returned", was.output(), is.output())] {
            if was.full_name() == now.full_name() {
                walk.messages.push((was, now));
            } else {
                let what = format!("{how} `{}`, and now `{}`", clean(was.full_name()), clean(now.full_name()));
                walk.found(&is.parent_file(), symbol, what);
            }
        }
    }
    while let Some((was, is)) = walk.messages.pop() {
        if walk.breaks.len() >= MOST_BREAKS {
            break;
        }
        if walk.seen.insert((was.full_name().to_owned(), is.full_name().to_owned())) {
            walk.message(&was, &is);
        }
    }
    walk.breaks
}

/// On the way from type to type.
#[derive(Default)]
struct Walk {
    breaks: Vec<Break>,
    /// What is still to be held against each other.
    messages: Vec<(MessageDescriptor, MessageDescriptor)>,
    seen: HashSet<(String, String)>,
}

impl Walk {
    fn found(&mut self, file: &FileDescriptor, symbol: &str, what: String) {
        if self.breaks.len() < MOST_BREAKS {
            self.breaks.push(Break { file: clean(file.name()), symbol: clean(symbol), what });
        }
    }

    fn enumeration(&mut self, was: &EnumDescriptor, is: &EnumDescriptor) {
        if !self.seen.insert((was.full_name().to_owned(), is.full_name().to_owned())) {
            return;
        }
        let numbers: HashMap<String, i32> =
            is.values().map(|value| (value.name().to_owned(), value.number())).collect();
        for value in was.values() {
            let (name, number) = (value.name(), value.number());
            match numbers.get(name) {
                Some(now) if *now == number => {}
                Some(now) => {
                    self.found(&is.parent_file(), value.full_name(), format!("had the number {number}, and has {now}"));
                }
                None => {
                    if let Some(other) = is.get_value(number) {
                        let what = format!("had the number {number}, which is `{}`'s now", clean(other.name()));
                        self.found(&is.parent_file(), value.full_name(), what);
                    }
                }
            }
        }
    }
}
