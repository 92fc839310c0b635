//! Schemas at run time: what a service is that was never compiled in.
//!
//! A schema is the files it came in, kept to the byte for reflection, and the
//! descriptors made of them, by which calls are understood. All of it is
//! checked before any of it is used.
//!
//! ```text
//! setting ── load (.proto, folder, set, another server) ──▶ files
//! files ── lower (editions) ── check (whatever is wrong) ── pool (put together) ──▶ Schema
//! ```

mod check;
mod compile;
pub(super) mod declared;
mod load;
pub(super) mod lower;
mod pool;
pub(super) mod reflect;
pub(super) mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, ServiceDescriptor};

use crate::config::{Problem, Problems};

pub(super) use check::json_name;
pub(super) use load::{Loaded, key, load};
use pool::Pool;
pub(super) use pool::pool;

/// Files by their names as imports have them.
pub(super) type Files = BTreeMap<String, Bytes>;

/// What one or several services are, known at run time.
#[derive(Clone)]
pub struct Schema {
    files: Files,
    pool: Pool,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

/// A `FileDescriptorSet` whose files stay bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) file: Vec<Bytes>,
}

/// What is needed of a `FileDescriptorProto` to sort files.
#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    imports: Vec<String>,
}

impl Schema {
    /// A serialized `FileDescriptorSet`, every import among its files.
    ///
    /// Takes as long as the set is large: 10 MB are better decoded on a thread
    /// where that keeps nobody waiting.
    pub fn decode(set: &[u8]) -> Result<Schema, Problem> {
        Schema::of(files(set)?).map_err(first)
    }

    /// Files that import no others.
    fn of(files: Files) -> Result<Schema, Problems> {
        let mut problems = Problems::default();
        let lowered =
            files.iter().filter_map(|(name, bytes)| Some((name.clone(), problems.take(lower::decode(bytes))?)));
        let lowered = lowered.collect();
        problems.or(())?;
        check::check(&lowered)?;
        let pool = pool(&lowered).map_err(|why| Problem::new(format!("the schema cannot be used: {why}")))?;
        Ok(Schema { files, pool: Pool::new(pool) })
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Result<ServiceDescriptor, Problem> {
        self.pool.get_service_by_name(name).ok_or_else(|| {
            let problem = Problem::new(format!("the schema declares no service `{}`", clean(name)));
            let known: Vec<_> = self.pool.services().map(|service| clean(service.full_name())).collect();
            let problem = problem.meant(name, known.iter().map(String::as_str));
            match known.as_slice() {
                [] => problem.help("it declares none at all"),
                known => problem.help(format!("it declares: {}", known.join(", "))),
            }
        })
    }

    /// Every descriptor there is.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// A file and all it imports, as the bytes they were given in.
    pub(super) fn closure(&self, root: &str) -> Files {
        closure(&self.files, root)
    }
}

/// A file among others, and all of them that it imports; nothing where it is not there.
pub(super) fn closure(files: &Files, root: &str) -> Files {
    let mut found = Files::new();
    let mut left = VecDeque::from([root.to_owned()]);
    while let Some(name) = left.pop_front() {
        let Some(bytes) = files.get(&name).filter(|_| !found.contains_key(&name)) else { continue };
        if let Ok(head) = Head::decode(bytes.clone()) {
            left.extend(head.imports);
        }
        found.insert(name, bytes.clone());
    }
    found
}

/// The first of several problems, and that there are more.
fn first(problems: Problems) -> Problem {
    let mut told = problems.iter().cloned();
    let first = told.next().unwrap_or_else(|| Problem::new("the schema cannot be used"));
    told.fold(first, |first, next| first.help(format!("also: {}", next.words())))
}

/// The files of a serialized set; one that is there twice is there once.
fn files(set: &[u8]) -> Result<Files, Problem> {
    let unusable = |error: &dyn fmt::Display| Problem::new(format!("this is no descriptor set: {error}"));
    let set = RawSet::decode(set).map_err(|error| unusable(&error))?;
    let mut files = Files::new();
    for bytes in set.file {
        let Head { name, .. } = Head::decode(bytes.clone()).map_err(|error| unusable(&error))?;
        if files.insert(name.clone(), bytes.clone()).is_some_and(|other| other != bytes) {
            return Err(Problem::new(format!("the file `{}` is in the set twice, and not the same", clean(&name))));
        }
    }
    match files.is_empty() {
        true => Err(unusable(&"it holds no file")),
        false => Ok(files),
    }
}

/// A stranger's text, without what a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => cleaned.push(c),
            c if c.is_control() => cleaned.extend(c.escape_default()),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// The same, of its beginning.
fn cut(text: &str, most_chars: usize) -> String {
    match text.char_indices().nth(most_chars) {
        Some((at, _)) => clean(&text[..at]) + "…",
        None => clean(text),
    }
}

#[test]
fn a_stranger_s_words_do_nothing_to_a_terminal() {
    assert_eq!(clean("red \u{1b}[31m\r\n\tand ü"), "red \\u{1b}[31m\\r\n\tand ü");
}
