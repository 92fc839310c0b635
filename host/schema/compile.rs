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

use super::{Files, cut, files};
use crate::config::{Place, Problem, Sources};

/// Of one `.proto`.
const LARGEST_BYTES: u64 = 16 << 20;
/// Of all that one schema takes.
const MOST_BYTES: usize = 64 << 20;
const MOST_FILES: usize = 8192;
/// The compiler goes into itself from import to import and from brace to brace;
/// here is room for as many of each as there may be, several times over. It is
/// kept free, and is memory only as far as it is used.
const STACK_BYTES: usize = 256 << 20;
/// Of the compiler's words: a circle of a thousand imports it tells whole.
const MOST_CHARS: usize = 500;
/// Of braces within braces; messages nest 31 deep, as in protoc.
const MOST_BRACES: usize = 1000;

/// What was read: the path and the text of each file, by its name.
#[derive(Default)]
struct Read {
    sources: Sources,
    texts: BTreeMap<String, (PathBuf, String)>,
    bytes: usize,
}

impl Read {
    /// Takes a file's text, as far as there may be more.
    fn take(&mut self, name: &str, path: PathBuf, text: &str) -> Result<(), protox::Error> {
        self.bytes += text.len();
        if self.texts.len() >= MOST_FILES || self.bytes > MOST_BYTES {
            let most = MOST_BYTES >> 20;
            return Err(protox::Error::new(format!("the schema is of more than {MOST_FILES} files or {most}MiB")));
        }
        if depth(text) > MOST_BRACES {
            return Err(protox::Error::new(format!("{name} has more than {MOST_BRACES} braces within each other")));
        }
        self.texts.insert(name.to_owned(), (path, text.to_owned()));
        Ok(())
    }
}

/// Compiles the files of these names below the roots, and all they import, on a
/// thread with room for them.
pub(super) fn compile(names: &[String], roots: &[PathBuf], sources: &mut Sources) -> Result<Files, Problem> {
    let cannot = |why: String| Problem::new(format!("the schema cannot be compiled: {why}"));
    std::thread::scope(|scope| {
        let compiler = std::thread::Builder::new().name("schema".to_owned()).stack_size(STACK_BYTES);
        let compiling = compiler.spawn_scoped(scope, || compile_here(names, roots, sources));
        let compiled = compiling.map_err(|error| cannot(error.to_string()))?.join();
        compiled.unwrap_or_else(|_| Err(cannot("its files contradict each other".to_owned())))
    })
}

fn compile_here(names: &[String], roots: &[PathBuf], sources: &mut Sources) -> Result<Files, Problem> {
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
                    read.take(name, path, &text)?;
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

/// How deep braces lie within each other, comments and texts included.
fn depth(text: &str) -> usize {
    let mut depth = 0_usize;
    text.bytes().fold(0, |deepest, byte| {
        match byte {
            b'{' | b'[' | b'<' | b'(' => depth += 1,
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest.max(depth)
    })
}

/// What the compiler found, at its place in the `.proto`.
fn problem(error: &protox::Error, read: &Read) -> Problem {
    let mut problem = Problem::new(cut(&error.to_string(), MOST_CHARS));
    if let Some((_, text)) = error.file().and_then(|name| read.texts.get(name))
        && text.lines().any(|line| line.trim_start().starts_with("edition"))
    {
        problem = problem.help(
            "editions are read from descriptor sets: `protoc --include_imports --descriptor_set_out=set.binpb …`",
        );
    }
    if let Some(help) = error.help() {
        problem = problem.help(cut(&help.to_string(), MOST_CHARS));
    }
    let label = error.labels().and_then(|mut labels| labels.next());
    if let (Some((path, text)), Some(label)) = (error.file().and_then(|name| read.texts.get(name)), label) {
        let range = label.offset()..label.offset() + label.len().max(1);
        problem = problem.label(cut(label.label().unwrap_or_default(), MOST_CHARS));
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
