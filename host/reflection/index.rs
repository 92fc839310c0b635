//! From a symbol, a file name or an extension to the file that declares it.
//!
//! Files stay the bytes they were given in, so that comments, custom options
//! and fields this crate has never heard of reach the client untouched; they
//! are decoded once, to be indexed, and the decoded form is dropped.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use crate::config::Problem;
use crate::proto;

/// Clients take messages of 4 MiB at the most; a whole answer stays below.
const LARGEST_ANSWER_BYTES: usize = 3 << 20;

/// One file.
#[derive(Debug)]
struct File {
    name: String,
    bytes: Bytes,
    imports: Vec<String>,
}

/// Everything reflection can be asked.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
    /// Extended message → field number → file.
    extensions: HashMap<String, BTreeMap<i32, usize>>,
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

    /// The files of one mount. A file that is there already, byte for byte, is
    /// shared; one that contradicts another is a problem that names both.
    pub(crate) fn add(&mut self, owner: &str, files: BTreeMap<String, Bytes>) -> Result<(), Problem> {
        for (name, bytes) in files {
            if is_hosts_own(&name) {
                continue;
            }
            let file = decode(&bytes)?;
            match self.by_name.get(&name).copied() {
                None => self.insert(owner, file, bytes)?,
                Some(at) if self.files[at].bytes == bytes => {}
                // Later releases only ever add to the well-known files.
                Some(at) if name.starts_with("google/protobuf/") => {
                    if bytes.len() > self.files[at].bytes.len() {
                        self.record(at, &file).map_err(|clash| clash.problem(self, owner, &name))?;
                        self.files[at].bytes = bytes;
                    }
                }
                Some(_) => {
                    return Err(Problem::new(format!(
                        "the schema file `{name}` of `{owner}` differs from another service's file of that name"
                    ))
                    .help(
                        "files that services share must be the same to the byte; rename one, or bring both up to date",
                    ));
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, owner: &str, file: FileDescriptorProto, bytes: Bytes) -> Result<(), Problem> {
        let at = self.files.len();
        let name = file.name().to_owned();
        self.files.push(File { name: name.clone(), bytes, imports: file.dependency.clone() });
        self.by_name.insert(name.clone(), at);
        self.record(at, &file).map_err(|clash| clash.problem(self, owner, &name))
    }

    /// Notes every symbol of a file.
    fn record(&mut self, at: usize, file: &FileDescriptorProto) -> Result<(), Clash> {
        let scope = file.package().to_owned();
        for message in &file.message_type {
            self.message(at, &scope, message)?;
        }
        for enumeration in &file.enum_type {
            self.enumeration(at, &scope, enumeration)?;
        }
        for extension in &file.extension {
            self.extension(at, &scope, extension)?;
        }
        for service in &file.service {
            let name = self.symbol(at, &scope, service.name())?;
            for method in &service.method {
                self.symbol(at, &name, method.name())?;
            }
        }
        Ok(())
    }

    fn message(&mut self, at: usize, scope: &str, message: &DescriptorProto) -> Result<(), Clash> {
        let name = self.symbol(at, scope, message.name())?;
        for field in &message.field {
            self.symbol(at, &name, field.name())?;
        }
        for oneof in &message.oneof_decl {
            self.symbol(at, &name, oneof.name())?;
        }
        for nested in &message.nested_type {
            self.message(at, &name, nested)?;
        }
        for enumeration in &message.enum_type {
            self.enumeration(at, &name, enumeration)?;
        }
        for extension in &message.extension {
            self.extension(at, &name, extension)?;
        }
        Ok(())
    }

    /// An enum's values live beside it, as in C++, not inside it.
    fn enumeration(&mut self, at: usize, scope: &str, enumeration: &EnumDescriptorProto) -> Result<(), Clash> {
        self.symbol(at, scope, enumeration.name())?;
        for value in &enumeration.value {
            self.symbol(at, scope, value.name())?;
        }
        Ok(())
    }

    fn extension(&mut self, at: usize, scope: &str, extension: &FieldDescriptorProto) -> Result<(), Clash> {
        self.symbol(at, scope, extension.name())?;
        let extendee = extension.extendee().trim_start_matches('.').to_owned();
        let number = extension.number();
        match self.extensions.entry(extendee.clone()).or_default().insert(number, at) {
            Some(other) if other != at => Err(Clash { symbol: format!("extension {number} of {extendee}"), other }),
            _ => Ok(()),
        }
    }

    fn symbol(&mut self, at: usize, scope: &str, name: &str) -> Result<String, Clash> {
        let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        match self.symbols.insert(full.clone(), at) {
            Some(other) if other != at => Err(Clash { symbol: full, other }),
            _ => Ok(full),
        }
    }

    /// The file of that name.
    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The file that declares a symbol.
    pub(super) fn by_symbol(&self, symbol: &str) -> Option<usize> {
        self.symbols.get(symbol).copied()
    }

    /// The file that declares an extension.
    pub(super) fn by_extension(&self, extendee: &str, number: i32) -> Option<usize> {
        self.extensions.get(extendee)?.get(&number).copied()
    }

    /// The numbers of a message's extensions, ascending; `None` where there is
    /// no such message.
    pub(super) fn extension_numbers(&self, extendee: &str) -> Option<Vec<i32>> {
        match self.extensions.get(extendee) {
            Some(numbers) => Some(numbers.keys().copied().collect()),
            None => self.is_message(extendee).then(Vec::new),
        }
    }

    fn is_message(&self, name: &str) -> bool {
        let Some(file) =
            self.by_symbol(name).and_then(|at| FileDescriptorProto::decode(self.files[at].bytes.clone()).ok())
        else {
            return false;
        };
        let inner = match file.package() {
            "" => name,
            package => name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default(),
        };
        let mut messages = &file.message_type;
        let mut found = false;
        for part in inner.split('.') {
            match messages.iter().find(|message| message.name() == part) {
                Some(message) => (found, messages) = (true, &message.nested_type),
                None => return false,
            }
        }
        found
    }

    /// A file and then what it imports, breadth first, without what `sent`
    /// holds already; the file itself always. Stops short of what a client
    /// would refuse: the rest can be asked for by name.
    pub(super) fn closure(&self, root: usize, sent: &mut HashSet<usize>) -> Vec<Bytes> {
        let mut answer = Vec::new();
        let mut bytes = 0;
        let mut seen = HashSet::from([root]);
        let mut queue = VecDeque::from([root]);
        while let Some(at) = queue.pop_front() {
            let file = &self.files[at];
            if at == root || !sent.contains(&at) {
                bytes += file.bytes.len();
                if at != root && bytes > LARGEST_ANSWER_BYTES {
                    break;
                }
                sent.insert(at);
                answer.push(file.bytes.clone());
            }
            queue.extend(
                file.imports.iter().filter_map(|import| self.by_name(import)).filter(|import| seen.insert(*import)),
            );
        }
        answer
    }
}

/// One symbol claimed by two files.
struct Clash {
    symbol: String,
    other: usize,
}

impl Clash {
    fn problem(&self, index: &Index, owner: &str, file: &str) -> Problem {
        let other = &index.files[self.other].name;
        Problem::new(format!("`{}` is declared twice: in `{file}` of `{owner}` and in `{other}`", self.symbol))
            .help("two services can share a file, but not declare one name in two files")
    }
}

/// A `FileDescriptorSet` whose files stay bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) file: Vec<Bytes>,
}

fn decode(bytes: &Bytes) -> Result<FileDescriptorProto, Problem> {
    FileDescriptorProto::decode(bytes.clone())
        .map_err(|error| Problem::new(format!("a schema file cannot be decoded: {error}")))
}

fn is_hosts_own(file: &str) -> bool {
    file.starts_with("grpc/health/") || file.starts_with("grpc/reflection/")
}
