//! Sets that make no sense: each is refused with its file and its symbol, and
//! all that is wrong is told at once.

use ostler::host::Schema;
use prost_types::descriptor_proto::{ExtensionRange, ReservedRange};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MessageOptions, OneofDescriptorProto};

use super::{enumeration, field, file, message, of, service, set};

/// Why a set is refused.
fn why(files: Vec<FileDescriptorProto>) -> String {
    Schema::decode(&set(files)).expect_err("it makes no sense").words()
}

fn refused(files: Vec<FileDescriptorProto>, words: &str) {
    let told = why(files);
    assert!(told.contains(words), "{words} is not in: {told}");
}

/// With one message `p.M` in `a.proto`.
fn refused_message(change: impl FnOnce(&mut DescriptorProto), words: &str) {
    let mut m = message("M", vec![field("f", 1, Type::Int32)]);
    change(&mut m);
    refused(vec![file("a.proto", &[], vec![m])], &format!("in the schema file `a.proto`, {words}"));
}

fn refused_field(f: FieldDescriptorProto, words: &str) {
    refused_message(|m| m.field[0] = f, words);
}

#[test]
fn syntaxes_that_nobody_knows() {
    let a = FileDescriptorProto { syntax: Some("proto4".to_owned()), ..file("a.proto", &[], vec![]) };
    refused(vec![a], "the schema file `a.proto` has the syntax `proto4`");
    let b = FileDescriptorProto { syntax: Some("editions".to_owned()), ..file("b.proto", &[], vec![]) };
    refused(vec![b], "the schema file `b.proto` is of an edition 0 that there is not");
}

#[test]
fn imports_that_are_not_there_or_go_in_a_circle() {
    refused(vec![file("a.proto", &["b.proto"], vec![])], "the schema file `a.proto` imports `b.proto`, which is not");
    refused(vec![file("a.proto", &["a.proto"], vec![])], "`a.proto` imports itself: `a.proto` → `a.proto`");
    let circle = vec![
        file("a.proto", &["b.proto"], vec![]),
        file("b.proto", &["c.proto"], vec![]),
        file("c.proto", &["b.proto"], vec![]),
    ];
    refused(circle, "`b.proto` imports itself: `b.proto` → `c.proto` → `b.proto`");
    let public = FileDescriptorProto { public_dependency: vec![1], ..file("a.proto", &[], vec![]) };
    refused(vec![public], "`a.proto` passes on an import that it does not have");
}

#[test]
fn names_that_are_none_or_given_twice() {
    refused_message(|m| m.name = Some("M-1".to_owned()), "`p.M-1` is not a name as protobuf has them");
    refused_message(|m| m.name = None, "`p.` is not a name");
    refused_message(|m| m.field.push(field("f", 2, Type::Int32)), "`p.M.f` is declared twice");
    let m = || vec![message("M", vec![])];
    refused(
        vec![file("a.proto", &[], m()), file("b.proto", &[], m())],
        "in the schema file `b.proto`, `p.M` is declared in `a.proto` already",
    );
    let package = FileDescriptorProto { package: Some("p.M.x".to_owned()), ..file("b.proto", &[], vec![]) };
    refused(vec![file("a.proto", &[], m()), package], "`p.M` is declared in `a.proto` already");
    let mut long = file("a.proto", &[], vec![message(&"x".repeat(5000), vec![])]);
    refused(vec![long.clone()], "is a name of more than 4096 bytes");
    long.message_type[0].name = Some("red \u{1b}[31m".to_owned());
    assert!(!why(vec![long]).contains('\u{1b}'));
    let values = [("A", 0), ("f", 1)];
    let beside = FileDescriptorProto {
        enum_type: vec![enumeration("E", &values), enumeration("F", &values)],
        ..file("a.proto", &[], vec![])
    };
    refused(vec![beside], "`p.A` is declared twice");
}

#[test]
fn numbers_that_no_field_can_have() {
    for number in [0, -1, 19_000, 19_999, 1 << 29] {
        let words = format!("`p.M.f` has the number {number}, which no field can have");
        refused_field(field("f", number, Type::Int32), &words);
    }
    refused_message(|m| m.field.push(field("g", 1, Type::Int32)), "`p.M.g` has the number 1, as `f` does");
    let range = ReservedRange { start: Some(1), end: Some(5) };
    refused_message(|m| m.reserved_range.push(range), "`p.M.f` has the number 1, which is reserved");
    let range = ExtensionRange { start: Some(1), end: Some(5), options: None };
    refused_message(|m| m.extension_range.push(range), "`p.M.f` has the number 1, which is for extensions");
    let range = ExtensionRange { start: Some(7), end: Some(7), options: None };
    refused_message(|m| m.extension_range.push(range), "`p.M` has no extensions from 7 to 7");
    let json = |name: &str| FieldDescriptorProto { json_name: Some("j".to_owned()), ..field(name, 2, Type::Int32) };
    refused_message(
        |m| m.field = vec![FieldDescriptorProto { number: Some(1), ..json("f") }, json("g")],
        "`p.M.g` has the JSON name of `f`",
    );
}

