//! What all files declare: every symbol and every extension, each in one file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use prost_types::FileDescriptorProto;

use crate::host::schema::declared::{self, Kind, full};

/// All of it; files are told by their numbers.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    by_name: HashMap<String, Symbol>,
    /// Extended message → field number → file.
    extensions: HashMap<String, BTreeMap<i32, usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    file: usize,
    is: Is,
}

/// What is asked of a symbol's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// Of many files; nobody looks one up, but nothing else may have its name.
    Package,
    Message,
    Other,
}

/// One symbol claimed by two files.
pub(super) struct Clash {
    pub(super) symbol: String,
    /// The file that had it first.
    pub(super) first: usize,
}

impl Symbols {
    /// Notes everything that a file declares, once more where it has changed.
    pub(super) fn add(&mut self, at: usize, file: &FileDescriptorProto) -> Result<(), Clash> {
        declared::walk(file, &mut |scope, name, kind| self.note(at, full(scope, name), kind))
    }

    fn note(&mut self, file: usize, symbol: String, kind: Kind<'_>) -> Result<(), Clash> {
        let is = match kind {
            Kind::Package => Is::Package,
            Kind::Message(_) => Is::Message,
            _ => Is::Other,
        };
        match self.by_name.entry(symbol) {
            Entry::Vacant(place) => {
                place.insert(Symbol { file, is });
            }
            Entry::Occupied(known) => {
                let first = *known.get();
                let both_packages = (first.is, is) == (Is::Package, Is::Package);
                if first.file != file && !both_packages {
                    return Err(Clash { symbol: known.key().clone(), first: first.file });
                }
            }
        }
        let Kind::Extension(extension) = kind else { return Ok(()) };
        let (extendee, number) = (extension.extendee().trim_start_matches('.'), extension.number());
        let first = *self.extensions.entry(extendee.to_owned()).or_default().entry(number).or_insert(file);
        match first == file {
            true => Ok(()),
            false => Err(Clash { symbol: format!("extension {number} of {extendee}"), first }),
        }
    }

    /// Whether the files of both cannot stand together.
    pub(super) fn contradict(&self, others: &Symbols) -> bool {
        let is_taken = |(name, symbol): (&String, &Symbol)| {
            others.by_name.get(name).is_some_and(|other| (symbol.is, other.is) != (Is::Package, Is::Package))
        };
        let is_extended = |(extendee, numbers): (&String, &BTreeMap<i32, usize>)| {
            others.extensions.get(extendee).is_some_and(|there| numbers.keys().any(|number| there.contains_key(number)))
        };
        self.by_name.iter().any(is_taken) || self.extensions.iter().any(is_extended)
    }

    /// The file that declares a symbol.
    pub(super) fn by_symbol(&self, symbol: &str) -> Option<usize> {
        self.by_name.get(symbol).filter(|found| found.is != Is::Package).map(|found| found.file)
    }

    /// The file that declares an extension.
    pub(super) fn by_extension(&self, extendee: &str, number: i32) -> Option<usize> {
        self.extensions.get(extendee)?.get(&number).copied()
    }

    /// The numbers of a message's extensions, ascending; `None` where there is
    /// no such message.
    pub(super) fn extension_numbers(&self, extendee: &str) -> Option<Vec<i32>> {
        match self.extensions.get(extendee) {
            Some(numbers) => Some(numbers.keys().copied().collect()),
            None => self.by_name.get(extendee).filter(|found| found.is == Is::Message).map(|_| Vec::new()),
        }
    }
}
