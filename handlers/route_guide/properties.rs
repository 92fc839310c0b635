//! The indexes answer as a linear scan would, in every profile.
//!
//! The oracle below is the reference servers' own way: a loop over the whole
//! database for every question.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use proptest::prelude::*;
use serde_json::json;
use tonic::Request;

use super::chat::Chat;
use super::features::{Entry, Features};
use super::geo::Place;
use super::route::Route;
use super::service::Service;
use super::settings::Config;
use crate::proto::routeguide::route_guide_server::RouteGuide as _;
use crate::proto::routeguide::{Feature, Point, Rectangle};

const PROFILES: [&str; 6] = ["python", "cpp", "go", "java", "node", "tonic"];

/// Coordinates that meet: a few values, the ends of the range among them.
fn coordinate() -> impl Strategy<Value = i32> {
    prop_oneof![4 => -5..5, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => Just(i32::MAX), 1 => Just(1_800_000_000)]
}

fn spot() -> impl Strategy<Value = Place> {
    (coordinate(), coordinate())
}

fn database() -> impl Strategy<Value = Vec<(Place, String)>> {
    let feature = || (spot(), prop_oneof![Just(String::new()), "[a-z]{1,3}"]);
    // Small ones are looked up, large answers of large ones are found on the way.
    prop_oneof![3 => prop::collection::vec(feature(), 0..200), 1 => prop::collection::vec(feature(), 600..1_500)]
}

fn config(profile: &str) -> Config {
    serde_json::from_value(json!({ "profile": profile })).unwrap()
}

fn features(database: &[(Place, String)]) -> Features {
    let entries = database.iter().map(|((latitude, longitude), name)| {
        serde_json::from_value::<Entry>(
            json!({ "name": name, "location": { "latitude": latitude, "longitude": longitude } }),
        )
        .unwrap()
    });
    Features::new(entries.collect()).unwrap()
}

fn point((latitude, longitude): Place) -> Point {
    Point { latitude, longitude }
}

/// What each profile lists and counts, by its column of the table.
fn lists_unnamed(profile: &str) -> bool {
    !matches!(profile, "java" | "node")
}

fn counts(profile: &str, database: &[(Place, String)], here: Place) -> usize {
    let mut here = database.iter().filter(|(place, _)| *place == here).map(|(_, name)| name);
    match profile {
        "go" | "tonic" => here.count(),
        "python" => here.next().map_or(0, |_| 1),
        _ => here.next().map_or(0, |name| usize::from(!name.is_empty())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_question_is_answered_as_by_a_scan(
        database in database(),
        asked in prop::collection::vec(spot(), 1..20),
        one in spot(),
        other in spot(),
    ) {
        let index = Arc::new(features(&database));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for profile in PROFILES {
            let config = config(profile);
            let service = Service::new(&config, index.clone(), Chat::alone(&config.chat));

            for here in &asked {
                let scanned = database.iter().find(|(place, _)| place == here);
                let expected = match scanned {
                    Some((_, name)) => Feature { name: name.clone(), location: Some(point(*here)) },
                    None => Feature {
                        name: String::new(),
                        location: (profile != "tonic").then(|| point(*here)),
                    },
                };
                let found = runtime.block_on(service.get_feature(Request::new(point(*here)))).unwrap().into_inner();
                prop_assert_eq!(found, expected, "{}", profile);
            }

            let (south, north) = (one.0.min(other.0), one.0.max(other.0));
            let (west, east) = (one.1.min(other.1), one.1.max(other.1));
            let inside = |(latitude, longitude): Place| {
                (south..=north).contains(&latitude) && (west..=east).contains(&longitude)
            };
            let expected: Vec<Feature> = database
                .iter()
                .filter(|(place, name)| inside(*place) && (lists_unnamed(profile) || !name.is_empty()))
                .map(|(place, name)| Feature { name: name.clone(), location: Some(point(*place)) })
                .collect();
            let rectangle = Rectangle { lo: Some(point(one)), hi: Some(point(other)) };
            let listed: Vec<Feature> = runtime.block_on(async {
                let stream = service.list_features(Request::new(rectangle)).await.unwrap().into_inner();
                stream.map(Result::unwrap).collect().await
            });
            prop_assert_eq!(listed, expected, "{}", profile);

            let mut route = Route::new(&config, &index);
            asked.iter().for_each(|here| route.pass(*here));
            let summary = route.summary(Duration::from_millis(2_999));
            let counted: usize = asked.iter().map(|here| counts(profile, &database, *here)).sum();
            prop_assert_eq!(summary.feature_count as usize, counted, "{}", profile);
            prop_assert_eq!(summary.point_count as usize, asked.len());
            prop_assert_eq!(summary.elapsed_time, 2, "whole seconds");
            prop_assert!(summary.distance >= 0);
        }
    }
}