#[test]
fn types_that_are_not_there_or_not_what_they_are_taken_for() {
    refused_field(of("f", 1, Type::Message, ".p.No"), "`p.M.f` is `p.No`, which is not there");
    refused_field(of("f", 1, Type::Enum, ".p.M"), "`p.M.f` is `p.M`, which is no enum");
    refused_field(of("f", 1, Type::Message, ".p"), "`p.M.f` is `p`, which is no message");
    refused_field(of("f", 1, Type::Int32, ".p.M"), "`p.M.f` has a type of protobuf's and the name of another");
    refused_field(field("f", 1, Type::Message), "`p.M.f` is a message that is not named");
    refused_field(FieldDescriptorProto { r#type: None, ..field("f", 1, Type::Int32) }, "`p.M.f` has no type");
    let unknown = FieldDescriptorProto { r#type: Some(77), ..field("f", 1, Type::Int32) };
    refused_field(unknown, "`p.M.f` has a type that protobuf does not know");
    let unknown = FieldDescriptorProto { label: Some(77), ..field("f", 1, Type::Int32) };
    refused_field(unknown, "`p.M.f` has a label that protobuf does not know");
    let user = message("U", vec![of("m", 1, Type::Message, ".p.M")]);
    refused(
        vec![file("a.proto", &[], vec![message("M", vec![])]), file("b.proto", &[], vec![user])],
        "in the schema file `b.proto`, `p.U.m` is `p.M` of `a.proto`, which the file does not import",
    );
    let mut rpc = file("a.proto", &[], vec![message("M", vec![])]);
    rpc.enum_type = vec![enumeration("E", &[("A", 0)])];
    rpc.service = vec![service("S", &[("Go", ".p.No", ".p.E")])];
    let told = why(vec![rpc]);
    assert!(told.contains("`p.S.Go` takes `p.No`, which is not there"), "{told}");
    assert!(told.contains("`p.S.Go` returns `p.E`, which is no message"), "{told}");
}

#[test]
fn defaults_that_a_field_cannot_have() {
    let with = |text: &str, field| FieldDescriptorProto { default_value: Some(text.to_owned()), ..field };
    for (kind, bad) in
        [(Type::Int32, "#"), (Type::Uint32, "-1"), (Type::Bool, "yes"), (Type::Double, "x"), (Type::Bytes, "\\")]
    {
        let words = format!("`p.M.f` has the default `{bad}`, which it cannot be");
        refused_field(with(bad, field("f", 1, kind)), &words);
    }
    refused_field(with("x", of("f", 1, Type::Message, ".p.M")), "`p.M.f` has the default `x`");
    let closed = |m: &mut DescriptorProto| {
        m.enum_type.push(enumeration("E", &[("A", 0)]));
        m.field[0] = with("B", of("f", 1, Type::Enum, ".p.M.E"));
    };
    refused_message(closed, "`p.M.f` has the default `B`, which it cannot be");
    let repeated = FieldDescriptorProto { label: Some(Label::Repeated.into()), ..field("f", 1, Type::Int32) };
    refused_field(with("1", repeated), "`p.M.f` has the default `1`");
}

#[test]
fn oneofs_enums_and_maps_out_of_shape() {
    let in_oneof = |at| FieldDescriptorProto { oneof_index: Some(at), ..field("f", 1, Type::Int32) };
    refused_field(in_oneof(0), "`p.M.f` is in a oneof that is not there");
    refused_field(in_oneof(-1), "`p.M.f` is in a oneof that is not there");
    let oneof = OneofDescriptorProto { name: Some("o".to_owned()), options: None };
    refused_message(|m| m.oneof_decl.push(oneof.clone()), "`p.M.o` is a oneof without a field");
    let repeated = FieldDescriptorProto { label: Some(Label::Repeated.into()), ..in_oneof(0) };
    let both = |m: &mut DescriptorProto| (m.field, m.oneof_decl) = (vec![repeated], vec![oneof]);
    refused_message(both, "`p.M.f` is repeated or required, and in a oneof");

    refused_message(|m| m.enum_type.push(enumeration("E", &[])), "`p.M.E` is an enum without a value");
    refused_message(|m| m.enum_type.push(enumeration("E", &[("A", 1)])), "`p.M.E` is an enum that does not begin at");
    let twice = enumeration("E", &[("A", 0), ("B", 0)]);
    refused_message(|m| m.enum_type.push(twice), "`p.M.B` has the number 0, as `A` does");

    let entry = |fields| DescriptorProto {
        options: Some(MessageOptions { map_entry: Some(true), ..Default::default() }),
        ..message("FEntry", fields)
    };
    let whole = || entry(vec![field("key", 1, Type::String), field("value", 2, Type::Int32)]);
    let map =
        || FieldDescriptorProto { label: Some(Label::Repeated.into()), ..of("f", 1, Type::Message, ".p.M.FEntry") };
    let with = |field, nested| move |m: &mut DescriptorProto| (m.field, m.nested_type) = (vec![field], vec![nested]);
    let good = message("M", vec![map()]);
    let good = DescriptorProto { nested_type: vec![whole()], ..good };
    Schema::decode(&set(vec![file("a.proto", &[], vec![good.clone()])])).unwrap();
    let shape = "`p.M.FEntry` is a map's entry, and not of a key and a value";
    refused_message(with(map(), entry(vec![field("key", 1, Type::String)])), shape);
    let floats = entry(vec![field("key", 1, Type::Float), field("value", 2, Type::Int32)]);
    refused_message(with(map(), floats), shape);
    let swapped = entry(vec![field("value", 2, Type::Int32), field("key", 1, Type::String)]);
    refused_message(with(map(), swapped), shape);
    let single = FieldDescriptorProto { label: Some(Label::Optional.into()), ..map() };
    refused_message(with(single, whole()), "`p.M.FEntry` is a map's entry, and not of one map");
    refused(vec![file("a.proto", &[], vec![whole()])], "`p.FEntry` is a map's entry, and in no message");
    let thief = message("T", vec![of("f", 1, Type::Message, ".p.M.FEntry")]);
    refused(vec![file("a.proto", &[], vec![good, thief])], "`p.T.f` is `p.M.FEntry`, which is the entry of another's");
}

#[test]
fn extensions_out_of_place() {
    let base = DescriptorProto {
        extension_range: vec![ExtensionRange { start: Some(100), end: Some(200), options: None }],
        ..message("M", vec![])
    };
    let extension = |name: &str, number, of: &str| FieldDescriptorProto {
        extendee: Some(of.to_owned()),
        ..field(name, number, Type::Int32)
    };
    let with = |extensions| FileDescriptorProto {
        syntax: None,
        extension: extensions,
        ..file("a.proto", &[], vec![base.clone()])
    };
    Schema::decode(&set(vec![with(vec![extension("x", 150, ".p.M")])])).unwrap();
    refused(vec![with(vec![extension("x", 99, ".p.M")])], "`p.x` has the number 99, which `p.M` leaves to none");
    refused(vec![with(vec![extension("x", 150, ".p.No")])], "`p.x` extends `p.No`, which is not there");
    refused(vec![with(vec![extension("x", 150, "")])], "`p.x` extends a message that is not named");
    refused_field(extension("f", 1, ".p.M"), "`p.M.f` is a field, and extends a message");
    let twice = vec![extension("x", 150, ".p.M"), extension("y", 150, ".p.M")];
    refused(vec![with(twice)], "`p.y` extends `p.M` by the number 150, as `p.x` does");
}

#[test]
fn everything_is_told_at_once_and_not_without_end() {
    let wrong = |name: String| message(&name, vec![field("a", 0, Type::Int32), of("b", 2, Type::Message, ".x")]);
    let told = why(vec![file("a.proto", &[], (0..3).map(|at| wrong(format!("M{at}"))).collect())]);
    for words in ["`p.M0.a` has", "`p.M0.b` is `x`", "`p.M2.a` has", "`p.M2.b` is `x`"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = why(vec![file("a.proto", &[], (0..10_000).map(|at| wrong(format!("M{at}"))).collect())]);
    assert!(told.matches("has the number").count() <= 20 && told.len() < 20_000, "{}", told.len());
}

#[test]
fn what_is_no_set_at_all() {
    for bytes in [&b""[..], b"nothing of the sort", &[0x0a, 0x7f], &[0xff; 64]] {
        assert!(Schema::decode(bytes).is_err());
    }
    let twice = vec![file("a.proto", &[], vec![]), file("a.proto", &[], vec![message("M", vec![])])];
    refused(twice, "the file `a.proto` is in the set twice, and not the same");
    let same = vec![file("a.proto", &[], vec![]), file("a.proto", &[], vec![])];
    Schema::decode(&set(same)).unwrap();
}
