//! `${…}`: what it means where it stands, and that what it holds is never shown.

use std::path::Path;

use ostler::config::{Document, Problems};
use ostler::handlers::standard;
use serde_json::{Value, json};

use super::{CANARIES, ENVIRONMENT, run, text};
use crate::support::{Starter, project};

/// RouteGuide's settings in full, as planned from these lines.
fn settings(lines: &str, env: &[(&str, &str)]) -> Result<Value, Problems> {
    let indented: String = lines.lines().map(|line| format!("        {line}\n")).collect();
    let yaml = format!("services:\n  routeguide.RouteGuide:\n    handler:\n      route_guide:\n{indented}");
    let look_up = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let document = Document::parse("test.yaml", &yaml, &project().join("tests/config"), &look_up)?;
    Ok(standard().plan(&document)?.remove(0).effective)
}

/// What a feature is called whose name is written like this.
fn name(written: &str, env: &[(&str, &str)]) -> Result<Value, Problems> {
    let lines = format!("features:\n  inline:\n    - location: {{}}\n      name: {written}");
    Ok(settings(&lines, env)?["features"]["inline"][0]["name"].clone())
}

#[test]
fn a_plain_variable_means_what_its_value_would() {
    let env = [("NUMBER", "12"), ("FLAG", "false"), ("WORD", "go"), ("SIZE", "2")];
    let planned = settings(
        "profile: ${WORD}\nlist_unnamed: ${FLAG}\nchat:\n  keep:\n    notes_per_place: ${NUMBER}\n    total: ${SIZE}MiB",
        &env,
    )
    .unwrap();
    assert_eq!(planned["profile"], "go");
    assert_eq!(planned["list_unnamed"], false);
    assert_eq!(planned["chat"]["keep"]["notes_per_place"], 12);
    assert_eq!(planned["chat"]["keep"]["total"], "2MiB");
}

#[test]
fn a_quoted_variable_is_text() {
    let env = [("NUMBER", "12")];
    assert_eq!(name("'${NUMBER}'", &env).unwrap(), "12");
    assert_eq!(name("\"no. ${NUMBER}\"", &env).unwrap(), "no. 12");
    let told = name("${NUMBER}", &env).unwrap_err().to_string();
    assert!(told.contains("expected text, found what `${NUMBER}` holds"), "{told}");
}

#[test]
fn a_value_never_becomes_structure() {
    for value in [
        "[1, 2]",
        "{ a: b }",
        "a: b",
        "# no comment",
        "*alias",
        "&anchor x",
        "!tag x",
        "- item",
        "'",
        "\"",
        "a\nb: c",
        "${OTHER}",
    ] {
        assert_eq!(name("${VALUE}", &[("VALUE", value)]).unwrap(), value);
        assert_eq!(name("<${VALUE}>", &[("VALUE", value)]).unwrap(), format!("<{value}>"));
    }
}

#[test]
fn defaults_stand_in_for_what_is_unset_or_empty() {
    assert_eq!(name("${WHO:-nobody}", &[]).unwrap(), "nobody");
    assert_eq!(name("${WHO:-nobody}", &[("WHO", "")]).unwrap(), "nobody");
    assert_eq!(name("${WHO:-nobody}", &[("WHO", "me")]).unwrap(), "me");
    assert_eq!(name("'${WHO:-}'", &[]).unwrap(), "");
    assert_eq!(settings("list_unnamed: ${FLAG:-false}", &[]).unwrap()["list_unnamed"], false);
}

#[test]
fn two_dollars_are_one() {
    assert_eq!(name("$${HOME}", &[]).unwrap(), "${HOME}");
    assert_eq!(name("${A}$${B}${A}", &[("A", "a")]).unwrap(), "a${B}a");
    assert_eq!(name("$5 and $$6", &[]).unwrap(), "$5 and $$6", "dollars without braces are dollars");
}

#[test]
fn what_show_prints_of_two_dollars_means_the_same_again() {
    let rules = "services:\n  helloworld.Greeter:\n    schema: schemas/good.proto\n    handler:\n      rules:\n        \
                 SayHello:\n          - reply: { name: 'it costs $${x}, and not $$${y}' }\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::copy(super::folder().join("schemas/good.proto"), folder.path().join("schemas/good.proto")).unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, rules).unwrap();
    let shown = || super::text(&super::ostler(&["show", file.to_str().unwrap()]).stdout);
    let first = shown();
    assert!(first.contains("it costs $${x}, and not $$${y}"), "{first}");
    std::fs::write(&file, &first).unwrap();
    assert!(shown().contains("it costs $${x}, and not $$${y}"), "{}", shown());
}

#[test]
fn a_file_fills_in_without_its_last_line_break() {
    assert_eq!(name("${file:features/secret.txt}", &[]).unwrap(), "s3cr3t-canary-in-a-file");
}

