//! An evaluation ends, whatever it is asked.

use std::time::Instant;

use super::*;

fn spends(text: &str, state: &Value) {
    let start = Instant::now();
    assert_eq!(over(text, &DynamicMessage::new(order()), state), Err(Failed::Budget), "{text}");
    assert!(start.elapsed().as_secs() < 5, "{text} took {:?}", start.elapsed());
}

#[test]
fn loops_within_loops_end() {
    let thousand = Value::from(vec![Value::Int(1); 1_000]);
    for text in [
        "state.map(a, state.map(b, state.map(c, a + b + c)))",
        "state.all(a, state.all(b, state.all(c, true)))",
        // What goes wrong at each item is no way out.
        "state.all(a, state.all(b, state.all(c, 1 / 0 == 1)))",
        "state.exists(a, state.exists(b, state.exists(c, false) || 1 / 0 == 1) || true == dyn('a'))",
        "state.map(a, state.filter(b, state.exists_one(c, c == b)))",
        "state.map(a, state.map(b, state == state))",
        "state.map(a, state.map(b, 7 in state))",
        "state.map(a, state.map(b, state.sort()))",
        "lists.range(9223372036854775807).size()",
        "lists.range(-1).size() == 0 && lists.range(2000000).size() == 0",
    ] {
        spends(text, &thousand);
    }
}

#[test]
fn what_is_made_is_bounded() {
    let large = Value::from("a".repeat(1 << 20));
    for text in [
        "lists.range(1000).map(x, state + state)",
        "lists.range(1000).map(x, state.replace('a', state.substring(0, 100)))",
        "state.replace('', state)",
        "lists.range(1000).map(x, state).join(state)",
        "'%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s'.format(lists.range(1000).map(x, lists.range(1000).map(y, state)))",
        "lists.range(1000).map(x, state.matches(state.substring(0, 1000)))",
        "lists.range(1000).map(x, state.split(''))",
    ] {
        spends(text, &large);
    }
}

#[test]
fn a_request_that_is_copied_is_paid_for() {
    let mut request = DynamicMessage::new(order());
    request.set_field_by_name("name", prost_reflect::Value::String("a".repeat(1 << 20)));
    let failed = over("lists.range(1000).map(x, request)", &request, &Value::Null);
    assert_eq!(failed, Err(Failed::Budget));
}

#[test]
fn the_budget_is_a_parameter() {
    let expression = Expression::compile("lists.range(100).map(x, x)", &scope()).unwrap();
    assert_eq!(expression.evaluate(&Names::default().steps(50)), Err(Failed::Budget));
    assert!(expression.evaluate(&Names::default().steps(500)).is_ok());
    assert_eq!(Failed::Budget.code(), tonic::Code::ResourceExhausted);
}

#[test]
fn state_does_not_nest_without_end() {
    let mut state = Value::Int(1);
    let wrap = Expression::compile("{'a': state}", &scope()).unwrap();
    let mut refused = None;
    for round in 0..1_000 {
        match wrap.evaluate(&Names::default().lent("state", &state)) {
            Ok(value) => state = value,
            Err(failed) => {
                refused = Some((round, failed));
                break;
            }
        }
    }
    assert!(refused.is_some_and(|(round, _)| round < 200));
    let mut list = Value::from(vec![]);
    let pushed = (0..1_000).find_map(|_| {
        let failed = list.may_be_put(1).err();
        list = vec![std::mem::take(&mut list)].into();
        failed
    });
    assert_eq!(pushed, Some(Failed::TooDeep));
}

#[test]
fn state_does_not_double_without_end() {
    let mut state = Value::from(vec![]);
    let twice = Expression::compile("[state, state]", &scope()).unwrap();
    let refused = (0..60).find_map(|_| match twice.evaluate(&Names::default().lent("state", &state)) {
        Ok(value) => {
            state = value;
            None
        }
        Err(failed) => Some(failed),
    });
    assert_eq!(refused, Some(Failed::Budget));
    let mut list = state.clone();
    for _ in 0..40 {
        list = Value::from(vec![list.clone(), list]);
    }
    assert!(list.size_bytes() >= 1 << 30);
    assert_eq!(list.may_be_put(1), Err(Failed::Budget));
}
