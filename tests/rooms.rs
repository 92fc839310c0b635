//! The house's floor plan, kept: who may import whom, and what stands at the
//! top level.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::project;

fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("target") {
                // What a crate in the tests was built into by hand.
            } else if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&project().join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} has Rust files");
    files
}

/// Lines of code, comments left out.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

/// Every place in a folder whose code names one of these.
fn mentions(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(folder) {
        for (line, text) in code(&file) {
            if words.iter().any(|word| text.contains(word)) {
                found.push(format!("{}:{line}: {}", file.display(), text.trim()));
            }
        }
    }
    found
}

#[test]
fn rooms_import_only_downwards() {
    for (room, forbidden) in [
        ("config", &["crate::host", "crate::handlers", "crate::proto"][..]),
        ("proto", &["crate::"]),
        ("host", &["crate::handlers"]),
    ] {
        let mut found = mentions(room, forbidden);
        found.retain(|place| !place.contains("host/main.rs"));
        assert_eq!(found, Vec::<String>::new(), "{room} reaches up");
    }
}

#[test]
fn handlers_do_not_know_each_other() {
    let handlers: Vec<String> = std::fs::read_dir(project().join("handlers"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(!handlers.is_empty());
    for handler in &handlers {
        let others: Vec<String> =
            handlers.iter().filter(|other| *other != handler).map(|other| format!("handlers::{other}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_eq!(mentions(&format!("handlers/{handler}"), &others), Vec::<String>::new());
    }
}

#[test]
fn what_is_open_to_the_fuzz_targets_is_open_to_nobody_else() {
    let doors = ["entrance::", "listen::meter", "fuzzing::"];
    assert_eq!(mentions("handlers", &doors), Vec::<String>::new());
    for room in ["config", "host", "proto"] {
        assert_eq!(mentions(room, &["fuzzing::"]), Vec::<String>::new());
    }
}

#[test]
fn only_config_names_the_yaml_crate() {
    for room in ["host", "handlers", "proto"] {
        assert_eq!(mentions(room, &["serde_yaml", "granit"]), Vec::<String>::new());
    }
}

#[test]
fn the_host_names_no_service_but_its_own() {
    assert_eq!(mentions("host", &["routeguide", "RouteGuide"]), Vec::<String>::new());
    assert_eq!(mentions("config", &["routeguide::", "RouteGuideServer"]), Vec::<String>::new());
}

#[test]
fn only_the_host_names_the_descriptor_crate() {
    for room in ["config", "proto"] {
        assert_eq!(mentions(room, &["prost_reflect"]), Vec::<String>::new());
    }
    let typed = mentions("handlers/route_guide", &["prost_reflect"]);
    assert_eq!(typed, Vec::<String>::new(), "a typed handler has no use for descriptors");
}

#[test]
fn the_top_level_is_the_house_and_nothing_else() {
    let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(project()).output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else { return };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let top: BTreeSet<&str> = listed.lines().map(|line| line.split('/').next().unwrap()).collect();
    let house = BTreeSet::from([
        ".ci",
        ".gitignore",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "build.rs",
        "clippy.toml",
        "config",
        "deny.toml",
        "docs",
        "handlers",
        "host",
        "lib.rs",
        "proto",
        "rustfmt.toml",
        "tests",
    ]);
    assert_eq!(top.difference(&house).collect::<Vec<_>>(), Vec::<&&str>::new(), "something new at the top level");
}

#[test]
fn every_file_says_why_it_exists() {
    for room in ["config", "host", "handlers", "proto", "tests"] {
        for file in rust_files(room) {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//!"), "{} opens without saying why it exists", file.display());
        }
    }
}
