//! Sets that are large or deep: loaded, or refused with words, and never with
//! the stack.

use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ostler::host::Schema;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorProto};

use serde_json::json;

use super::{field, file, message, of, service, set};
use crate::support::callers::{Caller, cannot, grpcui};
use crate::support::client::channel;
use crate::support::walk::health_list;
use crate::support::{Ostler, PATIENCE, Starter};
use crate::third_party::hello_host;

/// A file for each name, importing the next.
fn chain(length: usize) -> Vec<FileDescriptorProto> {
    let link = |at: usize| {
        let last = at + 1 == length;
        let next = (!last).then(|| format!("f{}.proto", at + 1));
        let imports: Vec<&str> = next.iter().map(String::as_str).collect();
        let next = of("next", 1, Type::Message, &format!(".p.M{}", at + 1));
        let fields = if last { vec![] } else { vec![next] };
        file(&format!("f{at}.proto"), &imports, vec![message(&format!("M{at}"), fields)])
    };
    let mut files: Vec<_> = (0..length).map(link).collect();
    files[0].service = vec![service("Deep", &[("Go", ".p.M0", ".p.M0")])];
    files
}

/// Messages of fifty fields each: 100 of them are some 90 KB.
pub fn messages(numbers: Range<usize>) -> Vec<DescriptorProto> {
    let kinds = [Type::Int32, Type::String, Type::Double, Type::Bytes];
    let each = |at: usize| {
        let fields = (1..=50).map(|number| field(&format!("field_{number}"), number, kinds[number as usize % 4]));
        message(&format!("Message{at}"), fields.collect())
    };
    numbers.map(each).collect()
}

/// A set of about so many bytes.
pub fn large(bytes: usize) -> Vec<u8> {
    let mut files = Vec::new();
    let (mut size, mut at) = (0, 0);
    while size < bytes {
        let next = file(&format!("large{at}.proto"), &[], messages(at..at + 100));
        at += 100;
        size += prost::Message::encoded_len(&next);
        files.push(next);
    }
    files[0].service = vec![service("Large", &[("Go", ".p.Message0", ".p.Message1")])];
    set(files)
}

#[test]
fn three_thousand_imports_deep() {
    let set = set(chain(3000));
    let begun = Instant::now();
    let schema = Schema::decode(&set).unwrap();
    println!("a set of 3,000 files, each importing the next: {:?}", begun.elapsed());
    assert!(schema.service("p.Deep").is_ok());
}

#[test]
fn three_thousand_imports_deep_and_all_passed_on() {
    let mut files = chain(3000);
    for file in &mut files {
        file.public_dependency = (0..file.dependency.len() as i32).collect();
    }
    let told = Schema::decode(&set(files)).unwrap_err().words();
    assert!(told.contains("its files pass each other on without end"), "{told}");
}

#[test]
fn three_thousand_types_in_one_and_a_thousand_in_each_other() {
    let nested = (0..3000).map(|at| message(&format!("N{at}"), vec![])).collect();
    let wide = DescriptorProto { nested_type: nested, ..message("M", vec![]) };
    Schema::decode(&set(vec![file("a.proto", &[], vec![wide])])).unwrap();
    let deep = |depth: usize| {
        (0..depth)
            .fold(message("M", vec![]), |inner, _| DescriptorProto { nested_type: vec![inner], ..message("M", vec![]) })
    };
    Schema::decode(&set(vec![file("a.proto", &[], vec![deep(90)])])).unwrap();
    let told = Schema::decode(&set(vec![file("a.proto", &[], vec![deep(1000)])])).unwrap_err().words();
    assert!(told.contains("the schema file `a.proto` cannot be decoded"), "{told}");
}

/// Each of its fields has its name before its own: all of them together would be terabytes.
#[test]
fn a_long_name_that_a_hundred_thousand_others_lie_in() {
    let fields = (1..=100_000).map(|number| field(&format!("f{number}"), number, Type::Int32)).collect();
    let long = message(&"M".repeat(30 << 20), fields);
    let told = Schema::decode(&set(vec![file("a.proto", &[], vec![long])])).unwrap_err().to_string();
    assert!(told.contains("is a name of more than 4096 bytes") && told.len() < 16 << 10, "{told}");
}

#[test]
fn ten_megabytes() {
    let set = large(10 << 20);
    let begun = Instant::now();
    let schema = Schema::decode(&set).unwrap();
    let loaded = begun.elapsed();
    let begun = Instant::now();
    drop(schema);
    println!("a set of {} bytes: loaded in {loaded:?}, dropped in {:?}", set.len(), begun.elapsed());
}

/// A host whose schema is this, and its folder.
fn serve(schema: &str, service: &str, folder: &Path) -> Ostler {
    let schema = folder.join(schema);
    let yaml = format!("services: {{ {service}: {{ schema: \"{}\", handler: mirror }} }}\n", schema.display());
    Starter::default().program(hello_host()).start(&yaml)
}

