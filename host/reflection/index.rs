//! From a symbol, a file name or an extension to the file that declares it.
//!
//! Files stay the bytes they were given in, so that comments, custom options
//! and fields this crate has never heard of reach the client untouched; they
//! are decoded once, to be indexed, and the decoded form is dropped.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::details;
use super::merge::{self, Merged};
use crate::config::Problem;
use crate::host::schema::{self, Files, Schema};
use crate::proto;

/// Clients take messages of 4 MiB at the most; a whole answer stays below.
const LARGEST_ANSWER_BYTES: usize = 3 << 20;

/// One file.
#[derive(Debug)]
struct File {
    name: String,
    /// The service it came with first.
    owner: String,
    bytes: Bytes,
    imports: Vec<String>,
}

/// Everything reflection can be asked.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
    /// What is a package cannot be anything else; nobody looks one up.
    packages: HashMap<String, usize>,
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
                    self.record(at, &file).map_err(|clash| clash.problem(self, owner, &name))?;
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

    /// What failures' details are made of, though no service imports it. It comes
    /// last: what a service imports holds, then what any schema has, then the
    /// host's own.
    pub(crate) fn add_details(&mut self, schemas: &[(String, Schema)]) -> Result<(), Problem> {
        let own = details::own()?;
        for name in details::FILES {
            for (owner, schema) in schemas {
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
        if offered.contradicts(self) { Ok(()) } else { self.add(owner, files) }
    }

    /// Whether the files of both cannot stand together.
    fn contradicts(&self, other: &Index) -> bool {
        let is_taken = |symbol| other.symbols.contains_key(symbol) || other.packages.contains_key(symbol);
        let is_extended = |(extendee, numbers): (&String, &BTreeMap<i32, usize>)| {
            other.extensions.get(extendee).is_some_and(|there| numbers.keys().any(|number| there.contains_key(number)))
        };
        self.symbols.keys().any(is_taken)
            || self.packages.keys().any(|package| other.symbols.contains_key(package))
            || self.extensions.iter().any(is_extended)
    }

    fn insert(&mut self, owner: &str, file: FileDescriptorProto, bytes: Bytes) -> Result<(), Problem> {
        let at = self.files.len();
        let name = file.name().to_owned();
        let imports = file.dependency.clone();
        self.files.push(File { name: name.clone(), owner: owner.to_owned(), bytes, imports });
        self.by_name.insert(name.clone(), at);
        self.record(at, &file).map_err(|clash| clash.problem(self, owner, &name))
    }

    /// Notes every symbol of a file.
    fn record(&mut self, at: usize, file: &FileDescriptorProto) -> Result<(), Clash> {
        let scope = file.package().to_owned();
        let inner = scope.match_indices('.').map(|(dot, _)| &scope[..dot]);
        for package in inner.chain(Some(scope.as_str()).filter(|scope| !scope.is_empty())) {
            if let Some(other) = self.symbols.get(package).copied() {
                return Err(Clash { symbol: package.to_owned(), other });
            }
            self.packages.entry(package.to_owned()).or_insert(at);
        }
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
        if let Some(other) = self.packages.get(&full).copied() {
            return Err(Clash { symbol: full, other });
        }
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
    /// holds already; the file itself always. What would make the answer larger
    /// than a client takes stays out, and can be asked for by name; smaller files
    /// behind it do not, as grpc-reflection-js asks for one or two at the most.
    pub(super) fn closure(&self, root: usize, sent: &mut HashSet<usize>) -> Vec<Bytes> {
        let mut answer = Vec::new();
        let mut room = LARGEST_ANSWER_BYTES;
        let mut seen = HashSet::from([root]);
        let mut queue = VecDeque::from([root]);
        while let Some(at) = queue.pop_front() {
            let file = &self.files[at];
            if at == root || (file.bytes.len() <= room && !sent.contains(&at)) {
                room = room.saturating_sub(file.bytes.len());
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
        let File { name, owner: other, .. } = &index.files[self.other];
        Problem::new(format!(
            "`{}` is declared twice: in `{file}` of `{owner}` and in `{name}` of `{other}`",
            self.symbol
        ))
        .help("two services can share a file, but not declare one name in two files")
    }
}

/// A `FileDescriptorSet` whose files stay bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) file: Vec<Bytes>,
}

pub(super) fn decode(bytes: &Bytes) -> Result<FileDescriptorProto, Problem> {
    FileDescriptorProto::decode(bytes.clone())
        .map_err(|error| Problem::new(format!("a schema file cannot be decoded: {error}")))
}

fn is_hosts_own(file: &str) -> bool {
    file.starts_with("grpc/health/") || file.starts_with("grpc/reflection/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles files given as name and text, and returns each one's bytes.
    fn compiled(files: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(files.iter().map(|(name, _)| folder.path().join(name))).unwrap();
        let set = RawSet::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
        set.file.into_iter().map(|bytes| (decode(&bytes).unwrap().name().to_owned(), bytes)).collect()
    }

    fn index(files: &[(&str, &str)]) -> Index {
        let mut index = Index::default();
        index.add("test", compiled(files)).unwrap();
        index
    }

    fn name(index: &Index, at: Option<usize>) -> Option<&str> {
        at.map(|at| index.files[at].name.as_str())
    }

    const OPTIONS: (&str, &str) = (
        "options.proto",
        r#"syntax = "proto2"; package o; import "google/protobuf/descriptor.proto";
           extend google.protobuf.MethodOptions { optional string scope = 50001; }
           message Base { extensions 100 to 200; message Inner { extend Base { optional int32 deep = 150; } } }
           extend Base { optional int32 late = 120; optional int32 early = 101; }"#,
    );
    const SERVICE: (&str, &str) = (
        "service.proto",
        r#"syntax = "proto3"; package s; import "options.proto";
           message M { oneof choice { int32 a = 1; string b = 2; } map<string, int32> counts = 3;
             enum Colour { RED = 0; } message Deep { enum Shade { DARK = 0; } } }
           enum Top { ZERO = 0; }
           service S { rpc Call(M) returns (M) { option (o.scope) = "admin"; } }"#,
    );

    #[test]
    fn every_symbol_of_protobuf_leads_to_its_file() {
        let index = index(&[OPTIONS, SERVICE]);
        for symbol in [
            "s.M",
            "s.M.a",
            "s.M.choice",
            "s.M.counts",
            "s.M.CountsEntry",
            "s.M.CountsEntry.key",
            "s.M.Colour",
            "s.M.RED",
            "s.M.Deep",
            "s.M.Deep.DARK",
            "s.Top",
            "s.ZERO",
            "s.S",
            "s.S.Call",
        ] {
            assert_eq!(name(&index, index.by_symbol(symbol)), Some("service.proto"), "{symbol}");
        }
        for symbol in ["o.scope", "o.Base", "o.late", "o.Base.Inner.deep"] {
            assert_eq!(name(&index, index.by_symbol(symbol)), Some("options.proto"), "{symbol}");
        }
        for symbol in ["s", "s.M.Colour.RED", "s.Top.ZERO", ".s.M", "s.S/Call", "M", ""] {
            assert_eq!(index.by_symbol(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn extensions_are_found_by_number_and_listed_in_order() {
        let index = index(&[OPTIONS, SERVICE]);
        assert_eq!(index.extension_numbers("o.Base"), Some(vec![101, 120, 150]));
        assert_eq!(name(&index, index.by_extension("o.Base", 150)), Some("options.proto"));
        assert_eq!(name(&index, index.by_extension("google.protobuf.MethodOptions", 50001)), Some("options.proto"));
        assert_eq!(index.by_extension("o.Base", 102), None);
        assert_eq!(index.extension_numbers("s.M"), Some(Vec::new()), "a message without extensions");
        assert_eq!(index.extension_numbers("s.M.Deep"), Some(Vec::new()));
        assert_eq!(index.extension_numbers("s.Top"), None, "an enum has no extensions");
        assert_eq!(index.extension_numbers("no.such"), None);
    }

    #[test]
    fn custom_options_reach_the_client_byte_for_byte() {
        let files = compiled(&[OPTIONS, SERVICE]);
        let index = index(&[OPTIONS, SERVICE]);
        let answer = index.closure(index.by_symbol("s.S").unwrap(), &mut HashSet::new());
        assert_eq!(answer[0], files["service.proto"]);
        // The option's wire form: field 50001, wire type 2, "admin".
        let option = [0x8a, 0xb5, 0x18, 5, b'a', b'd', b'm', b'i', b'n'];
        assert!(answer[0].windows(option.len()).any(|window| window == option));
    }

    #[test]
    fn a_closure_is_the_root_then_its_imports_and_never_the_same_import_twice() {
        let index = index(&[OPTIONS, SERVICE]);
        let names = |answer: Vec<Bytes>| {
            answer.iter().map(|bytes| decode(bytes).unwrap().name().to_owned()).collect::<Vec<_>>()
        };
        let mut sent = HashSet::new();
        let service = index.by_name("service.proto").unwrap();
        let all = ["service.proto", "options.proto", "google/protobuf/descriptor.proto"];
        assert_eq!(names(index.closure(service, &mut sent)), all);
        assert_eq!(names(index.closure(service, &mut sent)), ["service.proto"]);
        let options = index.by_name("options.proto").unwrap();
        assert_eq!(names(index.closure(options, &mut sent)), ["options.proto"], "the root is always sent");
    }

    #[test]
    fn an_answer_stays_below_what_clients_take() {
        let comment = "// ".to_owned() + &"x".repeat(1 << 20) + "\n";
        let part = |name: &str| format!("{comment}syntax = \"proto3\"; message {name} {{}}");
        let (a, b, c, d) = (part("A"), part("B"), part("C"), part("D"));
        let root = r#"syntax = "proto3"; import "a.proto"; import "b.proto"; import "c.proto"; import "d.proto";
            service R { rpc Call(A) returns (B); rpc Other(C) returns (D); }"#;
        let files = [("a.proto", a.as_str()), ("b.proto", &b), ("c.proto", &c), ("d.proto", &d), ("root.proto", root)];
        let index = index(&files);
        let mut sent = HashSet::new();
        let answer = index.closure(index.by_symbol("R").unwrap(), &mut sent);
        assert!(answer.iter().map(Bytes::len).sum::<usize>() <= LARGEST_ANSWER_BYTES);
        let rest: Vec<_> = (0..index.files.len()).filter(|at| !sent.contains(at)).collect();
        assert!(
            !rest.is_empty() && rest.iter().all(|at| !index.closure(*at, &mut sent).is_empty()),
            "the rest by name"
        );
    }

    #[test]
    fn sets_that_agree_share_and_sets_that_contradict_are_told_by_file_and_symbol() {
        let mut index = index(&[OPTIONS, SERVICE]);
        index.add("twin", compiled(&[OPTIONS, SERVICE])).unwrap();
        let changed = ("options.proto", r#"syntax = "proto3"; package o; message Base {}"#);
        let problem = index.add("other", compiled(&[changed])).unwrap_err().to_string();
        assert!(problem.contains("`options.proto` of `other` is not the one of `test`"), "{problem}");
        assert!(problem.contains("they differ in `Base`"), "{problem}");
        let stranger = ("stranger.proto", r#"syntax = "proto3"; package s; message M {}"#);
        let problem = index.add("other", compiled(&[stranger])).unwrap_err().to_string();
        assert!(
            problem
                .contains("`s.M` is declared twice: in `stranger.proto` of `other` and in `service.proto` of `test`"),
            "{problem}"
        );
        let package = ("package.proto", r#"syntax = "proto3"; package s.M.deep; message Another {}"#);
        let problem = index.add("other", compiled(&[package])).unwrap_err().to_string();
        assert!(problem.contains("`s.M` is declared twice: in `package.proto`"), "{problem}");
    }

    #[test]
    fn a_set_with_its_own_copy_of_the_hosts_files_does_not_clash() {
        let mut index = Index::default();
        index.add_hosts_own().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("grpc/health/v1")).unwrap();
        let text = r#"syntax = "proto3"; package grpc.health.v1; message HealthCheckRequest { string service = 1; }"#;
        std::fs::write(folder.path().join("grpc/health/v1/health.proto"), text).unwrap();
        let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
        compiler.open_file(folder.path().join("grpc/health/v1/health.proto")).unwrap();
        let set = RawSet::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
        let files = set.file.into_iter().map(|bytes| (decode(&bytes).unwrap().name().to_owned(), bytes)).collect();
        index.add("theirs", files).unwrap();
        assert!(index.by_symbol("grpc.health.v1.Health").is_some(), "the host's own file stays");
    }
}
