//! Features by exact point and by rectangle.
//!
//! A hash answers the exact point; a packed k-d tree (geo-index, after
//! Mourner's kdbush) the rectangle. The tree holds f64: every E7 coordinate is
//! exact in it, and the width of the world, which overflows i32, is not.

use std::sync::Arc;

use geo_index::kdtree::{KDTree, KDTreeBuilder, KDTreeIndex as _};
use rustc_hash::FxHashMap;

use super::super::geo::{Place, place};
use super::Entry;
use crate::config::Problem;
use crate::proto::routeguide::{Feature, Point};

/// What is at one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AtPoint {
    /// The first in the database.
    pub(crate) first: u32,
    /// How many there are.
    pub(crate) count: u32,
    /// How many of them have a name.
    pub(crate) named: u32,
}

/// The whole database, never changed.
#[derive(Debug)]
pub(crate) struct Features {
    all: Vec<Feature>,
    by_point: FxHashMap<Place, AtPoint>,
    by_place: Option<KDTree<f64>>,
}

impl Features {
    /// Indexes entries; their order is the database's.
    pub(crate) fn new(entries: Vec<Entry>) -> Result<Features, Problem> {
        let count = u32::try_from(entries.len())
            .map_err(|_| Problem::new(format!("{} features are more than this index holds", entries.len())))?;
        let mut tree = KDTreeBuilder::<f64>::new(count);
        let mut by_point: FxHashMap<Place, AtPoint> = FxHashMap::default();
        for (id, entry) in (0..count).zip(&entries) {
            let place = (entry.location.latitude, entry.location.longitude);
            tree.add(f64::from(place.0), f64::from(place.1));
            let at = by_point.entry(place).or_insert(AtPoint { first: id, count: 0, named: 0 });
            at.count += 1;
            at.named += u32::from(!entry.name.is_empty());
        }
        let all = entries
            .into_iter()
            .map(|Entry { name, location }| {
                let location = Some(Point { latitude: location.latitude, longitude: location.longitude });
                Feature { name, location }
            })
            .collect();
        // The tree's own sort has no answer for nothing at all.
        let by_place = (count > 0).then(|| tree.finish());
        Ok(Features { all, by_point, by_place })
    }

    /// What is at exactly this point.
    pub(crate) fn at(&self, place: Place) -> Option<AtPoint> {
        self.by_point.get(&place).copied()
    }

    /// A feature by its number in the database.
    pub(crate) fn get(&self, id: u32) -> Option<&Feature> {
        self.all.get(id as usize)
    }

    /// All features between two corners, edges included, in the database's
    /// order. The corners may be any two that face each other.
    ///
    /// A small answer is looked up and sorted. One that is a good part of the
    /// database is found on the way instead, as it is sent: collected, it would
    /// hold its numbers in memory for as long as its client takes to read.
    pub(crate) fn within(self: &Arc<Self>, one: Place, other: Place) -> Within {
        let rectangle = Rectangle {
            south: one.0.min(other.0),
            north: one.0.max(other.0),
            west: one.1.min(other.1),
            east: one.1.max(other.1),
        };
        let features = self.clone();
        let found = if self.is_large(rectangle) {
            Found::OnTheWay { rectangle, next: 0 }
        } else {
            let found = self.by_place.as_ref().map_or_else(Vec::new, |tree| rectangle.look_up(tree));
            Found::Collected(found.into_iter())
        };
        Within { features, found }
    }

    /// Whether a sample says that a rectangle holds much of the database.
    fn is_large(&self, rectangle: Rectangle) -> bool {
        let step = self.all.len() / SAMPLE;
        let inside = |feature: &&Feature| rectangle.holds(place(feature.location));
        step > 0 && self.all.iter().step_by(step).filter(inside).count() > SAMPLE / LARGE_SHARE
    }
}

/// How many features are looked at to guess the size of an answer; a database
/// of no more is always looked up.
const SAMPLE: usize = 512;
/// An answer is large from one part in so many on.
const LARGE_SHARE: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Rectangle {
    south: i32,
    north: i32,
    west: i32,
    east: i32,
}

impl Rectangle {
    fn holds(self, (latitude, longitude): Place) -> bool {
        (self.south..=self.north).contains(&latitude) && (self.west..=self.east).contains(&longitude)
    }

    fn look_up(self, tree: &KDTree<f64>) -> Vec<u32> {
        let mut found = tree.range(self.south.into(), self.west.into(), self.north.into(), self.east.into());
        found.sort_unstable();
        found
    }
}

/// The features of a rectangle, one by one.
#[derive(Debug)]
pub(crate) struct Within {
    features: Arc<Features>,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Collected(std::vec::IntoIter<u32>),
    OnTheWay { rectangle: Rectangle, next: usize },
}

impl Iterator for Within {
    type Item = Feature;

    /// Copied as it is asked for, so a client that goes away ends the work.
    fn next(&mut self) -> Option<Feature> {
        match &mut self.found {
            Found::Collected(found) => found.next().and_then(|id| self.features.get(id)).cloned(),
            Found::OnTheWay { rectangle, next } => {
                let mut rest = self.features.all.get(*next..)?.iter();
                let at = rest.position(|feature| rectangle.holds(place(feature.location)))?;
                *next += at + 1;
                self.features.all.get(*next - 1).cloned()
            }
        }
    }
}
