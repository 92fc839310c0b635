//! A route as it is travelled, and its summary.

use std::time::Duration;

use super::features::{AtPoint, Features};
use super::geo::{Length, Place};
use super::profile::Duplicates;
use super::settings::Config;
use crate::proto::routeguide::RouteSummary;

/// What is known of a route so far: the same few bytes however long it gets.
#[derive(Debug)]
pub(super) struct Route<'a> {
    config: &'a Config,
    features: &'a Features,
    points: i64,
    counted: i64,
    length: Length,
    last: Option<Place>,
}

impl<'a> Route<'a> {
    /// Nothing travelled yet.
    pub(super) fn new(config: &'a Config, features: &'a Features) -> Route<'a> {
        Route { config, features, points: 0, counted: 0, length: Length::new(config.distance), last: None }
    }

    /// One point more.
    pub(super) fn pass(&mut self, here: Place) {
        self.points += 1;
        self.counted += self.features.at(here).map_or(0, |at| self.counts(at));
        if let Some(last) = self.last.replace(here) {
            self.length.add(last, here);
        }
    }

    /// How many features one point counts for.
    fn counts(&self, AtPoint { first, count, named }: AtPoint) -> i64 {
        match (self.config.duplicates, self.config.count_unnamed) {
            (Duplicates::Each, true) => count.into(),
            (Duplicates::Each, false) => named.into(),
            (Duplicates::First, true) => 1,
            (Duplicates::First, false) => {
                self.features.get(first).is_some_and(|feature| !feature.name.is_empty()).into()
            }
        }
    }

    /// The route in four numbers; what does not fit an int32 is as much as fits.
    pub(super) fn summary(&self, elapsed: Duration) -> RouteSummary {
        RouteSummary {
            point_count: i32::try_from(self.points).unwrap_or(i32::MAX),
            feature_count: i32::try_from(self.counted).unwrap_or(i32::MAX),
            distance: self.length.metres(),
            elapsed_time: i32::try_from(elapsed.as_secs()).unwrap_or(i32::MAX),
        }
    }
}
