//! The files of all mounts together: one of each name, and each symbol in one.
//!
//! Files stay the bytes they were given in, so that comments, custom options
//! and fields this crate has never heard of reach the client untouched; they
//! are decoded once, to be indexed, and the decoded form is dropped.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message as _;
use prost_types::FileDescriptorProto;

use super::details;
use super::merge::{self, Merged};
use super::symbols::{Clash, Symbols};
use crate::config::Problem;
use crate::host::schema::{self, Files, RawSet, Schema};
use crate::proto;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    /// The service it came with first.
    owner: String,
    pub(super) bytes: Bytes,
    pub(super) imports: Vec<String>,
}

/// Everything reflection can be asked.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
    pub(super) symbols: Symbols,
}

impl Index {
    /// The host's own services, in words of our own. They come first, so that
    /// a user's set that carries its own copies does not clash with them.
    pub(crate) fn add_hosts_own(&mut self) -> Result<(), Problem> {
        let set = RawSet::decode(proto::DESCRIPTORS)
            .map_err(|error| Problem::new(format!("the host's own descriptors cannot be read: {error}")))?;
        for bytes in set.file {
            let file = decode(&bytes)?;
            if is_hosts_own(file.name()) {
                self.insert("the host", file, bytes)?;
            }
        }
        Ok(())
    }

    /// The files of one mount. A file that is there already, to the byte but for
    /// comments, is shared; one that contradicts another is a problem that
    /// names both.
    pub(crate) fn add(&mut self, owner: &str, files: Files) -> Result<(), Problem> {
        for (name, bytes) in files {
            if is_hosts_own(&name) {
                continue;
            }
            let known = self.by_name.get(&name).copied();
            let Some(at) = known else {
                self.insert(owner, decode(&bytes)?, bytes)?;
                continue;
            };
            let other = &self.files[at];
            match merge::merge(&name, &other.bytes, &bytes)? {
                Merged::Same => {}
                Merged::Better => {
                    let file = decode(&bytes)?;
                    self.files[at].bytes = bytes;
                    self.files[at].imports = file.dependency.clone();
                    self.declare(at, owner, &file)?;
                }
                Merged::Contradiction(symbol) => {
                    let problem = Problem::new(format!(
                        "the schema file `{name}` of `{owner}` is not the one of `{}`: they differ in {symbol}",
                        other.owner
                    ));
                    return Err(
                        problem.help("services share files that are the same; bring both up to date, or rename one")
                    );
                }
            }
        }
        Ok(())
    }

    /// What is met in an `Any`, though no service imports it: of each mount the
    /// files that it names, then what failures' details are made of. It comes
    /// last: what a service imports holds, then what any schema has, then the
    /// host's own.
    pub(crate) fn add_packed(&mut self, mounts: &[(String, Schema, BTreeSet<String>)]) -> Result<(), Problem> {
        for (owner, schema, files) in mounts {
            for name in files {
                self.offer(owner, name, schema.closure(name))?;
            }
        }
        let own = details::own()?;
        for name in details::FILES {
            for (owner, schema, _) in mounts {
                self.offer(owner, name, schema.closure(name))?;
            }
            self.offer("the host", name, schema::closure(&own, name))?;
        }
        Ok(())
    }

    /// A file and what it imports, which stay away where the file is there
    /// already, or anything that they declare is.
    fn offer(&mut self, owner: &str, name: &str, mut files: Files) -> Result<(), Problem> {
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        files.retain(|name, _| !self.by_name.contains_key(name));
        let mut offered = Index::default();
        offered.add(owner, files.clone())?;
        if offered.symbols.contradict(&self.symbols) { Ok(()) } else { self.add(owner, files) }
    }

    fn insert(&mut self, owner: &str, file: FileDescriptorProto, bytes: Bytes) -> Result<(), Problem> {
        let at = self.files.len();
        let (name, imports) = (file.name().to_owned(), file.dependency.clone());
        self.by_name.insert(name.clone(), at);
        self.files.push(File { name, owner: owner.to_owned(), bytes, imports });
        self.declare(at, owner, &file)
    }

    /// Notes what a file declares, which `owner` has brought.
    fn declare(&mut self, at: usize, owner: &str, file: &FileDescriptorProto) -> Result<(), Problem> {
        self.symbols.add(at, file).map_err(|Clash { symbol, first }| {
            let (name, File { name: other, owner: others, .. }) = (file.name(), &self.files[first]);
            Problem::new(format!(
                "`{symbol}` is declared twice: in `{name}` of `{owner}` and in `{other}` of `{others}`"
            ))
            .help("two services can share a file, but not declare one name in two files")
        })
    }

    /// The file of that name.
    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A file by its number.
    pub(super) fn file(&self, at: usize) -> &File {
        &self.files[at]
    }
}

pub(super) fn decode(bytes: &Bytes) -> Result<FileDescriptorProto, Problem> {
    FileDescriptorProto::decode(bytes.clone())
        .map_err(|error| Problem::new(format!("a schema file cannot be decoded: {error}")))
}

fn is_hosts_own(file: &str) -> bool {
    file.starts_with("grpc/health/") || file.starts_with("grpc/reflection/")
}