/// Its messages are as deep in each other as its imports are, and one is in none.
const DEEP: &str =
    "service Deep { rpc Go(M0) returns (M0); rpc Flat(Flat) returns (Flat); } message Flat { string text = 1; }";

#[tokio::test]
async fn three_thousand_imports_deep_by_every_road_and_every_client() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..3000 {
        let import = if at == 2999 { String::new() } else { format!("import \"f{}.proto\";", at + 1) };
        let next = if at == 2999 { String::new() } else { format!("M{} next = 2;", at + 1) };
        let service = if at == 0 { DEEP } else { "" };
        let text =
            format!("syntax = \"proto3\"; package p; {import} message M{at} {{ string text = 1; {next} }} {service}");
        std::fs::write(folder.path().join(format!("f{at}.proto")), text).unwrap();
    }
    let begun = Instant::now();
    let host = serve("f0.proto", "p.Deep", folder.path());
    println!("3,000 .proto files, each importing the next: served after {:?}", begun.elapsed());
    let begun = Instant::now();
    let schema =
        Schema::reflected(&format!("http://{}", host.address()).parse().unwrap(), "p.Deep", PATIENCE).await.unwrap();
    println!("asked for by reflection: {:?}", begun.elapsed());
    assert!(schema.service("p.Deep").is_ok());
    for (caller, method) in Caller::ALL.into_iter().flat_map(|caller| [(caller, "Go"), (caller, "Flat")]) {
        let request = json!({"text": "abc"});
        let Some(answer) = caller.call(host.address(), &format!("p.Deep/{method}"), &request) else { continue };
        match (caller, method) {
            (Caller::Grpcurl, _) => cannot("import tree depth > 1024", answer),
            // A class for each message, each made while the one that has it is.
            (Caller::Python, "Go") => cannot("RecursionError", answer),
            _ => assert_eq!(answer, Ok(json!({"text": "cba"})), "{caller:?} and {method}"),
        }
    }
    if let Some(started) = grpcui(host.address()) {
        assert_eq!(started, Ok(()));
    }
    // Refused with words where it goes in a circle.
    let last = "syntax = \"proto3\"; package p; import \"f0.proto\"; message M2999 {}";
    std::fs::write(folder.path().join("f2999.proto"), last).unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, "services: { p.Deep: { schema: f0.proto, handler: mirror } }\n").unwrap();
    let output = Command::new(hello_host()).arg("check").arg(&file).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(told.contains("import") && told.len() < 4096, "{} bytes: {told:.2000}", told.len());
}

#[test]
fn braces_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |what: &str| what.repeat(1_000_000);
    for text in [
        open("message M {"),
        format!("option (o) = {}", open("{ a ")),
        format!("option (o) = {}", open("[")),
        format!("message M {{ map<{}", open("map<")),
    ] {
        std::fs::write(folder.path().join("a.proto"), format!("syntax = \"proto3\"; {text}")).unwrap();
        let file = folder.path().join("ostler.yaml");
        std::fs::write(&file, "services: { p.S: { schema: a.proto, handler: mirror } }\n").unwrap();
        let output = Command::new(hello_host()).arg("check").arg(&file).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(78) && told.contains("more than 1000 braces"), "{told}");
    }
    let just = format!("syntax = \"proto3\"; option (o) = {} {};", "{ a ".repeat(998), "}".repeat(998));
    std::fs::write(folder.path().join("a.proto"), just).unwrap();
    let output = Command::new(hello_host()).arg("check").arg(folder.path().join("ostler.yaml")).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
}

#[tokio::test]
async fn while_megabytes_are_swapped_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("set.binpb"), large(3 << 20)).unwrap();
    let begun = Instant::now();
    let host = serve("set.binpb", "p.Large", folder.path());
    println!("3 MB: served after {:?}", begun.elapsed());
    let yaml = std::fs::read_to_string(host.file()).unwrap();
    // While it is built anew and let go, others are answered.
    let address = host.address().to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let asking = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        let channel = channel(&address).await;
        while !stopped.load(Ordering::Relaxed) {
            let begun = Instant::now();
            health_list(&channel).await;
            longest = longest.max(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        longest
    });
    let swapped = tokio::task::spawn_blocking(move || {
        for _ in 0..2 {
            let mut bytes = std::fs::read(folder.path().join("set.binpb")).unwrap();
            // Another file, so that all of it is loaded anew.
            bytes.extend(set(vec![file(&format!("more{}.proto", bytes.len()), &[], vec![])]));
            std::fs::write(folder.path().join("set.binpb"), bytes).unwrap();
            assert!(host.reload(&yaml));
        }
        assert!(host.reload("services: {}\n"));
        host
    });
    let _host = swapped.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let longest = asking.await.unwrap();
    println!("health's slowest answer while 3 MB were swapped three times: {longest:?}");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}
