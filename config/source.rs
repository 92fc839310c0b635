//! The files a configuration was read from, and when to look again.
//!
//! Every file that anything reads while a configuration is planned or built is
//! remembered with the hash of what was read. [`Sources::changed`] then says
//! whether the world has moved on: it compares contents, so a Kubernetes
//! symlink swap, an editor's rename and a truncate-and-write all look alike,
//! and a touch that changes nothing is nothing.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the file system says of a file; equal stamps mean equal contents
/// nearly always, and save reading it again.
type Stamp = Option<(u64, u64, Option<SystemTime>)>;

/// One file as it was read.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    stamp: Stamp,
    hash: u64,
}

/// Every file read, in the order of reading.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

/// How often a file that changes while it is read is read again.
const MOST_READS: usize = 5;

impl Sources {
    /// Reads a whole file and remembers it. A file replaced or written while
    /// it is read is read again, so the bytes are of one moment.
    pub fn read(&mut self, path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
        // Remembered even where reading fails: its coming into being is a change.
        let at = self.0.len();
        self.0.push(Source { path: path.to_owned(), stamp: None, hash: 0 });
        for _ in 0..MOST_READS {
            let before = stamp(path);
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(most_bytes + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > most_bytes {
                return Err(io::Error::other(format!("it is larger than {most_bytes} bytes")));
            }
            if stamp(path) == before {
                self.0[at] = Source { path: path.to_owned(), stamp: before, hash: hash(&bytes) };
                return Ok(bytes);
            }
        }
        Err(io::Error::other("it keeps changing while it is read"))
    }

    /// Remembers what another reader read.
    pub fn extend(&mut self, other: Sources) {
        self.0.extend(other.0);
    }

    /// Looks at every file once. `Some` is a fingerprint of what is there now,
    /// where that is not what was read: a caller acts on it once it has seen
    /// the same fingerprint twice, for a writer may be half done. An emptied
    /// file is never a change worth acting on.
    pub fn changed(&self) -> Option<u64> {
        let mut now = DefaultHasher::new();
        let mut any = false;
        for source in &self.0 {
            let found = stamp(&source.path);
            // Files written within the clock's grain may share a stamp, so a young file is read.
            let hash = if found == source.stamp && found.is_some() && !young(found) {
                source.hash
            } else {
                match std::fs::read(&source.path) {
                    Ok(bytes) if bytes.is_empty() && source.hash != hash(&[]) => return None,
                    Ok(bytes) => hash(&bytes),
                    Err(_) => 0,
                }
            };
            any |= hash != source.hash;
            hash.hash(&mut now);
        }
        any.then(|| now.finish())
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let inode = 0;
    Some((inode, meta.len(), meta.modified().ok()))
}

fn young(stamp: Stamp) -> bool {
    let modified = stamp.and_then(|(.., modified)| modified);
    modified.and_then(|at| at.elapsed().ok()).is_none_or(|age| age.as_secs() < 3)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
