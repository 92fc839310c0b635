//! A set of more than 10 MB in many files: what a service needs of it is learnt
//! in one answer or in several, none of them larger than clients take.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use prost::Message as _;
use prost_types::FileDescriptorProto;
use prost_types::field_descriptor_proto::Type;
use serde_json::json;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use super::large::messages;
use super::{field, file, message, of, service, set};
use crate::support::callers::{Caller, cannot, grpcui};
use crate::support::client::channel;
use crate::support::walk::Reflection;
use crate::support::{Ostler, start};

/// What clients take, and what the host keeps to.
const CLIENTS_TAKE_BYTES: usize = 4 << 20;
const ANSWER_BYTES: usize = 3 << 20;

/// A file of so many messages, which has all that every file has; and what is
/// used of it by others.
fn part(name: &str, numbers: Range<usize>) -> FileDescriptorProto {
    let used = message(name, vec![of("common", 1, Type::Message, ".p.Common")]);
    let mut messages = messages(numbers);
    messages.push(used);
    file(&format!("{name}.proto"), &["Common.proto"], messages)
}

/// A service whose message has one of each of these files.
fn using(name: &str, parts: &[String]) -> FileDescriptorProto {
    let numbered = parts.iter().zip(2..);
    let uses = numbered.map(|(part, number)| of(&part.to_lowercase(), number, Type::Message, &format!(".p.{part}")));
    let fields = std::iter::once(field("text", 1, Type::String)).chain(uses).collect();
    let imports: Vec<_> = parts.iter().map(|part| format!("{part}.proto")).collect();
    let imports: Vec<_> = imports.iter().map(String::as_str).collect();
    let asked = format!("{name}Asked");
    let taken = format!(".p.{asked}");
    FileDescriptorProto {
        service: vec![service(name, &[("Turn", &taken, &taken)])],
        ..file(&format!("{name}.proto"), &imports, vec![message(&asked, fields)])
    }
}

/// `Small` and its imports are one answer. Those of `Middle` are not, but for
/// one file. Of `Large`, which has every file, most are missing from the first.
fn files() -> Vec<FileDescriptorProto> {
    let name = |kind: &str, at: usize| format!("{kind}{at}");
    let tiny: Vec<_> = (0..5).map(|at| name("Tiny", at)).collect();
    let some: Vec<_> = (0..14).map(|at| name("Some", at)).collect();
    let vast: Vec<_> = (0..2).map(|at| name("Vast", at)).collect();
    let mut common = file("Common.proto", &[], messages(0..100));
    common.message_type.push(message("Common", vec![field("text", 1, Type::String)]));
    let mut files = vec![common];
    let mut next = 100;
    for (names, count) in [(&tiny, 50), (&some, 500), (&vast, 2300)] {
        for name in names {
            files.push(part(name, next..next + count));
            next += count;
        }
    }
    files.push(using("Small", &[&tiny[..], &some[..4]].concat()));
    files.push(using("Middle", &[&vast[..], &tiny[..]].concat()));
    files.push(using("Large", &[&some[..], &tiny[..], &vast[..]].concat()));
    files
}

/// All three, each of which says what it was told.
fn serve(set: &[u8], folder: &Path) -> Ostler {
    let path = folder.join("set.binpb");
    std::fs::write(&path, set).unwrap();
    let line = |name: &str| {
        let rules = r#"{ rules: { Turn: [{ reply: { text: '=request.text + "!"' } }] } }"#;
        format!("  p.{name}: {{ schema: \"{}\", handler: {rules} }}\n", path.display())
    };
    start(&format!("services:\n{}", ["Small", "Middle", "Large"].map(line).concat()))
}

/// A service's file, and all that it needs.
fn closure<'a>(files: &'a [FileDescriptorProto], name: &str) -> Vec<&'a FileDescriptorProto> {
    let own = format!("{name}.proto");
    let root = files.iter().find(|file| file.name() == own).unwrap();
    let needed = |file: &str| file == own || file == "Common.proto" || root.dependency.iter().any(|name| name == file);
    files.iter().filter(|file| needed(file.name())).collect()
}

/// The bytes and names of a service's first answer.
async fn first_answer(host: &Ostler, name: &str) -> (usize, BTreeSet<String>) {
    let mut reflection = Reflection::open(&channel(host.address()).await, "v1").await.unwrap();
    let files = reflection.files(MessageRequest::FileContainingSymbol(format!("p.{name}"))).await.unwrap();
    let bytes = files.iter().map(FileDescriptorProto::encoded_len).sum();
    (bytes, files.iter().map(|file| file.name().to_owned()).collect())
}

#[tokio::test]
async fn every_client_calls_the_services_of_a_set_of_ten_megabytes() {
    let files = files();
    let bytes = set(files.clone());
    assert!(bytes.len() > 10 << 20, "{} bytes", bytes.len());
    let folder = tempfile::tempdir().unwrap();
    let host = serve(&bytes, folder.path());
    for (name, is_one_answer, is_missing) in [("Small", true, 0..1), ("Middle", false, 1..2), ("Large", false, 5..20)] {
        let closure = closure(&files, name);
        let all: usize = closure.iter().map(|file| file.encoded_len()).sum();
        assert_eq!(all < CLIENTS_TAKE_BYTES, is_one_answer, "{name}: {all} bytes");
        let (bytes, sent) = first_answer(&host, name).await;
        let missing = closure.iter().filter(|file| !sent.contains(file.name())).count();
        assert!(bytes <= ANSWER_BYTES && is_missing.contains(&missing), "{name}: {bytes} bytes, {missing} missing");
    }
    for name in ["Small", "Middle", "Large"] {
        for caller in Caller::ALL {
            let begun = std::time::Instant::now();
            let method = format!("p.{name}/Turn");
            let Some(answer) = caller.call(host.address(), &method, &json!({"text": "abc"})) else { continue };
            println!("{caller:?} called {method} after {:?}", begun.elapsed());
            // It asks for what is missing by one message, which it changes while the
            // first question is being written: all but the first and the last are lost.
            if (caller, name) == (Caller::Node, "Large") {
                cannot("no such Type or Enum '.p.", answer);
            } else {
                assert_eq!(answer, Ok(json!({"text": "abc!"})), "{caller:?} and {name}");
            }
        }
    }
    if let Some(started) = grpcui(host.address()) {
        assert_eq!(started, Ok(()));
    }
}
