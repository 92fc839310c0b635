//! Sizes, and what lists can do.

use std::cmp::Ordering;

use super::super::failed::Failed;
use super::super::run::Frame;
use super::super::seen::Seen;
use super::super::steps::Steps;
use super::{Due, Function, Gives, Overload, Style, unfit, wrong};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "size",
        style: Style::Both,
        overloads: &[
            Overload(&[Due::String], Gives::Int),
            Overload(&[Due::Bytes], Gives::Int),
            Overload(&[Due::List], Gives::Int),
            Overload(&[Due::Map], Gives::Int),
        ],
        run: size,
    },
    Function {
        name: "lists.range",
        style: Style::Global,
        overloads: &[Overload(&[Due::Int], Gives::Ints)],
        run: range,
    },
    Function {
        name: "slice",
        style: Style::Method,
        overloads: &[Overload(&[Due::List, Due::Int, Due::Int], Gives::First)],
        run: slice,
    },
    Function { name: "sort", style: Style::Method, overloads: &[Overload(&[Due::List], Gives::First)], run: sort },
    Function {
        name: "reverse",
        style: Style::Method,
        overloads: &[Overload(&[Due::List], Gives::First), Overload(&[Due::String], Gives::String)],
        run: reverse,
    },
    Function {
        name: "distinct",
        style: Style::Method,
        overloads: &[Overload(&[Due::List], Gives::First)],
        run: distinct,
    },
    Function { name: "sum", style: Style::Method, overloads: &[Overload(&[Due::List], Gives::Dyn)], run: sum },
    Function { name: "type", style: Style::Global, overloads: &[Overload(&[Due::Any], Gives::Dyn)], run: type_of },
    Function { name: "dyn", style: Style::Global, overloads: &[Overload(&[Due::Any], Gives::Dyn)], run: same },
];

fn size<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let size = match given {
        [Seen::String(text)] => {
            frame.steps.bytes(text.len())?;
            text.chars().count()
        }
        [Seen::Bytes(bytes)] => bytes.len(),
        [Seen::List(list)] => list.len(),
        [Seen::Map(map)] => map.len(),
        _ => return unfit("size", given),
    };
    Ok(Seen::Int(size as i64))
}

fn range<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::Int(count)] = given else { return unfit("lists.range", given) };
    frame.steps.many(usize::try_from(*count).unwrap_or_default())?;
    Ok(Seen::list((0..*count).map(Seen::Int).collect()))
}

fn slice<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::List(list), Seen::Int(start), Seen::Int(end)] = given else { return unfit("slice", given) };
    match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(start), Ok(end)) if start <= end && end <= list.len() => {
            frame.steps.many(end - start)?;
            Ok(Seen::list((start..end).filter_map(|at| list.get(at)).collect()))
        }
        _ => Err(Failed::NoSuchIndex),
    }
}

fn sort<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::List(list)] = given else { return unfit("sort", given) };
    let mut items: Vec<_> = list.iter().collect();
    let Some(first) = items.first().cloned() else { return Ok(Seen::list(items)) };
    // A sort may panic where there is no order, or where it ends half-way; so
    // both are ruled out, and all of it is paid for, before it begins.
    let rounds = items.len().ilog2() as usize + 1;
    for item in &items {
        frame.steps.many(rounds)?;
        match item {
            Seen::String(text) => frame.steps.bytes(text.len() * rounds)?,
            Seen::Bytes(bytes) => frame.steps.bytes(bytes.len() * rounds)?,
            _ => {}
        }
        if item.order(&first, &mut frame.steps)?.is_none() {
            return wrong("sort", "is given a number that is none");
        }
    }
    let mut paid = Steps::unlimited();
    items.sort_by(|a, b| a.order(b, &mut paid).ok().flatten().unwrap_or(Ordering::Equal));
    Ok(Seen::list(items))
}

fn reverse<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [Seen::List(list)] => {
            frame.steps.many(list.len())?;
            let mut items: Vec<_> = list.iter().collect();
            items.reverse();
            Ok(Seen::list(items))
        }
        [Seen::String(text)] => {
            frame.steps.bytes(text.len())?;
            Ok(Seen::text(text.chars().rev().collect::<String>()))
        }
        _ => unfit("reverse", given),
    }
}

fn distinct<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::List(list)] = given else { return unfit("distinct", given) };
    let mut items: Vec<Seen<'a>> = Vec::new();
    'next: for item in list.iter() {
        for seen in &items {
            if seen.equal(&item, &mut frame.steps)? {
                continue 'next;
            }
        }
        frame.steps.one()?;
        items.push(item);
    }
    Ok(Seen::list(items))
}

fn sum<'a>(given: &[Seen<'a>], frame: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    let [Seen::List(list)] = given else { return unfit("sum", given) };
    let mut total: Option<Seen<'a>> = None;
    for item in list.iter() {
        frame.steps.one()?;
        if !matches!(item, Seen::Int(_) | Seen::Uint(_) | Seen::Double(_) | Seen::Duration(_)) {
            return unfit("sum", &[item]);
        }
        total = Some(match total {
            Some(total) => super::super::node::Operator::Add.apply(total, item, &mut frame.steps)?,
            None => item,
        });
    }
    Ok(total.unwrap_or(Seen::Int(0)))
}

fn type_of<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value] => Ok(Seen::Type(value.type_name())),
        _ => unfit("type", given),
    }
}

fn same<'a>(given: &[Seen<'a>], _: &mut Frame<'a>) -> Result<Seen<'a>, Failed> {
    match given {
        [value] => Ok(value.clone()),
        _ => wrong("dyn", "takes one value"),
    }
}

/// The name of a type, to be compared with what `type` gives.
pub(in super::super) fn type_named(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    ];
    NAMES.into_iter().find(|known| *known == name)
}
