//! Numbers: rounding, roots, angles, the largest and the least.

use std::cell::Cell;
use std::cmp::Ordering;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use super::super::compare::numbers;
use super::super::failed::Failed;
use super::super::run::Frame;
use super::super::seen::Seen;
use super::{Due, Function, Gives, Overload, Style, unfit};

/// A function from one number to a double.
macro_rules! of_one {
    ($name:literal, $apply:expr) => {
        Function {
            name: $name,
            style: Style::Global,
            overloads: &[Overload(&[Due::Number], Gives::Double)],
            run: |given, _| match given {
                [number] => match double(number) {
                    Some(number) => Ok(Seen::Double($apply(number))),
                    None => unfit($name, given),
                },
                _ => unfit($name, given),
            },
        }
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    of_one!("math.sqrt", f64::sqrt),
    of_one!("math.ceil", f64::ceil),
    of_one!("math.floor", f64::floor),
    // Halves go away from zero.
    of_one!("math.round", f64::round),
    of_one!("math.trunc", f64::trunc),
    of_one!("math.sin", f64::sin),
    of_one!("math.cos", f64::cos),
    of_one!("math.tan", f64::tan),
    of_one!("math.asin", f64::asin),
    of_one!("math.acos", f64::acos),
    of_one!("math.atan", f64::atan),
    of_one!("math.radians", f64::to_radians),
    of_one!("math.degrees", f64::to_degrees),
    of_one!("math.exp", f64::exp),
    of_one!("math.log", f64::ln),
    Function {
        name: "math.atan2",
        style: Style::Global,
        overloads: &[Overload(&[Due::Number, Due::Number], Gives::Double)],
        run: |given, _| of_two("math.atan2", given, f64::atan2),
    },
    Function {
        name: "math.pow",
        style: Style::Global,
        overloads: &[Overload(&[Due::Number, Due::Number], Gives::Double)],
        run: |given, _| of_two("math.pow", given, f64::powf),
    },
    Function {
        name: "math.abs",
        style: Style::Global,
        overloads: &[
            Overload(&[Due::Int], Gives::Int),
            Overload(&[Due::Uint], Gives::Uint),
            Overload(&[Due::Double], Gives::Double),
        ],
        run: abs,
    },
    Function {
        name: "math.sign",
        style: Style::Global,
        overloads: &[
            Overload(&[Due::Int], Gives::Int),
            Overload(&[Due::Uint], Gives::Uint),
            Overload(&[Due::Double], Gives::Double),
        ],
        run: sign,
    },
    Function {
        name: "math.isNaN",
        style: Style::Global,
        overloads: ASKED,
        run: |given, _| ask("math.isNaN", given, f64::is_nan),
    },
    Function {
        name: "math.isInf",
        style: Style::Global,
        overloads: ASKED,
        run: |given, _| ask("math.isInf", given, f64::is_infinite),
    },
    Function {
        name: "math.isFinite",
        style: Style::Global,
        overloads: ASKED,
        run: |given, _| ask("math.isFinite", given, f64::is_finite),
    },
    Function {
        name: "math.max",
        style: Style::Global,
        overloads: EXTREME,
        run: |given, frame| extreme("math.max", given, Ordering::Greater, frame),
    },
    Function {
        name: "math.min",
        style: Style::Global,
        overloads: EXTREME,
        run: |given, frame| extreme("math.min", given, Ordering::Less, frame),
    },
    Function {
        name: "math.greatest",
        style: Style::Global,
        overloads: EXTREME,
        run: |given, frame| extreme("math.greatest", given, Ordering::Greater, frame),
    },
    Function {
        name: "math.least",
        style: Style::Global,
        overloads: EXTREME,
        run: |given, frame| extreme("math.least", given, Ordering::Less, frame),
    },
    Function {
        name: "random",
        style: Style::Global,
        overloads: &[Overload(&[], Gives::Double)],
        run: |_, _| Ok(Seen::Double(random())),
    },
];

const ASKED: &[Overload] = &[Overload(&[Due::Double], Gives::Bool)];

const EXTREME: &[Overload] = &[
    Overload(&[Due::List], Gives::Dyn),
    Overload(&[Due::Int, Due::More], Gives::Int),
    Overload(&[Due::Uint, Due::More], Gives::Uint),
    Overload(&[Due::Double, Due::More], Gives::Double),
    Overload(&[Due::Number, Due::More], Gives::Dyn),
];

/// A number of any type as a double.
pub(super) fn double(number: &Seen<'_>) -> Option<f64> {
    match number {
        Seen::Int(value) => Some(*value as f64),
        Seen::Uint(value) => Some(*value as f64),
        Seen::Double(value) => Some(*value),
        _ => None,
    }
}

fn of_two<'a>(name: &'static str, given: &[Seen<'a>], apply: fn(f64, f64) -> f64) -> Result<Seen<'a>, Failed> {
    match given {
        [a, b] => match (double(a), double(b)) {
            (Some(a), Some(b)) => Ok(Seen::Double(apply(a, b))),
            _ => unfit(name, given),
        },
        _ => unfit(name, given),
    }
}

fn ask<'a>(name: &'static str, given: &[Seen<'a>], of: fn(f64) -> bool) -> Result<Seen<'a>, Failed> {
    match given {
        [Seen::Double(value)] => Ok(Seen::Bool(of(*value))),
        _ => unfit(name, given),
    }
}

fn abs<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [Seen::Int(value)] => value.checked_abs().map(Seen::Int).ok_or(Failed::Overflow),
        [Seen::Uint(value)] => Ok(Seen::Uint(*value)),
        [Seen::Double(value)] => Ok(Seen::Double(value.abs())),
        _ => unfit("math.abs", given),
    }
}

fn sign<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [Seen::Int(value)] => Ok(Seen::Int(value.signum())),
        [Seen::Uint(value)] => Ok(Seen::Uint((*value).min(1))),
        // Both zeros are zero, and NaN stays what it is.
        [Seen::Double(value)] => Ok(Seen::Double(if *value == 0.0 { 0.0 } else { value.signum() })),
        _ => unfit("math.sign", given),
    }
}

fn extreme<'a>(
    name: &'static str,
    given: &[Seen<'a>],
    wanted: Ordering,
    frame: &mut Frame<'a>,
) -> Result<Seen<'a>, Failed> {
    let listed: Vec<Seen<'a>>;
    let among = match given {
        [Seen::List(list)] => {
            frame.steps.many(list.len())?;
            listed = list.iter().collect();
            &listed
        }
        given => given,
    };
    let Some(mut found) = among.first() else {
        return Err(Failed::Argument { function: name, why: "is given an empty list" });
    };
    for item in among {
        if double(item).is_none() {
            return unfit(name, among);
        }
        // The first of equals stays.
        if numbers(item, found) == Some(wanted) {
            found = item;
        }
    }
    Ok(found.clone())
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// A number in [0, 1), of the kind dice are thrown with; no secret.
fn random() -> f64 {
    let state = STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        next
    });
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // A double holds 53 bits of it.
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
