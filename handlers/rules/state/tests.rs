//! What a change comes to, and what it takes.

use super::*;

fn declared(start: Value, full: Full) -> Declared {
    let (name, kind) = ("notes".to_owned(), kind(&start));
    Declared { name, kind, scope: Scope::Stream, start, entries: 3, each: 2, bytes: 1_000, full }
}

fn change(slot: &mut Slot, declared: &Declared, at: Option<&str>, act: Act) -> Result<(), Failed> {
    let at = at.map(Key::from);
    let (edit, bytes) = match &at {
        None => slot.fit(declared, act)?,
        Some(key) => slot.fit_entry(declared, key, act)?,
    };
    // There, back, and there again: what is taken back leaves nothing behind.
    let before = format!("{:?}", slot.value);
    let back = edit.make(&mut slot.value, at.as_ref());
    let again = back.make(&mut slot.value, at.as_ref());
    assert_eq!(format!("{:?}", slot.value), before, "{again:?}");
    slot.bytes = bytes;
    again.make(&mut slot.value, at.as_ref());
    Ok(())
}

#[test]
fn what_a_state_takes_is_what_its_value_does_whatever_became_of_it() {
    let declared = declared(Value::from(std::collections::BTreeMap::default()), Full::DropOldest);
    let mut slot = Slot::new(declared.start.clone());
    let mut check = |at: Option<&str>, act: Act, fits: bool| {
        let before = slot.value.clone();
        let said = format!("{at:?} {act:?}");
        assert_eq!(change(&mut slot, &declared, at, act).is_ok(), fits, "{said}");
        assert_eq!(slot.bytes, slot.value.size_bytes(), "{said}");
        assert!(fits || slot.value == before, "{said}: {:?}", slot.value);
    };
    for round in 0..3 {
        check(Some("a"), Act::Append("one".into()), true);
        check(Some("a"), Act::Append("two".into()), true);
        check(Some("a"), Act::Append("three, and one goes".into()), true);
        check(Some("n"), Act::Add(Value::Int(round)), true);
        check(Some("n"), Act::Add(Value::Int(i64::MAX)), round == 0);
        check(Some("n"), Act::Add("no number".into()), false);
        check(Some("n"), Act::Append(Value::Null), false);
        check(Some("new"), Act::Add("no number".into()), false);
        check(Some("long"), Act::Set("x".repeat(1_000).into()), false);
        check(Some("long"), Act::Set("x".repeat(100).into()), true);
        check(Some("a fourth"), Act::Set(Value::Null), false);
        check(Some("not there"), Act::Remove, true);
        check(Some("a"), Act::Remove, true);
        check(Some("n"), Act::Remove, true);
        check(None, Act::Append(Value::Null), false);
    }
    check(None, Act::Remove, true);
    assert_eq!(slot.value, declared.start);
}

#[test]
fn a_list_grows_where_it_lies_and_a_reader_keeps_what_it_saw() {
    let declared = declared(vec![].into(), Full::Refuse);
    let mut slot = Slot::new(declared.start.clone());
    change(&mut slot, &declared, None, Act::Append("one".into())).unwrap();
    let items = |value: &Value| value.items("append").unwrap().as_ptr();
    let (seen, lies) = (slot.value.clone(), items(&slot.value));
    change(&mut slot, &declared, None, Act::Append("two".into())).unwrap();
    assert_eq!(seen, Value::from(vec!["one".into()]));
    assert_ne!(items(&slot.value), lies, "somebody looks at the old one");
    let lies = items(&slot.value);
    change(&mut slot, &declared, None, Act::Append("three".into())).unwrap();
    assert_eq!(items(&slot.value), lies);
    let full = change(&mut slot, &declared, None, Act::Append("four".into()));
    assert_eq!(full, Err(Failed::Full("notes".to_owned())));
}
