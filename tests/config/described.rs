//! `show`, `kinds` and `schema`: what they say is what is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{folder, names, ostler, text};
use crate::support::{project, stdout, tools};

/// What `show` prints, without where each value came from.
fn values(shown: &str) -> String {
    shown.lines().map(|line| line.split("  # ").next().unwrap_or_default().trim_end().to_owned() + "\n").collect()
}

fn show(file: &str) -> String {
    stdout(&ostler(&["show", file]))
}

#[test]
fn the_file_that_ships_spells_out_the_true_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short.yaml");
    std::fs::write(&short, "log: { level: info }\nservices: { routeguide.RouteGuide: { handler: route_guide } }\n")
        .unwrap();
    let shortest = folder.path().join("shortest.yaml");
    std::fs::write(&shortest, "log: { level: info }\n").unwrap();
    let shipped = show(project().join("config/ostler.yaml").to_str().unwrap());
    let short = show(short.to_str().unwrap());
    assert_eq!(values(&shipped), values(&short), "a key has another value there than by default");
    assert_eq!(values(&shipped), values(&show(shortest.to_str().unwrap())));
    assert!(!shipped.contains("# default"), "the shipped file leaves a key out:\n{shipped}");
    assert!(short.contains("# default"), "{short}");
}

#[test]
fn what_is_shown_is_a_configuration_of_the_same_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shown.yaml");
    let shipped = show(project().join("config/ostler.yaml").to_str().unwrap());
    std::fs::write(&file, &shipped).unwrap();
    assert_eq!(values(&show(file.to_str().unwrap())), values(&shipped));
}

#[test]
fn each_value_is_shown_with_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ostler.yaml");
    let yaml =
        "shutdown:\n  drain: 5s\nservices:\n  routeguide.RouteGuide:\n    handler: { route_guide: { profile: go } }\n";
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    let shown = show(file);
    let line = |key: &str| shown.lines().find(|line| line.trim_start().starts_with(key)).unwrap().to_owned();
    assert!(line("drain: \"5s\"").ends_with(&format!("# {file}:2:10")), "{shown}");
    assert!(line("profile: \"go\"").ends_with(&format!("# {file}:5:40")), "{shown}");
    assert!(line("scope: \"shared\"").ends_with("# default"), "what the profile decides: {shown}");
    assert!(line("level: \"info\"").ends_with("# default"), "{shown}");
}

#[test]
fn a_key_in_the_place_of_its_file_is_not_shown() {
    let shown = show(folder().join("tls-key-written-out.yaml").to_str().unwrap());
    assert!(shown.contains("key: \"…\"") && !shown.contains("canary"), "{shown}");
}

