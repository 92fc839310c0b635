//! Features by exact point and by rectangle.
//!
//! A hash answers the exact point; a packed k-d tree (geo-index, after
//! Mourner's kdbush) the rectangle. The tree holds f64: every E7 coordinate is
//! exact in it, and the width of the world, which overflows i32, is not.

use geo_index::kdtree::{KDTree, KDTreeBuilder, KDTreeIndex as _};
use rustc_hash::FxHashMap;

use super::super::geo::Place;
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

    /// The numbers of all features between two corners, edges included, in the
    /// database's order. The corners may be any two that face each other.
    pub(crate) fn within(&self, one: Place, other: Place) -> Vec<u32> {
        let (south, north) = (one.0.min(other.0), one.0.max(other.0));
        let (west, east) = (one.1.min(other.1), one.1.max(other.1));
        let mut found = self
            .by_place
            .as_ref()
            .map_or_else(Vec::new, |tree| tree.range(south.into(), west.into(), north.into(), east.into()));
        found.sort_unstable();
        found
    }
}
