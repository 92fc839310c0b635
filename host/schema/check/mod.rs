//! Whether files make sense, said before any descriptor is made of them.
//!
//! The descriptor crate panics at some of what a stranger's set may hold, takes
//! some of it for what it is not, and stops at the first thing that it refuses.
//! Here everything is looked at, and each fault is told with its file and its
//! symbol. Nothing recurses further than a file may nest, which decoding bounds.
//!
//! ```text
//! imports (there, in no circle) ── names (well formed, once) ── shapes (types, numbers, maps, enums, extensions)
//! ```

mod defaults;
mod imports;
mod maps;
mod names;
mod shapes;

use std::collections::BTreeMap;

use prost_types::FileDescriptorProto;

use super::cut;
use crate::config::{Problem, Problems};

pub(in crate::host) use shapes::json_name;

/// The files of one schema, lowered.
pub(super) type Lowered = BTreeMap<String, FileDescriptorProto>;

/// Everything that is wrong with these files together, as far as anybody reads on.
pub(super) fn check(files: &Lowered) -> Result<(), Problems> {
    let mut faults = Faults::default();
    imports::check(files, &mut faults);
    let symbols = names::check(files, &mut faults);
    if faults.is_empty() {
        shapes::check(files, &symbols, &mut faults);
    }
    faults.0.or(())
}

/// Whoever reads this many knows enough.
const MOST_FAULTS: usize = 20;
/// Of a stranger's name, as it is told.
const MOST_CHARS: usize = 120;

/// What was found so far.
#[derive(Default)]
struct Faults(Problems);

impl Faults {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_full(&self) -> bool {
        self.0.iter().count() >= MOST_FAULTS
    }

    /// A fault of a file as a whole.
    fn file(&mut self, file: &str, what: &str) {
        if !self.is_full() {
            self.0.push(Problem::new(format!("the schema file `{}` {what}", short(file))));
        }
    }

    /// An import that no file is.
    fn import(&mut self, file: &str, import: &str) {
        if !self.is_full() {
            let words = format!("the schema file `{}` imports `{}`, which is not there", short(file), short(import));
            let help = "a descriptor set has all imports in it: `protoc --include_imports --descriptor_set_out=…`";
            self.0.push(Problem::new(words).help(help));
        }
    }

    /// A fault of a symbol in a file.
    fn symbol(&mut self, file: &str, symbol: &str, what: &str) {
        if !self.is_full() {
            let (file, symbol) = (short(file), short(symbol));
            self.0.push(Problem::new(format!("in the schema file `{file}`, `{symbol}` {what}")));
        }
    }
}

/// A stranger's name, in so far as it can be told.
fn short(name: &str) -> String {
    cut(name, MOST_CHARS)
}
