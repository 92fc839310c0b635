//! The index by itself: files put in, and what is found of them.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use prost::Message as _;

use super::answer::{LARGEST_ANSWER_BYTES, closure};
use super::index::{Index, decode};
use crate::host::schema::RawSet;

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
    at.map(|at| index.file(at).name.as_str())
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
        assert_eq!(name(&index, index.symbols.by_symbol(symbol)), Some("service.proto"), "{symbol}");
    }
    for symbol in ["o.scope", "o.Base", "o.late", "o.Base.Inner.deep"] {
        assert_eq!(name(&index, index.symbols.by_symbol(symbol)), Some("options.proto"), "{symbol}");
    }
    for symbol in ["s", "s.M.Colour.RED", "s.Top.ZERO", ".s.M", "s.S/Call", "M", ""] {
        assert_eq!(index.symbols.by_symbol(symbol), None, "{symbol}");
    }
}

#[test]
fn extensions_are_found_by_number_and_listed_in_order() {
    let index = index(&[OPTIONS, SERVICE]);
    assert_eq!(index.symbols.extension_numbers("o.Base"), Some(vec![101, 120, 150]));
    assert_eq!(name(&index, index.symbols.by_extension("o.Base", 150)), Some("options.proto"));
    assert_eq!(name(&index, index.symbols.by_extension("google.protobuf.MethodOptions", 50001)), Some("options.proto"));
    for number in [102, 0, -1, i32::MIN] {
        assert_eq!(index.symbols.by_extension("o.Base", number), None, "{number}");
    }
    assert_eq!(index.symbols.extension_numbers("s.M"), Some(Vec::new()), "a message without extensions");
    assert_eq!(index.symbols.extension_numbers("s.M.Deep"), Some(Vec::new()));
    assert_eq!(index.symbols.extension_numbers("s.Top"), None, "an enum has no extensions");
    assert_eq!(index.symbols.extension_numbers("no.such"), None);
}

#[test]
fn custom_options_reach_the_client_byte_for_byte() {
    let files = compiled(&[OPTIONS, SERVICE]);
    let index = index(&[OPTIONS, SERVICE]);
    let answer = closure(&index, index.symbols.by_symbol("s.S").unwrap(), &mut HashSet::new());
    assert_eq!(answer[0], files["service.proto"]);
    // The option's wire form: field 50001, wire type 2, "admin".
    let option = [0x8a, 0xb5, 0x18, 5, b'a', b'd', b'm', b'i', b'n'];
    assert!(answer[0].windows(option.len()).any(|window| window == option));
}

#[test]
fn a_closure_is_the_root_then_its_imports_and_never_the_same_import_twice() {
    let index = index(&[OPTIONS, SERVICE]);
    let names =
        |answer: Vec<Bytes>| answer.iter().map(|bytes| decode(bytes).unwrap().name().to_owned()).collect::<Vec<_>>();
    let mut sent = HashSet::new();
    let service = index.by_name("service.proto").unwrap();
    let all = ["service.proto", "options.proto", "google/protobuf/descriptor.proto"];
    assert_eq!(names(closure(&index, service, &mut sent)), all);
    assert_eq!(names(closure(&index, service, &mut sent)), ["service.proto"]);
    let options = index.by_name("options.proto").unwrap();
    assert_eq!(names(closure(&index, options, &mut sent)), ["options.proto"], "the root is always sent");
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
    let answer = closure(&index, index.symbols.by_symbol("R").unwrap(), &mut sent);
    assert!(answer.iter().map(Bytes::len).sum::<usize>() <= LARGEST_ANSWER_BYTES);
    let named = files.iter().filter_map(|(name, _)| index.by_name(name));
    let rest: Vec<_> = named.filter(|at| !sent.contains(at)).collect();
    assert!(!rest.is_empty() && rest.iter().all(|at| !closure(&index, *at, &mut sent).is_empty()), "the rest by name");
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
        problem.contains("`s.M` is declared twice: in `stranger.proto` of `other` and in `service.proto` of `test`"),
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
    assert!(index.symbols.by_symbol("grpc.health.v1.Health").is_some(), "the host's own file stays");
}
