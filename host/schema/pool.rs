//! Descriptors from files, where the files may be anybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::panic::catch_unwind;

use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tokio::runtime::Handle;

use super::clean;

/// Of all files together, public ones followed: a chain of a thousand such files
/// is half a million imports.
const MOST_IMPORTS: usize = 1_000_000;

/// Puts files together; the error says why they do not fit.
///
/// Takes as long as the files are large. What of a stranger's files is not
/// foreseen here makes the descriptor crate panic, and that is an error too.
pub(in crate::host) fn pool(files: &BTreeMap<String, FileDescriptorProto>) -> Result<DescriptorPool, String> {
    let mut passed_on = 0;
    let mut file = Vec::new();
    for next in files.values() {
        file.push(flat(next, files));
        passed_on += file.last().map_or(0, |file: &FileDescriptorProto| file.dependency.len());
        if passed_on > MOST_IMPORTS {
            return Err("its files pass each other on without end".to_owned());
        }
    }
    match catch_unwind(|| DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file })) {
        Ok(Ok(pool)) => Ok(pool),
        Ok(Err(error)) => Err(clean(&error.to_string())),
        Err(_) => Err("its files contradict each other".to_owned()),
    }
}

/// A file that imports by itself what it has by others' public imports.
///
/// prost-reflect follows public imports one step, and where they go in a circle
/// for ever (tests/upstream): it gets none to follow.
fn flat(file: &FileDescriptorProto, files: &BTreeMap<String, FileDescriptorProto>) -> FileDescriptorProto {
    let mut file = file.clone();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<&str> = file.dependency.iter().filter_map(|name| key(files, name)).collect();
    while let Some(name) = left.pop() {
        if seen.insert(name)
            && let Some(import) = files.get(name)
        {
            let public = import.public_dependency.iter().filter_map(|at| usize::try_from(*at).ok());
            left.extend(public.filter_map(|at| key(files, import.dependency.get(at)?)));
        }
    }
    seen.remove(file.name());
    file.dependency = seen.into_iter().map(str::to_owned).collect();
    file.public_dependency.clear();
    file.weak_dependency.clear();
    file
}

fn key<'a>(files: &'a BTreeMap<String, FileDescriptorProto>, name: &str) -> Option<&'a str> {
    files.get_key_value(name).map(|(name, _)| name.as_str())
}

/// A pool that is freed where that keeps nobody waiting: one of a large set
/// takes as long to go as a call may take.
#[derive(Clone)]
pub(super) struct Pool(Option<DescriptorPool>);

impl Pool {
    pub(super) fn new(pool: DescriptorPool) -> Pool {
        Pool(Some(pool))
    }
}

impl Deref for Pool {
    type Target = DescriptorPool;

    fn deref(&self) -> &DescriptorPool {
        // Emptied by drop alone.
        self.0.as_ref().unwrap_or_else(|| unreachable!("a pool is there until it drops"))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let pool = self.0.take();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(pool));
        }
    }
}
