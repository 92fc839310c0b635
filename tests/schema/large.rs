//! Sets that are large or deep: loaded, or refused with words, and never with
//! the stack.

use std::time::Instant;

use ostler::host::Schema;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorProto};

use super::{field, file, message, of, service, set};

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

/// A set of about so many bytes: messages of fifty fields each.
pub fn large(bytes: usize) -> Vec<u8> {
    let kinds = [Type::Int32, Type::String, Type::Double, Type::Bytes];
    let each = |at: usize| {
        let fields = (1..=50).map(|number| field(&format!("field_{number}"), number, kinds[number as usize % 4]));
        message(&format!("Message{at}"), fields.collect())
    };
    let mut files = Vec::new();
    let (mut size, mut at) = (0, 0);
    while size < bytes {
        let messages: Vec<DescriptorProto> = (at..at + 100).map(each).collect();
        at += 100;
        let next = file(&format!("large{at}.proto"), &[], messages);
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