#[test]
fn a_bad_value_is_named_by_its_variable_and_only_so() {
    // Values that a message could tell in part, in another spelling, or as a near miss.
    for secret in ["s3cr3t", "12hunter", "pa\"ss\\word", "line\nbreak", "pythom", "0123", "1e3", "-5", "ab", "5"] {
        for setting in ["profile", "list_unnamed", "unknown_point"] {
            let told = settings(&format!("{setting}: ${{SECRET}}"), &[("SECRET", secret)]).unwrap_err();
            assert_told_by_name(&told, secret, setting);
        }
        for setting in ["notes_per_place", "age", "total"] {
            if (setting, secret) == ("notes_per_place", "5") {
                continue; // that is a good one
            }
            let lines = format!("chat:\n  keep:\n    {setting}: ${{SECRET}}");
            let told = settings(&lines, &[("SECRET", secret)]).unwrap_err();
            assert_told_by_name(&told, secret, setting);
        }
    }
}

fn assert_told_by_name(told: &Problems, secret: &str, setting: &str) {
    let drawn = told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(told.iter().count(), 1, "{drawn}");
    assert!(drawn.contains("${SECRET}"), "{setting}: {drawn}");
    if secret.len() >= 4 {
        let escaped = format!("{secret:?}");
        assert!(!drawn.contains(secret) && !drawn.contains(escaped.trim_matches('"')), "{setting}: {drawn}");
        assert!(!drawn.contains("hunter"), "{drawn}");
        assert!(!drawn.contains("did you mean"), "a near miss would tell it: {drawn}");
    }
}

/// A good file with a secret in every kind of place.
const SECRETS: &str = "listen: { address: \"${CANARY_LISTEN}\" }
health: { also: [\"${CANARY}\"] }
log: { level: debug }
services:
  routeguide.RouteGuide:
    handler:
      route_guide:
        features:
          inline:
            - { name: \"${CANARY}\", location: { latitude: 1, longitude: 2 } }
            - { name: \"x${file:secret.txt}x\", location: {} }
        chat:
          keep:
            notes_per_place: ${CANARY_NUMBER}
";

#[test]
fn show_prints_the_variable_and_not_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    std::fs::write(&file, SECRETS).unwrap();
    std::fs::write(folder.path().join("secret.txt"), "s3cr3t-canary-in-a-file\n").unwrap();
    let output = std::process::Command::new(super::binary())
        .arg("show")
        .arg(&file)
        .envs(ENVIRONMENT)
        .env("CANARY_LISTEN", "127.0.0.1:61234")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for canary in CANARIES.into_iter().chain(["61234"]) {
        assert!(!shown.contains(canary), "{canary}:\n{shown}");
    }
    assert!(shown.contains("notes_per_place: \"${CANARY_NUMBER}\""), "{shown}");
    assert!(shown.contains("x${file:secret.txt}x") && shown.contains("${CANARY_LISTEN}"), "{shown}");
}

#[test]
fn a_host_logs_no_secret_in_its_whole_life() {
    let mut starter = Starter::default().file("secret.txt", "s3cr3t-canary-in-a-file\n");
    for (name, value) in ENVIRONMENT {
        starter = starter.env(name, value);
    }
    let host = starter.env("CANARY_LISTEN", "127.0.0.1:0").start(SECRETS);
    assert!(host.reload(&SECRETS.replace("latitude: 1", "latitude: 3")));
    // Refused by the plan, by the build and by the bind.
    assert!(!host.reload(&SECRETS.replace("name: \"${CANARY}\"", "nam: \"${CANARY}\"")));
    assert!(!host.reload(
        &SECRETS.replace(
            "            - { name: \"${CANARY}\"",
            "          file: \"${CANARY}\"\n            - { name: \"\""
        )
    ));
    assert!(!host.reload(&SECRETS.replace("level: debug", "level: \"${CANARY}\"")));
    assert!(!host.reload(
        "services: { routeguide.RouteGuide: { handler: { route_guide: { features: { file: \"${CANARY}\" } } } } }\n"
    ));
    assert!(!host.reload("listen: \"unix:/nowhere/${CANARY}\"\n"));
    for canary in CANARIES {
        assert!(!host.log().contains(canary), "{canary}:\n{}", host.log());
    }
}

#[test]
fn variables_are_told_at_their_scalar() {
    let output = run(&["check", "variable-missing.yaml"]);
    assert!(text(&output.stderr).contains("variable-missing.yaml:1:15"));
    // A missing value is told once: what it would have been for is not told to lack it.
    for file in ["variable-missing-in-a-choice.yaml", "variable-missing-as-handler.yaml"] {
        assert_eq!(text(&run(&["check", file]).stderr).matches("error:").count(), 1, "{file}");
    }
}

#[test]
fn the_files_of_variables_start_from_the_configuration() {
    let look_up = |_: &str| None;
    let yaml = "health: { also: [\"${file:features/secret.txt}\"] }\n";
    let document = Document::parse("x.yaml", yaml, &project().join("tests/config"), &look_up).unwrap();
    assert_eq!(json!(document.shape.health.also), json!(["s3cr3t-canary-in-a-file"]));
    assert_eq!(format!("{document:?}").matches("s3cr3t").count(), 1, "but for its own setting nothing tells it");
    let elsewhere = Document::parse("x.yaml", yaml, Path::new("/"), &look_up).unwrap();
    assert!(elsewhere.problems.to_string().contains("features/secret.txt"), "{}", elsewhere.problems);
}
