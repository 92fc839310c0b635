//! Points in time and spans of time, in nanoseconds, within protobuf's bounds.

use std::fmt;
use std::time::SystemTime;

pub(super) const NANOS: i128 = 1_000_000_000;
/// The years 1 to 9999, in seconds since 1970.
const TIMES: std::ops::RangeInclusive<i128> = -62_135_596_800 * NANOS..=253_402_300_800 * NANOS - 1;
/// About ten thousand years.
const LONGEST: i128 = 315_576_000_000 * NANOS;
const DAY: i64 = 86_400;

/// A point in time between the years 1 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::handlers::rules) struct Timestamp(i128);

/// A span of time of at most ten thousand years either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::handlers::rules) struct Duration(i128);

impl Timestamp {
    /// The present.
    pub(in crate::handlers::rules) fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp((since.as_nanos() as i128).min(*TIMES.end()))
    }

    /// By nanoseconds since 1970, if that is within bounds.
    pub(super) fn of(nanos: i128) -> Option<Timestamp> {
        TIMES.contains(&nanos).then_some(Timestamp(nanos))
    }

    /// The point within bounds that is closest.
    pub(super) fn nearest(nanos: i128) -> Timestamp {
        Timestamp(nanos.clamp(*TIMES.start(), *TIMES.end()))
    }

    /// As the message has it.
    pub(in crate::handlers::rules) fn of_parts(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Timestamp::of(i128::from(seconds) * NANOS + i128::from(nanos))
    }

    /// As `2020-01-01T00:00:00Z`, with or without a fraction and an offset.
    pub(in crate::handlers::rules) fn parse(text: &str) -> Option<Timestamp> {
        let parsed: prost_types::Timestamp = text.parse().ok()?;
        // The parser knows dates without a time, and this mapping does not.
        text.contains(['T', 't']).then(|| Timestamp::of_parts(parsed.seconds, parsed.nanos))?
    }

    /// Nanoseconds since 1970.
    pub(super) fn nanos(self) -> i128 {
        self.0
    }

    /// Whole seconds since 1970, and nanoseconds from there on.
    pub(super) fn parts(self) -> (i64, i32) {
        (self.0.div_euclid(NANOS) as i64, self.0.rem_euclid(NANOS) as i32)
    }

    /// The calendar's words for it, so many seconds east of Greenwich.
    pub(super) fn calendar(self, east: i64) -> Calendar {
        let (seconds, nanos) = self.parts();
        let local = seconds + east;
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        // Years that start in March have their odd day last; 400 of them repeat.
        let from_march = days + 719_468;
        let (era, day) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let march_month = (5 * of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let january_first = if month <= 2 { of_year - 306 } else { of_year + 59 + i64::from(leap) };
        Calendar {
            year,
            month,
            day: of_year - (153 * march_month + 2) / 5 + 1,
            day_of_year: january_first,
            day_of_week: (days + 4).rem_euclid(7),
            second_of_day: second,
            millisecond: i64::from(nanos) / 1_000_000,
        }
    }
}

/// What a calendar and a clock say.
pub(super) struct Calendar {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// Of the month, from 1.
    pub(super) day: i64,
    /// From 0.
    pub(super) day_of_year: i64,
    /// From Sunday, which is 0.
    pub(super) day_of_week: i64,
    pub(super) second_of_day: i64,
    pub(super) millisecond: i64,
}

impl Duration {
    /// By nanoseconds, if that is within bounds.
    pub(super) fn of(nanos: i128) -> Option<Duration> {
        (-LONGEST..=LONGEST).contains(&nanos).then_some(Duration(nanos))
    }

    /// The span within bounds that is closest.
    pub(super) fn nearest(nanos: i128) -> Duration {
        Duration(nanos.clamp(-LONGEST, LONGEST))
    }

    /// As `1h30m`, `1.5s`, `-250ms`.
    pub(in crate::handlers::rules) fn parse(text: &str) -> Option<Duration> {
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Duration(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total = 0_i128;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, after) = rest.split_at(digits);
            let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            total = total.checked_add(scaled(number, nanos_of(&after[..unit])?)?)?;
            rest = &after[unit..];
        }
        Duration::of(sign * total)
    }

    /// Nanoseconds.
    pub(super) fn nanos(self) -> i128 {
        self.0
    }

    /// Whole seconds, and nanoseconds of the same sign.
    pub(super) fn parts(self) -> (i64, i32) {
        ((self.0 / NANOS) as i64, (self.0 % NANOS) as i32)
    }
}

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Duration {
        Duration(i128::try_from(span.as_nanos()).unwrap_or(LONGEST).min(LONGEST))
    }
}

/// What a unit's letters stand for.
fn nanos_of(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3_600 * NANOS,
        "m" => 60 * NANOS,
        "s" => NANOS,
        "ms" => 1_000_000,
        "us" | "µs" => 1_000,
        "ns" => 1,
        _ => return None,
    })
}

/// A decimal number of units; what is less than a nanosecond is dropped.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 20 || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut part = unit;
    for digit in fraction.bytes().take(16) {
        nanos += i128::from(digit - b'0') * part / 10;
        part /= 10;
    }
    Some(nanos)
}

/// As RFC 3339 has it, in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = self.parts();
        prost_types::Timestamp { seconds, nanos }.fmt(f)
    }
}

/// In seconds, such as `1.5s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) =
            (self.0.unsigned_abs() / NANOS.unsigned_abs(), self.0.unsigned_abs() % NANOS.unsigned_abs());
        if part == 0 {
            return write!(f, "{sign}{whole}s");
        }
        write!(f, "{sign}{whole}.{}s", format!("{part:09}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_time_is_read_and_written_as_rfc_3339_has_it() {
        for text in ["2020-02-29T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"] {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at("2020-01-01T02:00:00+02:00"), at("2020-01-01T00:00:00Z"));
        for text in ["", "2020-01-01", "yesterday", "10000-01-01T00:00:00Z", "2020-13-01T00:00:00Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_calendar_knows_leap_days_and_week_days() {
        let calendar = at("2024-02-29T12:34:56.789Z").calendar(0);
        assert_eq!((calendar.year, calendar.month, calendar.day), (2024, 2, 29));
        assert_eq!((calendar.day_of_year, calendar.day_of_week), (59, 4));
        assert_eq!((calendar.second_of_day, calendar.millisecond), (45_296, 789));
        let last = at("2024-12-31T23:00:00Z").calendar(0);
        assert_eq!((last.day_of_year, last.day_of_week), (365, 2));
        let first = at("2024-12-31T23:00:00Z").calendar(3_600);
        assert_eq!((first.year, first.month, first.day, first.day_of_year), (2025, 1, 1, 0));
        let early = at("0001-01-01T00:00:00Z").calendar(0);
        assert_eq!((early.year, early.month, early.day, early.day_of_year), (1, 1, 1, 0));
    }

    #[test]
    fn a_span_is_read_in_any_units_and_written_in_seconds() {
        for (text, written) in [
            ("1h30m", "5400s"),
            ("1.5s", "1.5s"),
            ("-250ms", "-0.25s"),
            ("0", "0s"),
            ("1m0.000000001s", "60.000000001s"),
        ] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), written);
        }
        for text in ["", "-", "1", "1x", "s", "1..5s", "99999999999999999999999s", "1e9s", "."] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }
}
