//! `+`, `-`, `*`, `/` and `%`.

use super::failed::Failed;
use super::node::Operator;
use super::seen::Seen;
use super::steps::Steps;
use super::time::{Duration, Timestamp};

impl Operator {
    /// Numbers of one type; texts, bytes and lists are put together; times and
    /// spans are added and subtracted.
    pub(super) fn apply<'a>(self, a: Seen<'a>, b: Seen<'a>, steps: &mut Steps) -> Result<Seen<'a>, Failed> {
        match (a, b) {
            (Seen::Int(a), Seen::Int(b)) => self.ints(a, b).map(Seen::Int),
            (Seen::Uint(a), Seen::Uint(b)) => self.uints(a, b).map(Seen::Uint),
            (Seen::Double(a), Seen::Double(b)) if self != Operator::Remainder => Ok(Seen::Double(self.doubles(a, b))),
            (a, b) => match self {
                Operator::Add => add(a, b, steps),
                Operator::Subtract => subtract(a, b),
                _ => Err(Failed::unfit(self.sign(), &[a, b])),
            },
        }
    }

    fn ints(self, a: i64, b: i64) -> Result<i64, Failed> {
        match self {
            Operator::Divide | Operator::Remainder if b == 0 => return Err(Failed::DivisionByZero),
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::Divide => a.checked_div(b),
            Operator::Remainder => a.checked_rem(b),
        }
        .ok_or(Failed::Overflow)
    }

    fn uints(self, a: u64, b: u64) -> Result<u64, Failed> {
        match self {
            Operator::Divide | Operator::Remainder if b == 0 => return Err(Failed::DivisionByZero),
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::Divide => a.checked_div(b),
            Operator::Remainder => a.checked_rem(b),
        }
        .ok_or(Failed::Overflow)
    }

    fn doubles(self, a: f64, b: f64) -> f64 {
        match self {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Remainder => a % b,
        }
    }
}

fn add<'a>(a: Seen<'a>, b: Seen<'a>, steps: &mut Steps) -> Result<Seen<'a>, Failed> {
    match (a, b) {
        (Seen::String(a), Seen::String(b)) => {
            steps.bytes(a.len() + b.len())?;
            let mut text = String::with_capacity(a.len() + b.len());
            text.push_str(&a);
            text.push_str(&b);
            Ok(Seen::text(text))
        }
        (Seen::Bytes(a), Seen::Bytes(b)) => {
            steps.bytes(a.len() + b.len())?;
            Ok(Seen::Bytes([a, b].concat().into()))
        }
        (Seen::List(a), Seen::List(b)) => {
            steps.many(a.len() + b.len())?;
            let mut items = Vec::with_capacity(a.len() + b.len());
            items.extend(a.iter());
            items.extend(b.iter());
            Ok(Seen::list(items))
        }
        (Seen::Timestamp(time), Seen::Duration(span)) | (Seen::Duration(span), Seen::Timestamp(time)) => {
            Timestamp::of(time.nanos() + span.nanos()).map(Seen::Timestamp).ok_or(Failed::Overflow)
        }
        (Seen::Duration(a), Seen::Duration(b)) => {
            Duration::of(a.nanos() + b.nanos()).map(Seen::Duration).ok_or(Failed::Overflow)
        }
        (a, b) => Err(Failed::unfit("+", &[a, b])),
    }
}

fn subtract<'a>(a: Seen<'a>, b: Seen<'a>) -> Result<Seen<'a>, Failed> {
    let span = |nanos| Duration::of(nanos).map(Seen::Duration).ok_or(Failed::Overflow);
    match (a, b) {
        (Seen::Timestamp(a), Seen::Timestamp(b)) => span(a.nanos() - b.nanos()),
        (Seen::Duration(a), Seen::Duration(b)) => span(a.nanos() - b.nanos()),
        (Seen::Timestamp(time), Seen::Duration(span)) => {
            Timestamp::of(time.nanos() - span.nanos()).map(Seen::Timestamp).ok_or(Failed::Overflow)
        }
        (a, b) => Err(Failed::unfit("-", &[a, b])),
    }
}
