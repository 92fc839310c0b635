//! Points on earth and the length of a route between them.
//!
//! Distance is the haversine formula (R. W. Sinnott, "Virtues of the
//! Haversine", 1984) on a sphere of 6 371 000 m, as all six reference servers
//! have it; they differ in where they round.

use super::profile::Distance;
use crate::proto::routeguide::Point;

const EARTH_RADIUS_METRES: f64 = 6_371_000.0;
/// Degrees × 10⁷.
const E7: f64 = 1e7;
const MOST_LATITUDE_E7: u32 = 900_000_000;
const MOST_LONGITUDE_E7: u32 = 1_800_000_000;

/// A point as a key: latitude and longitude in E7.
pub(super) type Place = (i32, i32);

/// An unset point is (0,0), whatever the profile.
pub(super) fn place(point: Option<Point>) -> Place {
    point.map_or((0, 0), |point| (point.latitude, point.longitude))
}

/// Which coordinate of a point is not on earth, if one is.
pub(super) fn off_earth((latitude, longitude): Place) -> Option<(&'static str, &'static str)> {
    if latitude.unsigned_abs() > MOST_LATITUDE_E7 {
        return Some(("latitude", "a latitude lies between -900000000 and 900000000 (90 degrees in E7)"));
    }
    if longitude.unsigned_abs() > MOST_LONGITUDE_E7 {
        return Some(("longitude", "a longitude lies between -1800000000 and 1800000000 (180 degrees in E7)"));
    }
    None
}

/// A route's length as it grows, rounded the way a profile rounds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Sum(f64),
    PerLeg(i64),
    Single(f32),
}

impl Length {
    /// Nothing yet.
    pub(super) fn new(rounding: Distance) -> Length {
        match rounding {
            Distance::Sum => Length::Sum(0.0),
            Distance::PerLeg => Length::PerLeg(0),
            Distance::Single => Length::Single(0.0),
        }
    }

    /// One leg more.
    pub(super) fn add(&mut self, from: Place, to: Place) {
        match self {
            Length::Sum(metres) => *metres += haversine(from, to),
            Length::PerLeg(metres) => *metres = metres.saturating_add(haversine(from, to) as i64),
            Length::Single(metres) => *metres += haversine_single(from, to),
        }
    }

    /// Whole metres; what does not fit is as much as fits.
    pub(super) fn metres(self) -> i32 {
        match self {
            // Casts from floats saturate.
            Length::Sum(metres) => metres as i32,
            Length::Single(metres) => metres as i32,
            Length::PerLeg(metres) => i32::try_from(metres).unwrap_or(i32::MAX),
        }
    }
}

/// Metres along the great circle.
fn haversine(from: Place, to: Place) -> f64 {
    let radians = |e7: i32| (f64::from(e7) / E7).to_radians();
    let (latitude_1, latitude_2) = (radians(from.0), radians(to.0));
    let latitude = latitude_2 - latitude_1;
    let longitude = radians(to.1) - radians(from.1);
    let a = (latitude / 2.0).sin().powi(2) + latitude_1.cos() * latitude_2.cos() * (longitude / 2.0).sin().powi(2);
    // Rounding may carry `a` a hair past 1 between antipodes.
    2.0 * a.sqrt().atan2((1.0 - a).max(0.0).sqrt()) * EARTH_RADIUS_METRES
}

/// The same in f32, with C++'s rounding after each assignment: its conversion
/// to radians multiplies in double and stores a float.
fn haversine_single(from: Place, to: Place) -> f32 {
    #[expect(clippy::approx_constant, reason = "the digits the C++ server has")]
    let radians = |degrees: f32| (f64::from(degrees) * 3.1415926 / 180.0) as f32;
    let degrees = |e7: i32| e7 as f32 / E7 as f32;
    let (latitude_1, latitude_2) = (degrees(from.0), degrees(to.0));
    let latitude = radians(latitude_2 - latitude_1);
    let longitude = radians(degrees(to.1) - degrees(from.1));
    let square = |x: f32| x * x;
    let a = square((latitude / 2.0).sin())
        + radians(latitude_1).cos() * radians(latitude_2).cos() * square((longitude / 2.0).sin());
    2.0 * a.sqrt().atan2((1.0 - a).max(0.0).sqrt()) * EARTH_RADIUS_METRES as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(rounding: Distance, route: &[Place]) -> i32 {
        let mut length = Length::new(rounding);
        for leg in route.windows(2) {
            length.add(leg[0], leg[1]);
        }
        length.metres()
    }

    const DEGREE: i32 = 10_000_000;
    const FOUR: [Place; 4] =
        [(DEGREE, DEGREE), (2 * DEGREE, 2 * DEGREE), (3 * DEGREE, 3 * DEGREE), (4 * DEGREE, 4 * DEGREE)];

    #[test]
    fn the_four_points_have_their_golden_lengths() {
        assert_eq!(length(Distance::Sum, &FOUR), 471_508);
        assert_eq!(length(Distance::PerLeg, &FOUR), 471_507);
        assert_eq!(length(Distance::Single, &FOUR), 471_508);
    }

    #[test]
    fn an_endless_route_is_as_long_as_fits() {
        let there_and_back: Vec<Place> = (0..400).map(|leg| (0, if leg % 2 == 0 { 0 } else { 180 * DEGREE })).collect();
        for rounding in [Distance::Sum, Distance::PerLeg, Distance::Single] {
            assert_eq!(length(rounding, &there_and_back), i32::MAX, "{rounding:?}");
            let until_107: i32 = length(rounding, &there_and_back[..=107]);
            assert!(until_107 < i32::MAX, "107 antipodal legs fit");
            assert_eq!(length(rounding, &there_and_back[..=108]), i32::MAX, "the 108th does not");
        }
    }

    #[test]
    fn every_pair_of_points_has_a_length() {
        let far = [i32::MIN, -1_800_000_000, -900_000_000, 0, 1, 900_000_000, 1_800_000_000, i32::MAX];
        let points = || far.iter().flat_map(|a| far.map(|b| (*a, b)));
        for (from, to) in points().flat_map(|from| points().map(move |to| (from, to))) {
            assert!(haversine(from, to).is_finite());
            assert!(haversine_single(from, to).is_finite());
        }
    }
}
