//! The embedded places are what their script makes of the time zone database.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::tools::tool;
use crate::support::{project, stdout};

#[test]
fn the_script_turns_a_zone_table_into_features() {
    let Some(python) = tool("PYTHON") else { return };
    let table = tempfile::NamedTempFile::new().unwrap();
    let lines = "# a comment\nGB,GG,IM,JE\t+513030-0000731\tEurope/London\nAR\t-3436-05827\tAmerica/Argentina/Buenos_Aires\tmost areas\n";
    std::fs::write(table.path(), lines).unwrap();
    let output = Command::new(python).arg(project().join("config/features.py")).arg(table.path()).output().unwrap();
    let features: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let expected = json!([
        {"location": {"latitude": -346_000_000, "longitude": -584_500_000}, "name": "Buenos Aires, AR"},
        {"location": {"latitude": 515_083_333, "longitude": -1_252_778}, "name": "London, GB"},
    ]);
    assert_eq!(features, expected);
}

#[test]
fn the_embedded_places_are_many_named_and_on_earth() {
    let features: Vec<Value> = serde_json::from_slice(ostler::config::FEATURES).unwrap();
    assert!(features.len() > 300, "{}", features.len());
    for feature in features {
        let (name, location) = (feature["name"].as_str().unwrap(), &feature["location"]);
        let (city, country) = name.rsplit_once(", ").unwrap();
        assert!(!city.is_empty() && country.len() == 2, "{name}");
        assert!(location["latitude"].as_i64().unwrap().abs() <= 900_000_000, "{name}");
        assert!(location["longitude"].as_i64().unwrap().abs() <= 1_800_000_000, "{name}");
    }
}
