//! What a clock and a calendar say of a time, and what a span is in a unit.

use super::super::failed::Failed;
use super::super::run::Frame;
use super::super::seen::Seen;
use super::super::time::{Calendar, Duration};
use super::{Due, Function, Gives, Overload, Style, wrong};

/// A method of a time, with or without a zone.
macro_rules! of_time {
    ($name:literal, $read:expr) => {
        Function {
            name: $name,
            style: Style::Method,
            overloads: &[Overload(&[Due::Timestamp], Gives::Int), Overload(&[Due::Timestamp, Due::String], Gives::Int)],
            run: |given, _| calendar($name, given).map(|calendar| Seen::Int($read(calendar))),
        }
    };
}

/// A method of a time, with or without a zone, and of a span.
macro_rules! of_both {
    ($name:literal, $read:expr, $unit:expr) => {
        Function {
            name: $name,
            style: Style::Method,
            overloads: &[
                Overload(&[Due::Timestamp], Gives::Int),
                Overload(&[Due::Timestamp, Due::String], Gives::Int),
                Overload(&[Due::Duration], Gives::Int),
            ],
            run: |given, _| match given {
                [Seen::Duration(span)] => Ok(Seen::Int(units(*span, $unit))),
                given => calendar($name, given).map(|calendar| Seen::Int($read(calendar))),
            },
        }
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    of_time!("getFullYear", |calendar: Calendar| calendar.year),
    // Months, days of the year and of the month are counted from 0; a date is not.
    of_time!("getMonth", |calendar: Calendar| calendar.month - 1),
    of_time!("getDayOfYear", |calendar: Calendar| calendar.day_of_year),
    of_time!("getDayOfMonth", |calendar: Calendar| calendar.day - 1),
    of_time!("getDate", |calendar: Calendar| calendar.day),
    of_time!("getDayOfWeek", |calendar: Calendar| calendar.day_of_week),
    of_both!("getHours", |calendar: Calendar| calendar.second_of_day / 3_600, 3_600_000_000_000),
    of_both!("getMinutes", |calendar: Calendar| calendar.second_of_day / 60 % 60, 60_000_000_000),
    of_both!("getSeconds", |calendar: Calendar| calendar.second_of_day % 60, 1_000_000_000),
    Function {
        name: "getMilliseconds",
        style: Style::Method,
        overloads: &[
            Overload(&[Due::Timestamp], Gives::Int),
            Overload(&[Due::Timestamp, Due::String], Gives::Int),
            Overload(&[Due::Duration], Gives::Int),
        ],
        run: milliseconds,
    },
];

fn milliseconds<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        // Of a span too, only what is beyond whole seconds.
        [Seen::Duration(span)] => Ok(Seen::Int((span.nanos() / 1_000_000 % 1_000) as i64)),
        given => calendar("getMilliseconds", given).map(|calendar| Seen::Int(calendar.millisecond)),
    }
}

fn units(span: Duration, unit: i128) -> i64 {
    (span.nanos() / unit) as i64
}

fn calendar(name: &'static str, given: &[Seen<'_>]) -> Result<Calendar, Failed> {
    match given {
        [Seen::Timestamp(time)] => Ok(time.calendar(0)),
        [Seen::Timestamp(time), Seen::String(zone)] => match east(zone) {
            Some(east) => Ok(time.calendar(east)),
            None => wrong(name, "knows no such zone: one is `UTC` or an offset such as `+02:00`"),
        },
        _ => Err(Failed::unfit(name, given)),
    }
}

/// Seconds east of Greenwich.
fn east(zone: &str) -> Option<i64> {
    if matches!(zone, "UTC" | "Z" | "GMT") {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}