#[test]
fn a_bad_file_is_told_and_not_shown() {
    let output = ostler(&["show", folder().join("no-is-text.yaml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("no-is-text.yaml:1:13"));
}

/// Every key of RouteGuide's part of the shipped file.
fn shipped_keys() -> BTreeSet<String> {
    fn walk(value: &serde_yaml::Value, keys: &mut BTreeSet<String>) {
        for (key, value) in value.as_mapping().into_iter().flatten() {
            keys.insert(key.as_str().unwrap().to_owned());
            walk(value, keys);
        }
    }
    let shipped: serde_yaml::Value = serde_yaml::from_str(ostler::config::BUILT_IN).unwrap();
    let mut keys = BTreeSet::new();
    walk(&shipped["services"]["routeguide.RouteGuide"]["handler"]["route_guide"], &mut keys);
    assert!(keys.len() > 10);
    keys
}

#[test]
fn kinds_tells_every_setting_of_a_kind() {
    let list = stdout(&ostler(&["kinds"]));
    assert!(list.lines().any(|line| line.starts_with("route_guide ") && line.contains("tutorial")), "{list}");
    let told = stdout(&ostler(&["kinds", "route_guide"]));
    for key in shipped_keys() {
        assert!(told.lines().any(|line| line.trim_start().starts_with(&format!("{key}: "))), "{key}:\n{told}");
    }
    for line in [
        "profile: python | cpp | go | java | node | tonic  [default: python]",
        "features: embedded | { file: … } | { inline: … }  [default: embedded]",
        "notes_per_place: integer  [default: 1000]",
        "inline: list of map",
        "latitude: ",
    ] {
        assert!(told.contains(line), "{line}:\n{told}");
    }
    let unknown = ostler(&["kinds", "teapot"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("route_guide"));
}

#[test]
fn the_schema_is_one_object_that_names_every_section() {
    let schema: Value = serde_json::from_str(&stdout(&ostler(&["schema"]))).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], json!(false));
    let sections: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        sections,
        BTreeSet::from(["health", "limits", "listen", "log", "reflection", "reload", "services", "shutdown", "tls"])
    );
}

/// Bad files that no schema can find fault with: what is wrong is lost once the
/// text is values, or is in another file, or is more than a pattern can say.
/// (So is what variables hold: those files are told by their names.)
const BEYOND_SCHEMA: [&str; 77] = [
    "duplicate-key",
    "duplicate-key-quoted",
    "duplicate-section",
    "duplicate-service",
    "duration-beyond-numbers",
    "duration-huge",
    "features-file-empty",
    "features-file-is-a-folder",
    "features-file-is-a-number",
    "features-file-is-not-text",
    "features-file-malformed",
    "features-file-missing",
    "features-file-of-another-shape",
    "features-file-truncated",
    "features-file-with-bad-entries",
    "limits-that-shut-everybody-out",
    "listen-plaintext-denied",
    "listen-port-too-large",
    "listen-reaches-out",
    "listen-reaches-out-v6",
    "listen-systemd-twice",
    "listen-twice",
    "methods-that-are-not",
    "rules-bare-list",
    "rules-expressions-that-cannot-be",
    "rules-metadata-of-an-item",
    "rules-of-proto2",
    "rules-of-what-a-call-does-not-have",
    "rules-replies-that-do-not-fit",
    "rules-rows-of-another-type",
    "rules-state-and-tables-that-are-not",
    "rules-table-files",
    "rules-text-with-escapes",
    "rules-that-contradict-themselves",
    "rules-without-an-answer",
    "rules-without-schema",
    "schema-below-no-import",
    "schema-broken",
    "schema-declares-a-name-twice",
    "schema-folder-without-proto",
    "schema-imports-in-a-circle",
    "schema-imports-what-is-not-there",
    "schema-is-no-set",
    "schema-missing-file",
    "schema-of-a-handler-that-has-one",
    "schema-of-an-edition",
    "schema-reflect-nobody-there",
    "schema-refresh-too-often",
    "schema-set-out-of-shape",
    "schema-set-without-its-imports",
    "schema-without-its-service",
    "service-under-another-name",
    "tag-of-yaml",
    "tls-certificate-and-key-swapped",
    "tls-certificate-cut-off",
    "tls-certificate-empty",
    "tls-certificate-is-a-folder",
    "tls-certificate-is-no-x509",
    "tls-certificate-missing",
    "tls-clients-ca-is-a-key",
    "tls-clients-ca-is-no-x509",
    "tls-clients-ca-missing",
    "tls-everything-missing",
    "tls-key-is-encrypted",
    "tls-key-is-garbage",
    "tls-key-of-another-certificate",
    "tls-key-too-weak",
    "tls-key-written-out",
    "tls-null-encrypts-nothing",
    "upstream-ca-is-none",
    "upstream-encrypted-by-nobody",
    "upstream-key-alone",
    "upstream-key-of-another",
    "upstream-recorded-nowhere",
    "upstream-recorded-over-something",
    "upstream-without-schema",
    "upstream-without-time",
];

/// Good in every form that the shipped file is not.
const VARIED: &str = "
listen: [localhost:0, unix:ostler.sock, systemd:grpc, { address: \"${ADDRESS}\" }, { address: \"[::]:50052\", plaintext: true, serves: health }]
tls: { certificate: \"${CERTIFICATE}\", key: tls.key, clients: { ca: ca.pem, require: \"${REQUIRE:-true}\" } }
reflection: ${REFLECT}
shutdown: { lame_duck: null, drain: \"${DRAIN:-5s}\" }
services:
  routeguide.RouteGuide:
    handler:
      route_guide:
        profile: ${PROFILE:-go}
        features: { inline: [{ location: { latitude: 1 } }, { name: here, location: {} }] }
        list_unnamed: ${LIST}
        chat: { rate: 5/m, keep: { places: 5, total: 1GB } }
";

#[test]
fn the_schema_takes_what_is_good_and_refuses_what_is_bad() {
    let Some(python) = tools::tool("PYTHON") else { return };
    let json = |yaml: &str| serde_yaml::from_str::<Value>(yaml).ok();
    let mut files =
        vec![(String::new(), json(ostler::config::BUILT_IN).unwrap()), (String::new(), json(VARIED).unwrap())];
    for name in names() {
        let yaml = std::fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
        // What another reader of YAML refuses is not for a schema to judge.
        files.extend(json(&yaml).map(|value| (name, value)));
    }
    let schema: Value = serde_json::from_str(&stdout(&ostler(&["schema"]))).unwrap();
    let values: Vec<&Value> = files.iter().map(|(_, value)| value).collect();
    let mut validate = tools::script(python, "python/validate.py", &[]);
    let output = tools::run_with(&mut validate, &json!({ "schema": schema, "values": values }).to_string());
    let verdicts: Vec<Option<String>> = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(verdicts.len(), files.len());
    assert_eq!(verdicts[..2], [None, None], "the shipped file and another good one suit the schema");
    let taken: Vec<&str> = files
        .iter()
        .zip(&verdicts)
        .skip(2)
        .filter(|((name, _), no)| no.is_none() && !name.starts_with("variable-"))
        .map(|((name, _), _)| name.as_str())
        .collect();
    assert_eq!(taken, BEYOND_SCHEMA);
}
