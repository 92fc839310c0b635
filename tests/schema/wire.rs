//! What a new schema breaks for callers of the old one, told as it is applied,
//! or a reason to refuse it.

use crate::support::{Ostler, Starter};
use crate::third_party::hello_host;

/// The messages of a service that takes and returns `p.M`.
fn proto(messages: &str) -> String {
    format!("syntax = \"proto3\"; package p;\n{messages}\nservice S {{ rpc Go(M) returns (M); }}\n")
}

const MIRROR: &str = "services: { p.S: { schema: s.proto, handler: mirror } }\n";

fn start(proto: &str) -> Ostler {
    Starter::default().program(hello_host()).file("s.proto", proto).start(&yaml(""))
}

fn yaml(reload: &str) -> String {
    format!("reload: {{ watch: false{reload} }}\n{MIRROR}")
}

/// What the log says of a change, line for line; `None` where it is refused.
fn change(host: &Ostler, proto: &str, yaml: &str) -> Option<Vec<String>> {
    std::fs::write(host.folder().join("s.proto"), proto).unwrap();
    let mark = host.mark();
    let applied = host.reload(yaml);
    let lines: Vec<serde_json::Value> =
        host.log().lines().skip(mark).map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().filter(|line| line["level"] == "WARN");
    applied.then(|| told.map(|line| line["message"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn each_break_is_told_with_its_symbol_and_what_is_none_is_not() {
    let host = start(&proto("message M {}"));
    let rows: &[(&str, &str, &[&str])] = &[
        // What protobuf lets a schema do.
        ("message M { int32 a = 1; }", "message M { int64 a = 1; string b = 2; }", &[]),
        ("message M { string a = 1; int32 b = 2; }", "message M { bytes a = 1; }", &[]),
        ("message M { bool a = 1; }", "enum E { Z = 0; } message M { E renamed = 1; }", &[]),
        ("message M { fixed32 a = 1; sint32 b = 2; }", "message M { sfixed32 a = 1; sint64 b = 2; }", &[]),
        ("message M { string a = 1; }", "message M { repeated string a = 1; }", &[]),
        ("message M { int32 a = 1; }", "message M { optional int32 a = 1; }", &[]),
        ("message M { int32 a = 1; }", "message M { oneof o { int32 a = 1; string b = 2; } }", &[]),
        ("message M { repeated int32 a = 1; }", "message M { repeated int32 a = 1 [packed = false]; }", &[]),
        ("message M { map<string, int32> a = 1; }", "message M { map<string, uint32> a = 1; }", &[]),
        ("enum E { Z = 0; A = 1; } message M { E a = 1; }", "enum E { Z = 0; B = 2; } message M { E a = 1; }", &[]),
        // What it does not.
        ("message M { int32 a = 1; }", "message M { sint32 a = 1; }", &["`p.M.a` was int32, and is sint32"]),
        ("message M { fixed32 a = 1; }", "message M { fixed64 a = 1; }", &["`p.M.a` was fixed32, and is fixed64"]),
        ("message M { double a = 1; }", "message M { float a = 1; }", &["`p.M.a` was double, and is float"]),
        (
            "message M { int32 a = 1; }",
            "message M { string b = 1; }",
            &["`p.M.a` gave the number 1 to `b`, and was int32, and is string"],
        ),
        ("message M { int32 a = 1; }", "message M { int32 a = 2; }", &["`p.M.a` had the number 1, and has 2"]),
        (
            "message M { int32 a = 1; int32 b = 2; }",
            "message M { int32 b = 1; int32 a = 2; }",
            &["`p.M.a` had the number 1, and has 2", "`p.M.b` had the number 2, and has 1"],
        ),
        (
            "message M { int32 a = 1; }",
            "message M { repeated int32 a = 1; }",
            &["`p.M.a` was int32, and is repeated int32"],
        ),
        (
            "message N {} message M { N a = 1; }",
            "message N {} message O {} message M { O a = 1; }",
            &["`p.M.a` was `p.N`, and is `p.O`"],
        ),
        (
            "message N { int32 a = 1; } message M { repeated N n = 1; }",
            "message N { string a = 1; } message M { repeated N n = 1; }",
            &["`p.N.a` was int32, and is string"],
        ),
        (
            "message M { map<string, int32> a = 1; }",
            "message M { map<string, string> a = 1; }",
            &["`p.M.AEntry.value` was int32, and is string"],
        ),
        (
            "enum E { Z = 0; A = 1; } message M { E a = 1; }",
            "enum E { Z = 0; B = 1; } message M { E a = 1; }",
            &["`p.A` had the number 1, which is `B`'s now"],
        ),
        (
            "enum E { Z = 0; A = 1; } message M { E a = 1; }",
            "enum E { Z = 0; A = 2; } message M { E a = 1; }",
            &["`p.A` had the number 1, and has 2"],
        ),
        (
            "message M { int32 a = 1; int32 b = 2; }",
            "message M { oneof o { int32 a = 1; int32 b = 2; } }",
            &["`p.M.a` now excludes `b`", "`p.M.b` now excludes `a`"],
        ),
        (
            "message M { oneof o { int32 a = 1; int32 b = 2; } }",
            "message M { oneof o { int32 a = 1; } int32 b = 2; }",
            &["`p.M.a` no longer excludes `b`", "`p.M.b` no longer excludes `a`"],
        ),
    ];
    for (old, new, breaks) in rows {
        change(&host, &proto(old), &yaml("")).unwrap();
        let told = change(&host, &proto(new), &yaml("")).unwrap();
        let told: Vec<&str> = told.iter().map(|line| line.rsplit_once("misunderstood: ").unwrap().1).collect();
        assert_eq!(told, *breaks, "{old} → {new}");
    }
}

#[test]
fn methods_and_labels_break_too() {
    let service =
        |go: &str| format!("syntax = \"proto2\"; package p; message M {{}} message N {{}} service S {{ {go} }}");
    let host = start(&service("rpc Go(M) returns (M);"));
    let told = |proto: &str| change(&host, proto, &yaml("")).unwrap().join("\n");
    assert!(
        told(&service("rpc Go(M) returns (stream M);"))
            .contains("`p.S.Go` was of one message to one message, and is of one message to a stream")
    );
    assert!(told(&service("rpc Go(N) returns (stream M);")).contains("`p.S.Go` took `p.M`, and now `p.N`"));
    assert!(told(&service("rpc Else(N) returns (M);")).contains("`p.S.Go` is there no more"));
    let labelled =
        |m: &str| format!("syntax = \"proto2\"; package p; message M {{ {m} }} service S {{ rpc Go(M) returns (M); }}");
    told(&labelled("optional int32 a = 1; optional group G = 2 {}"));
    assert!(told(&labelled("required int32 a = 1;")).contains("`p.M.a` is required, and callers may leave it out"));
    assert!(told(&labelled("optional int32 a = 1;")).contains("`p.M.a` was required, and callers may be left without"));
    told(&labelled("optional group G = 2 {}"));
    let message = "message N {} optional N g = 2;";
    assert!(told(&labelled(message)).contains("`p.M.g` was the group `p.M.G`, and is `p.M.N`"));
    assert!(
        change(&host, "", "services: {}\nreload: { watch: false }\n").unwrap()[0].contains("`p.S` is served no more")
    );
}

#[test]
fn a_break_is_refused_at_its_place_where_the_file_says_so() {
    let host = start(&proto("message M { int32 a = 1; }"));
    let strict = yaml(", wire_breaks: refuse");
    let mark = host.mark();
    assert_eq!(change(&host, &proto("message M { string a = 1; }"), &strict), None);
    let line = host.wait_for(mark, "would be misunderstood");
    let words = line["message"].as_str().unwrap();
    assert!(
        words.contains("ostler.yaml:3:28") && words.contains("in `s.proto`, `p.M.a` was int32, and is string"),
        "{words}"
    );
    // The old one goes on, and what breaks nothing is taken.
    assert_eq!(change(&host, &proto("message M { int32 a = 1; string b = 2; }"), &strict), Some(vec![]));
    let mark = host.mark();
    assert!(!host.reload("services: {}\nreload: { watch: false, wire_breaks: refuse }\n"));
    host.wait_for(mark, "`p.S` is served no more");
    assert_eq!(change(&host, &proto("message M { string a = 1; }"), &yaml("")).unwrap().len(), 1);
}
