//! How problems are told: all at once, each at its place, for people and for
//! machines.

use serde_json::Value;

use super::{folder, ostler, run, text};

/// Every problem of a file, as `--format json` tells them.
fn problems(file: &str) -> Vec<Value> {
    let output = run(&["check", file, "--format", "json"]);
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_each_at_its_own_word() {
    let yaml = std::fs::read_to_string(folder().join("many-faults.yaml")).unwrap();
    // The offending words, from top to bottom of the file.
    let words = [
        "127.0.0.1:70000",
        "example.com:1",
        "no\n",
        "maybe",
        "500",
        "drian",
        "verbose",
        "xml",
        "hander",
        "rust",
        "1.5",
        "locaton",
        "4, loc",
        "3000000000",
        "0, total",
        "lots",
        "ruels",
        "grpc.health.v1.Health",
    ];
    let mut from = 0;
    let expected: Vec<(u64, u64)> = words
        .iter()
        .map(|word| {
            from += yaml[from..].find(word).unwrap_or_else(|| panic!("{word} comes next"));
            let line_start = yaml[..from].rfind('\n').map_or(0, |at| at + 1);
            (yaml[..from].matches('\n').count() as u64 + 1, (from - line_start) as u64 + 1)
        })
        .collect();
    let told: Vec<(u64, u64)> = problems("many-faults.yaml")
        .iter()
        .map(|problem| (problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn machines_read_one_object_a_problem() {
    let problems = problems("inline-degrees.yaml");
    assert_eq!(problems.len(), 2);
    let first = &problems[0];
    assert_eq!(first["file"], "inline-degrees.yaml");
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(8), Some(37)));
    assert_eq!(
        first["path"],
        "services.\"routeguide.RouteGuide\".handler.route_guide.features.inline[0].location.latitude"
    );
    assert!(first["message"].as_str().unwrap().contains("found the number 40.7838351"), "{first}");
    assert_eq!(first["help"], Value::Array(Vec::new()));
}

#[test]
fn github_reads_workflow_commands() {
    let output = run(&["check", "unknown-setting.yaml", "--format", "github"]);
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stdout);
    assert!(
        told.starts_with(
            "::error file=unknown-setting.yaml,line=5,col=9::there is no setting called `profle` here (at services."
        ),
        "{told}"
    );
    assert!(told.contains("did you mean `profile`?"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn several_files_are_checked_and_each_is_told() {
    let good = crate::support::project().join("config/ostler.yaml");
    let output = run(&["check", "no-is-text.yaml", good.to_str().unwrap(), "yes-is-text.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stderr);
    assert!(told.contains("--> no-is-text.yaml:1:13") && told.contains("--> yes-is-text.yaml:2:10"), "{told}");
    assert!(told.contains("ostler.yaml: ok, 1 service\n"), "{told}");
}

#[test]
fn the_configuration_that_ships_is_sound() {
    let good = crate::support::project().join("config/ostler.yaml");
    for args in [&["check"][..], &["check", good.to_str().unwrap()]] {
        let output = ostler(args);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}
