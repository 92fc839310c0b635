//! A host's schema as far as it was asked for, put together from as many
//! answers as it takes: some hosts send a file with all it imports, some one
//! file an answer.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::metadata::MetadataMap;

use super::Failure;
use super::talk::{Question, Talk};
use crate::config::Problem;
use crate::config::units::Period;
use crate::host::forward::Link;
use crate::host::schema::{Files, Head, clean};

/// Bounds of what one host may have us hold.
const MOST_FILES: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// The files of a host, gathered.
pub(in crate::host) struct Gather {
    talk: Talk,
    files: Files,
    bytes: usize,
    /// What files import, to be looked at.
    imports: Vec<String>,
    /// Files that others import and the host does not have.
    absent: BTreeSet<String>,
}

impl Gather {
    /// Nothing yet, of the host at the other end; each look-up has this long.
    pub(in crate::host) fn new(link: Link, metadata: MetadataMap, limit: Period) -> Gather {
        Gather {
            talk: Talk::new(link, metadata, limit),
            files: Files::new(),
            bytes: 0,
            imports: Vec::new(),
            absent: BTreeSet::new(),
        }
    }

    /// Every file there is so far.
    pub(in crate::host) fn files(&self) -> &Files {
        &self.files
    }

    /// Every file there is.
    pub(in crate::host) fn into_files(self) -> Files {
        self.files
    }

    /// Files that others import and the host does not have; an empty one
    /// stands in for each.
    pub(in crate::host) fn absent(&self) -> &BTreeSet<String> {
        &self.absent
    }

    /// The names of the host's services, sorted.
    pub(in crate::host) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        self.talk.services().await
    }

    /// Learns what a symbol is, and all it takes to use it; false where the
    /// host has no such symbol.
    pub(in crate::host) async fn learn(&mut self, symbol: &str) -> Result<bool, Failure> {
        self.talk.restart();
        let about = format!("`{}`", clean(symbol));
        let question = Question::FileContainingSymbol(symbol.to_owned());
        let Some(files) = self.talk.files(question, &about).await? else { return Ok(false) };
        self.take(files)?;
        while let Some(import) = self.imports.pop() {
            if self.files.contains_key(&import) {
                continue;
            }
            let about = format!("the schema file `{}`", clean(&import));
            let question = Question::FileByFilename(import.clone());
            if let Some(files) = self.talk.files(question, &about).await? {
                self.take(files)?;
            }
            if !self.files.contains_key(&import) {
                // What only options refer to is often left out by hosts. What
                // is truly needed is missed, by name, when all is put together.
                let stand_in = well_known(&import).unwrap_or_else(|| {
                    self.absent.insert(import.clone());
                    Head { name: import.clone(), imports: Vec::new() }.encode_to_vec().into()
                });
                self.files.insert(import, stand_in);
            }
            self.within_bounds()?;
        }
        Ok(true)
    }

    fn take(&mut self, files: Vec<Vec<u8>>) -> Result<(), Failure> {
        for bytes in files {
            self.bytes += bytes.len();
            self.within_bounds()?;
            let bytes = Bytes::from(bytes);
            let head = Head::decode(bytes.clone())
                .map_err(|error| Problem::new(format!("a schema file cannot be decoded: {error}")))?;
            if let Entry::Vacant(place) = self.files.entry(head.name) {
                self.imports.extend(head.imports);
                place.insert(bytes);
            }
        }
        Ok(())
    }

    fn within_bounds(&self) -> Result<(), Problem> {
        if self.files.len() <= MOST_FILES && self.bytes <= MOST_BYTES {
            return Ok(());
        }
        let most = MOST_BYTES >> 20;
        Err(Problem::new(format!("the host's schema goes on beyond {MOST_FILES} files or {most}MiB")))
    }
}

/// A file that every protobuf library brings along.
fn well_known(name: &str) -> Option<Bytes> {
    let file = DescriptorPool::global().get_file_by_name(name)?;
    name.starts_with("google/protobuf/").then(|| file.encode_to_vec().into())
}
