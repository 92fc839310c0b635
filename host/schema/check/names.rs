//! Names: each one well formed, and none given twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use prost_types::{DescriptorProto, EnumDescriptorProto};

use super::{Faults, Lowered, short};

/// Of one full name.
const LONGEST_BYTES: usize = 4096;
/// Of all full names together: short names in long scopes make much of little.
const MOST_BYTES: usize = 256 << 20;

/// What a name stands for, as far as a type may be meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Message(&'a DescriptorProto),
    Enum(&'a EnumDescriptorProto),
    Package,
    Other,
}

/// Every full name, with its file and what it stands for.
pub(super) type Symbols<'a> = HashMap<String, (&'a str, Kind<'a>)>;

/// The full name of what stands in a scope.
pub(super) fn full(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

pub(super) fn check<'a>(files: &'a Lowered, faults: &mut Faults) -> Symbols<'a> {
    let mut names = Names { symbols: Symbols::new(), file: "", bytes: 0, faults };
    for (file, parts) in files {
        names.file = file;
        let package = parts.package();
        if !package.is_empty() {
            names.package(package);
        }
        for message in &parts.message_type {
            names.message(package, message);
        }
        for enumeration in &parts.enum_type {
            names.enumeration(package, enumeration);
        }
        for extension in &parts.extension {
            names.add(package, extension.name(), Kind::Other);
        }
        for service in &parts.service {
            let name = names.add(package, service.name(), Kind::Other);
            for method in &service.method {
                names.add(&name, method.name(), Kind::Other);
            }
        }
    }
    names.symbols
}

struct Names<'a, 'f> {
    symbols: Symbols<'a>,
    /// The one that is looked at.
    file: &'a str,
    bytes: usize,
    faults: &'f mut Faults,
}

impl<'a> Names<'a, '_> {
    /// A package and all that it lies in; many files may have the same.
    fn package(&mut self, package: &str) {
        let mut scope = "";
        for (at, _) in package.match_indices('.').chain([(package.len(), "")]) {
            let name = package[scope.len()..at].trim_start_matches('.');
            self.add(scope, name, Kind::Package);
            scope = &package[..at];
        }
    }

    fn message(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = self.add(scope, message.name(), Kind::Message(message));
        for field in message.field.iter().chain(&message.extension) {
            self.add(&name, field.name(), Kind::Other);
        }
        for oneof in &message.oneof_decl {
            self.add(&name, oneof.name(), Kind::Other);
        }
        for enumeration in &message.enum_type {
            self.enumeration(&name, enumeration);
        }
        for nested in &message.nested_type {
            self.message(&name, nested);
        }
    }

    /// An enum's values stand beside it, as in C++, and not inside it.
    fn enumeration(&mut self, scope: &str, enumeration: &'a EnumDescriptorProto) {
        self.add(scope, enumeration.name(), Kind::Enum(enumeration));
        for value in &enumeration.value {
            self.add(scope, value.name(), Kind::Other);
        }
    }

    fn add(&mut self, scope: &str, name: &str, kind: Kind<'a>) -> String {
        let symbol = full(scope, name);
        if self.bytes > MOST_BYTES {
            return symbol;
        }
        self.bytes += symbol.len();
        if self.bytes > MOST_BYTES {
            self.faults.file(self.file, &format!("has names of more than {}MiB", MOST_BYTES >> 20));
        } else if symbol.len() > LONGEST_BYTES {
            self.faults.symbol(self.file, &symbol, &format!("is a name of more than {LONGEST_BYTES} bytes"));
        } else if !is_identifier(name) {
            self.faults.symbol(self.file, &symbol, "is not a name as protobuf has them");
        } else {
            match self.symbols.entry(symbol) {
                Entry::Vacant(place) => {
                    let symbol = place.key().clone();
                    place.insert((self.file, kind));
                    return symbol;
                }
                Entry::Occupied(place) => {
                    let (file, known) = *place.get();
                    if !matches!((known, kind), (Kind::Package, Kind::Package)) {
                        let what = if file == self.file {
                            "is declared twice".to_owned()
                        } else {
                            format!("is declared in `{}` already", short(file))
                        };
                        self.faults.symbol(self.file, place.key(), &what);
                    }
                    return place.key().clone();
                }
            }
        }
        full(scope, name)
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
