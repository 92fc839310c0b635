//! Texts made to bring a reader down: by size, by depth, by number. They cannot
//! stand in a repository as they are.

use std::process::Command;

use super::{put, refused, running, text};
use crate::support::binary;
use crate::support::client::Client;

/// Each by what it has too much of, and words it is refused with.
fn monsters() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let comma = |text: &str, times: usize| vec![text; times].join(", ");
    vec![
        ("nothing but a byte order mark", "\u{feff}".into(), "says nothing"),
        ("not UTF-8", b"log:\n  level: caf\xe9\n".to_vec(), ":2:13"),
        ("UTF-16", "l\0o\0g\0:\0 \0{\0}\0".into(), ":1:2"),
        ("over a mebibyte", format!("# {}\n", "x".repeat(1 << 20)).into(), "larger than 1048576 bytes"),
        ("lists in lists", "[".repeat(100_000).into(), "nests that deep"),
        ("maps in maps", "{a: ".repeat(100_000).into(), "nests that deep"),
        ("block lists in block lists", "- ".repeat(100_000).into(), "more than 64 deep"),
        ("keys in keys", "? ".repeat(100_000).into(), "a key must be text"),
        ("a mebibyte of values", format!("a: [{}]\n", comma("x", 300_000)).into(), "more than 50000 values"),
        (
            "a large list a hundred times",
            format!("a: &a [{}]\nb: [{}]\n", comma("x", 45_000), comma("*a", 100)).into(),
            "more than 50000 values",
        ),
        (
            "aliases in aliases, deeper than any stack",
            {
                let mut text = format!("a0: &a0 {}{}\n", "[".repeat(40), "]".repeat(40));
                for at in 1..2_000 {
                    text += &format!("a{at}: &a{at} {}*a{}{}\n", "[".repeat(40), at - 1, "]".repeat(40));
                }
                text.into()
            },
            "more than 64 deep",
        ),
        ("tens of thousands of tags", format!("a: [{}]\n", comma("!x y", 45_000)).into(), "no tags"),
        (
            "tens of thousands of settings",
            (0..45_000).map(|at| format!("k{at}: 1\n")).collect::<String>().into(),
            "`k0`",
        ),
        (
            "tens of thousands of variables",
            format!("health: {{ also: [{}] }}\n", comma("\"${A}\"", 45_000)).into(),
            "`A` is not set",
        ),
        ("ten thousand duplicates", "a: b\n".repeat(10_000).into(), "stands twice"),
    ]
}

#[test]
fn monsters_are_refused_within_little_memory() {
    for (name, bytes, words) in monsters() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ostler.yaml");
        std::fs::write(&file, bytes).unwrap();
        // Address space in KiB: threads' stacks count, so the bound is a generous one.
        let limited = "ulimit -v 1000000; exec \"$0\" check \"$1\"";
        let output = Command::new("sh").args(["-c", limited, binary()]).arg(&file).output().unwrap();
        let told = text(&output.stderr);
        let shown: String = told.chars().take(2_000).collect();
        assert_eq!(output.status.code(), Some(78), "{name}: {shown}");
        assert!(told.contains(words), "{name}: {shown}");
        assert!(told.len() < 64_000, "{name}: {} bytes are told", told.len());
    }
}

#[tokio::test]
async fn a_running_host_refuses_monsters_too() {
    let host = running();
    let mut client = Client::connect(host.address()).await;
    for (name, bytes, words) in monsters() {
        let mark = host.mark();
        put(&host, &bytes);
        refused(&host, mark, &mut client, name).await;
        host.wait_for(mark, words);
    }
}
