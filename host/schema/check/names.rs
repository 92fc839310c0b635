//! Names: each one well formed, and none given twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Faults, Lowered, short};
use crate::host::schema::declared::{self, Kind, full};

/// Of one full name.
const LONGEST_BYTES: usize = 4096;
/// Of all full names together: short names in long scopes make much of little.
const MOST_BYTES: usize = 256 << 20;

/// Every full name, with its file and what it stands for.
pub(super) type Symbols<'a> = HashMap<String, (&'a str, Kind<'a>)>;

pub(super) fn check<'a>(files: &'a Lowered, faults: &mut Faults) -> Symbols<'a> {
    let mut names = Names { symbols: Symbols::new(), bytes: 0, faults };
    for (file, parts) in files {
        if let Err(TooLong) = declared::walk(parts, &mut |scope, name, kind| names.add(file, scope, name, kind)) {
            break;
        }
    }
    names.symbols
}

struct Names<'a, 'f> {
    symbols: Symbols<'a>,
    bytes: usize,
    faults: &'f mut Faults,
}

/// All names together are, and the rest is not looked at.
struct TooLong;

impl<'a> Names<'a, '_> {
    fn add(&mut self, file: &'a str, scope: &str, name: &str, kind: Kind<'a>) -> Result<(), TooLong> {
        let symbol = full(scope, name);
        self.bytes += symbol.len();
        if self.bytes > MOST_BYTES {
            self.faults.file(file, &format!("has names of more than {}MiB", MOST_BYTES >> 20));
            return Err(TooLong);
        }
        if symbol.len() > LONGEST_BYTES {
            self.faults.symbol(file, &symbol, &format!("is a name of more than {LONGEST_BYTES} bytes"));
        } else if !is_identifier(name) {
            self.faults.symbol(file, &symbol, "is not a name as protobuf has them");
        } else {
            match self.symbols.entry(symbol) {
                Entry::Vacant(place) => {
                    place.insert((file, kind));
                }
                Entry::Occupied(place) => {
                    let (other, known) = *place.get();
                    if !matches!((known, kind), (Kind::Package, Kind::Package)) {
                        let what = match other == file {
                            true => "is declared twice".to_owned(),
                            false => format!("is declared in `{}` already", short(other)),
                        };
                        self.faults.symbol(file, place.key(), &what);
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
