//! Schemas that are sound and do not go together: refused at the start and by a
//! running host, with both services, both files and the symbol; and those that
//! do go together.

use std::path::Path;
use std::process::Command;

use crate::support::client::channel;
use crate::support::walk::walk;
use crate::support::{Ostler, Starter};
use crate::third_party::hello_host;

type Files<'a> = &'a [(&'a str, &'a str)];

fn write(folder: &Path, name: &str, files: Files<'_>) {
    let folder = folder.join(name);
    let _ = std::fs::remove_dir_all(&folder);
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

const YAML: &str = "reload: { watch: false }\nservices:\n  a.A: { schema: one, handler: mirror }\n  b.B: { schema: two, handler: mirror }\n";

/// Why two services do not go together: at the start, and where one is served already.
fn refused(host: &Ostler, one: Files<'_>, two: Files<'_>) -> String {
    write(host.folder(), "one", one);
    write(host.folder(), "two", two);
    let mark = host.mark();
    assert!(!host.reload(YAML));
    let output = Command::new(hello_host()).arg("check").arg(host.file()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let at_start = String::from_utf8(output.stderr).unwrap();
    let message = at_start.lines().next().unwrap().strip_prefix("error: ").unwrap();
    host.wait_for(mark, message);
    assert!(at_start.contains("ostler.yaml:5:"), "at the later service's schema: {at_start}");
    at_start
}

const A: (&str, &str) = (
    "a.proto",
    r#"syntax = "proto3"; package a; import "shared.proto"; service A { rpc Turn(shared.M) returns (shared.M); }"#,
);
const B: (&str, &str) = (
    "b.proto",
    r#"syntax = "proto3"; package b; import "shared.proto"; service B { rpc Turn(shared.M) returns (shared.M); }"#,
);
const SHARED: (&str, &str) =
    ("shared.proto", r#"syntax = "proto3"; package shared; message M { string text = 1; } message N {}"#);

#[tokio::test]
async fn two_services_share_what_is_the_same_and_clash_over_what_is_not() {
    let host = Starter::default().program(hello_host()).start("reload: { watch: false }\nservices: {}\n");
    write(host.folder(), "one", &[A, SHARED]);
    write(host.folder(), "two", &[B, SHARED]);
    assert!(host.reload(YAML));
    // Comments make no difference.
    let commented = ("shared.proto", &*format!("// Shared.\n{}", SHARED.1));
    write(host.folder(), "two", &[B, commented]);
    assert!(host.reload(YAML));
    let served = || async { walk(&channel(host.address()).await, "v1").await };
    assert!(served().await.contains("b.B"));

    let changed = ("shared.proto", r#"syntax = "proto3"; package shared; message M { string text = 2; } message N {}"#);
    let told = refused(&host, &[A, SHARED], &[B, changed]);
    assert!(
        told.contains("the schema file `shared.proto` of `b.B` is not the one of `a.A`: they differ in `M`"),
        "{told}"
    );
    let elsewhere = ("b.proto", B.1.replace("shared.proto", "other.proto"));
    let other = ("other.proto", SHARED.1);
    let told = refused(&host, &[A, SHARED], &[(elsewhere.0, &elsewhere.1), other]);
    let words = "`shared.M` is declared twice: in `other.proto` of `b.B` and in `shared.proto` of `a.A`";
    assert!(told.contains(words), "{told}");
    let option = |name: &str| {
        format!(
            "syntax = \"proto2\"; package {name}; import \"google/protobuf/descriptor.proto\";
             extend google.protobuf.FileOptions {{ optional string {name} = 50001; }}"
        )
    };
    let (x, y) = (option("x"), option("y"));
    let with = |text: &str, import: &str| text.replace("import", &format!("import \"{import}\"; import"));
    let (a, b) = (with(A.1, "x.proto"), with(B.1, "y.proto"));
    let told = refused(&host, &[("a.proto", &a), SHARED, ("x.proto", &x)], &[("b.proto", &b), SHARED, ("y.proto", &y)]);
    let words =
        "`extension 50001 of google.protobuf.FileOptions` is declared twice: in `y.proto` of `b.B` and in `x.proto`";
    assert!(told.contains(words), "{told}");
    // None of it has changed anything.
    assert!(served().await.contains("b.B"));
}

#[tokio::test]
async fn of_two_releases_of_protobuf_s_own_files_the_larger_is_served() {
    let host = Starter::default().program(hello_host()).start("reload: { watch: false }\nservices: {}\n");
    let any = |more: &str| {
        format!(
            "syntax = \"proto3\"; package google.protobuf; message Any {{ string type_url = 1; bytes value = 2; }} {more}"
        )
    };
    let (early, late) = (any(""), any("message Later {}"));
    let a = ("a.proto", A.1.replace("shared.proto\";", "shared.proto\"; import \"google/protobuf/any.proto\";"));
    let b = ("b.proto", B.1.replace("shared.proto\";", "shared.proto\"; import \"google/protobuf/any.proto\";"));
    write(host.folder(), "one", &[(a.0, &a.1), SHARED, ("google/protobuf/any.proto", &late)]);
    write(host.folder(), "two", &[(b.0, &b.1), SHARED, ("google/protobuf/any.proto", &early)]);
    assert!(host.reload(YAML));
    let mut reflection = crate::support::walk::Reflection::open(&channel(host.address()).await, "v1").await.unwrap();
    let later = tonic_reflection::pb::v1::server_reflection_request::MessageRequest::FileContainingSymbol(
        "google.protobuf.Later".to_owned(),
    );
    assert_eq!(reflection.files(later).await.unwrap()[0].name(), "google/protobuf/any.proto");
}

#[test]
fn a_schema_that_is_bad_changes_nothing_and_names_its_file_and_symbol() {
    let host = Starter::default().program(hello_host()).start("reload: { watch: false }\nservices: {}\n");
    let yaml = "reload: { watch: false }\nservices: { p.S: { schema: set.binpb, handler: mirror } }\n";
    use super::{file, message, service, set};
    let put = |files| std::fs::write(host.folder().join("set.binpb"), set(files)).unwrap();
    let good = || {
        let text = super::field("text", 1, prost_types::field_descriptor_proto::Type::String);
        let mut good = file("good.proto", &[], vec![message("M", vec![text])]);
        good.service = vec![service("S", &[("Turn", ".p.M", ".p.M")])];
        good
    };
    put(vec![good()]);
    assert!(host.reload(yaml));
    let syntax = prost_types::FileDescriptorProto { syntax: Some("proto4".to_owned()), ..file("x.proto", &[], vec![]) };
    for (bad, words) in [
        (vec![good(), syntax], "`x.proto` has the syntax `proto4`"),
        (vec![good(), file("x.proto", &["y.proto"], vec![])], "`x.proto` imports `y.proto`, which is not there"),
        (vec![good(), file("x.proto", &["x.proto"], vec![])], "`x.proto` imports itself"),
        (vec![good(), file("x.proto", &[], vec![message("M", vec![])])], "`p.M` is declared in `good.proto` already"),
        (vec![file("x.proto", &[], vec![])], "the schema declares no service `p.S`"),
    ] {
        put(bad);
        let mark = host.mark();
        assert!(!host.reload(yaml), "{words}");
        assert_eq!(host.wait_for(mark, "refused")["generation"], 2);
        host.wait_for(mark, words);
        let output = Command::new(hello_host()).arg("run").arg(host.file()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(words), "{words}");
    }
}
