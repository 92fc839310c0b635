//! `.proto` files, compiled as the host reads its configuration: without
//! protoc, and remembering every file, so that a change of any is a change.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use miette::Diagnostic as _;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::{Files, clean, files};
use crate::config::{Place, Problem, Sources};

/// Of one `.proto`.
const LARGEST_BYTES: u64 = 16 << 20;

/// What was read: the path and the text of each file, by its name.
#[derive(Default)]
struct Read {
    sources: Sources,
    texts: BTreeMap<String, (PathBuf, String)>,
}

/// Compiles the files of these names below the roots, and all they import.
pub(super) fn compile(names: &[String], roots: &[PathBuf], sources: &mut Sources) -> Result<Files, Problem> {
    let read = Rc::new(RefCell::new(Read::default()));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Roots { roots: roots.to_vec(), read: read.clone() });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    let compiled = names.iter().try_for_each(|name| compiler.open_file(name).map(|_| ()));
    sources.extend(std::mem::take(&mut read.borrow_mut().sources));
    match compiled {
        Ok(()) => files(&compiler.encode_file_descriptor_set()),
        Err(error) => Err(problem(&error, &read.borrow())),
    }
}

/// Where imports are looked for, first to last.
struct Roots {
    roots: Vec<PathBuf>,
    read: Rc<RefCell<Read>>,
}

impl FileResolver for Roots {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let read = &mut *self.read.borrow_mut();
        for root in &self.roots {
            let path = root.join(name);
            match read.sources.read(&path, LARGEST_BYTES) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes)
                        .map_err(|_| protox::Error::new(format!("{} is not UTF-8 text", path.display())))?;
                    read.texts.insert(name.to_owned(), (path, text.clone()));
                    return File::from_source(name, &text);
                }
                // Remembered: where it comes into being, it is read next time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(protox::Error::new(format!("cannot read {}: {error}", path.display()))),
            }
        }
        Err(protox::Error::file_not_found(name))
    }
}

/// What the compiler found, at its place in the `.proto`.
fn problem(error: &protox::Error, read: &Read) -> Problem {
    let mut problem = Problem::new(clean(&error.to_string()));
    if let Some((_, text)) = error.file().and_then(|name| read.texts.get(name))
        && text.lines().any(|line| line.trim_start().starts_with("edition"))
    {
        problem = problem.help(
            "editions are read from descriptor sets: `protoc --include_imports --descriptor_set_out=set.binpb …`",
        );
    }
    if let Some(help) = error.help() {
        problem = problem.help(clean(&help.to_string()));
    }
    let label = error.labels().and_then(|mut labels| labels.next());
    if let (Some((path, text)), Some(label)) = (error.file().and_then(|name| read.texts.get(name)), label) {
        let range = label.offset()..label.offset() + label.len().max(1);
        problem = problem.label(clean(label.label().unwrap_or_default()));
        problem = problem.at(Place::of(&path.display().to_string(), text, range));
    }
    problem
}

/// The names of every `.proto` below a folder, sorted; each folder is remembered.
pub(super) fn below(root: &Path, sources: &mut Sources) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        let cannot = |error: io::Error| Problem::new(format!("cannot read {}: {error}", folder.display()));
        for path in sources.list(&folder).map_err(cannot)? {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto")
                && let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str)
            {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}
