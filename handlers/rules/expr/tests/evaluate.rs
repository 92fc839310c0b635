//! What expressions give.

use serde_json::json;

use super::*;

/// Expressions that hold over a request.
fn hold(request: &DynamicMessage, texts: &[&str]) {
    for text in texts {
        assert_eq!(over(text, request, &Value::Null), Ok(true.into()), "{text}");
    }
}

#[test]
fn fields_are_read_where_they_lie() {
    let request = message(&json!({
        "name": "Ann", "count": -3, "serial": "18446744073709551615", "weight": 1.5, "price": "NaN", "photo": "AAE=",
        "color": "BLUE", "first": {"name": "nut", "priceCents": 5}, "items": [{"name": "a"}, {"name": "b"}],
        "tags": ["x", "y"], "stock": {"k": 7}, "shelves": {"4": {"name": "s"}}, "flags": {"true": "yes"},
        "rates": {"18446744073709551615": 0.5}, "number": 0, "note": "",
    }));
    hold(
        &request,
        &[
            "request.name == 'Ann' && 'Hello, ' + request.name == 'Hello, Ann'",
            "request.count == -3 && request.count < 0 && -request.count == 3",
            "request.serial == 18446744073709551615u && request.serial > 9223372036854775807",
            "request.weight == 1.5 && request.price != request.price && !(request.price < 1.0)",
            "request.photo == b'\\x00\\x01' && size(request.photo) == 2",
            "request.color == 2 && request.color == shop.Color.BLUE",
            "request.first.name == 'nut' && request.first.price_cents == 5",
            "request.items.size() == 2 && request.items[1].name == 'b' && request.items.map(i, i.name) == ['a', 'b']",
            "'x' in request.tags && !('z' in request.tags) && request.tags == ['x', 'y'] && ['x', 'y'] == request.tags",
            "request.stock['k'] == 7 && request.stock.k == 7 && 'k' in request.stock && request.stock == {'k': 7}",
            "request.shelves[4].name == 's' && request.shelves.all(k, k == 4)",
            "request.flags[true] == 'yes' && request.rates[18446744073709551615u] == 0.5",
            "has(request.name) && !has(request.total) && has(request.number) && !has(request.word)",
            "has(request.note) && !has(request.rank) && has(request.first) && !has(request.parent) && has(request.tags)",
            "has(request.stock.k) && !has(request.stock.j)",
            "request.parent.parent.name == '' && request.parent.items == []",
            "type(request.count) == int && type(request) != int",
        ],
    );
}

#[test]
fn what_was_not_set_reads_as_its_default() {
    let request = message(&json!({"thingOfOld": {"must": "x"}}));
    hold(
        &request,
        &[
            "request.thing_of_old.name == 'nobody' && !has(request.thing_of_old.name)",
            "request.thing_of_old.must == 'x' && has(request.thing_of_old.must)",
            "request.title == null && request.anything == null && request.any == null",
            "request.extra == {} && request.list == [] && request.color == 0",
            "request.lasts == duration('0s') && request.placed == timestamp('1970-01-01T00:00:00Z')",
        ],
    );
}

#[test]
fn protobufs_own_messages_are_values() {
    let request = message(&json!({
        "placed": "2020-02-29T12:00:00Z", "lasts": "1.5s", "extra": {"a": {"b": [1, "two", null, true]}},
        "anything": {"deep": [3]}, "list": ["x", 2], "title": "t", "bonus": "0", "maybe": false,
        "any": {"@type": "type.googleapis.com/shop.Item", "name": "packed", "parts": [{"name": "p"}]},
    }));
    hold(
        &request,
        &[
            "request.placed + request.lasts == timestamp('2020-02-29T12:00:01.5Z')",
            "request.placed.getFullYear() == 2020 && request.placed.getMonth() == 1 && request.placed.getDate() == 29",
            "request.placed.getHours('+02:00') == 14 && request.lasts.getMilliseconds() == 500",
            "request.extra.a.b[0] == 1 && request.extra.a.b == [1.0, 'two', null, true]",
            "request.anything.deep[0] == 3.0 && request.list == ['x', 2]",
            "request.title == 't' && request.title + '!' == 't!' && request.bonus == 0 && request.maybe == false",
            "request.any.name == 'packed' && request.any.parts[0].name == 'p' && has(request.any.name)",
        ],
    );
}

#[test]
fn messages_are_equal_field_by_field() {
    let mut request =
        message(&json!({"first": {"name": "a"}, "items": [{"name": "a"}, {"name": "a", "priceCents": 1}]}));
    // A default that is there equals one that is not, in proto3.
    let first = request.get_field_by_name_mut("first").unwrap();
    first.as_message_mut().unwrap().set_field_by_name("price_cents", prost_reflect::Value::I32(0));
    hold(&request, &["request.first == request.items[0] && request.first != request.items[1]", "request == request"]);
    let state = Value::of_message(request.clone());
    assert_eq!(
        over("state == request && request == state && state.first in request.items", &request, &state),
        Ok(true.into())
    );
}

#[test]
fn state_is_read_like_anything_else() {
    let state = Value::from(&json!({"notes": {"1,2": [{"text": "hi", "n": 1}]}, "big": u64::MAX, "seen": [1, 2]}));
    let request = message(&json!({"name": "1,2"}));
    for text in [
        "state.notes[request.name][0].text == 'hi'",
        "state.notes['1,2'].map(n, n.n + 1) == [2]",
        "!(request.name + 'x' in state.notes)",
        "state.big == 18446744073709551615u",
        "size(state.seen + [3]) == 3 && 2 in state.seen",
        "state.notes.exists(k, state.notes[k].size() == 1)",
    ] {
        assert_eq!(over(text, &request, &state), Ok(true.into()), "{text}");
    }
}

/// What holds wherever the language is spoken, and some of what is only ours.
const ELSEWHERE: &[&str] = &[
    "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 % 3 == -1 && 2u * 3u == 6u && 1.0 / 0.0 > 1e300",
    "1 == 1.0 && 1u == 1 && 9007199254740993 != 9007199254740992.0 && 1 < 1.5 && 2 > 1.5",
    "(1 / 0 == 1 || true) && !(false && 1 / 0 == 1) && (true ? 1 : 1 / 0) == 1",
    "[1, 2, 3].all(x, x > 0) && ![].exists(x, true) && [1, 2, 2].exists_one(x, x == 1) && [].all(x, false)",
    "[0, 1].exists(x, 1 / x == 1) && ![0, 1].all(x, 1 / x == 2)",
    "[1, 2, 3].filter(x, x > 1) == [2, 3] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
    "{'a': 1}.map(k, k) == ['a'] && {1: 'x'}[1u] == 'x' && {1: 'x'}[1.0] == 'x'",
    "'héllo'.size() == 5 && 'héllo'.substring(1, 2) == 'é' && 'héllo'.indexOf('l') == 2 && 'abc'.charAt(1) == 'b'",
    "'a-b-c'.split('-') == ['a', 'b', 'c'] && 'a-b-c'.split('-', 2) == ['a', 'b-c'] && 'ab'.split('') == ['a', 'b']",
    "['a', 'b'].join('+') == 'a+b' && 'aaa'.replace('a', 'b', 2) == 'bba' && ' x '.trim() == 'x'",
    "'Ab'.lowerAscii() == 'ab' && 'Ab'.upperAscii() == 'AB' && 'abc'.contains('bc') && 'abc'.endsWith('c')",
    "'abab'.lastIndexOf('ab') == 2 && 'abab'.indexOf('ab', 1) == 2 && 'abc'.reverse() == 'cba'",
    "'abc'.matches('^a.c$') && matches('abc', 'b') && !'abc'.matches('^b')",
    "'%s is %d, %.2f, %x, %e %%'.format(['a', 7, 1.5, 255, 1234.5]) == 'a is 7, 1.50, ff, 1.234500e+03 %'",
    "'%s'.format([[1, 'a', {'b': 2.5}]]) == '[1, a, {b: 2.5}]'",
    "int('12') == 12 && int(1.9) == 1 && uint(3) == 3u && double('1.5') == 1.5 && string(1.0) == '1' && bool('true')",
    "string(true) == 'true' && string(b'ab') == 'ab' && bytes('ab') == b'ab' && string(18446744073709551615u) == '18446744073709551615'",
    "timestamp('2020-01-01T00:00:00Z') + duration('1h30m') == timestamp('2020-01-01T01:30:00Z')",
    "int(timestamp('1970-01-01T00:01:00Z')) == 60 && string(duration('90m')) == '5400s' && duration('-1s') < duration('0s')",
    "base64.encode(b'hello') == 'aGVsbG8=' && base64.decode('aGVsbG8') == b'hello'",
    "math.sqrt(16) == 4.0 && math.abs(-3) == 3 && math.floor(1.5) == 1.0 && math.round(-1.5) == -2.0 && math.trunc(-1.5) == -1.0",
    "math.max(1, 3, 2) == 3 && math.min([1.5, 0.5]) == 0.5 && math.greatest(1, 2.5) == 2.5 && math.ceil(1.2) == 2.0",
    "math.abs(math.sin(math.radians(30)) - 0.5) < 1e-9 && math.degrees(math.pi) == 180.0 && math.atan2(1, 1) == math.pi / 4.0",
    "math.isNaN(math.sqrt(-1.0)) && [3, 1, 2].sort() == [1, 2, 3] && [1, 1, 2].distinct() == [1, 2] && [1, 2].sum() == 3",
    "lists.range(3) == [0, 1, 2] && [1, 2, 3].slice(1, 2) == [2]",
    "random() >= 0.0 && random() < 1.0 && random() != random()",
    "type(1) == int && type('a') == string && type(type(1)) == type && type(null) == null_type && dyn(1) == 1",
    "null == null && dyn(1) != null && b'a' + b'b' == b'ab' && [1] + [2] == [1, 2] && 'b' > 'a' && true > false",
    "'a' in {'a': 1} && !(2 in [1]) && 1.0 in [1]",
    "r'\\d' == '\\\\d' && '''a'b''' == \"a'b\" && '\\u00e9' == 'é'",
];

#[test]
fn the_language_is_what_it_is_elsewhere() {
    for text in ELSEWHERE {
        assert_eq!(value(text), Ok(true.into()), "{text}");
    }
    assert_eq!(value("{'b': 1, 'a': 2}.map(k, k) == ['a', 'b']"), Ok(true.into()), "keys come in their order");
}

#[test]
fn the_parsers_own_evaluation_agrees() {
    let mut env = cel::Env::stdlib();
    for extend in [cel::extensions::strings, cel::extensions::math, cel::extensions::lists] {
        env.add_extension(extend).unwrap();
    }
    let context = cel::Context::with_env(std::sync::Arc::new(env));
    let parser = || cel::Env::stdlib().parser();
    let mut agreed = 0;
    // Each part on its own; what is only ours is an error there.
    for part in ELSEWHERE.iter().flat_map(|text| text.split(" && ")) {
        // Theirs makes a double of the whole number first, and so rounds it.
        let rounded = part.starts_with("9007199254740993");
        let Some(tree) = parser().parse(part).ok().filter(|_| !rounded) else { continue };
        if let Ok(theirs) = cel::Value::resolve(&tree, &context) {
            agreed += 1;
            assert_eq!(theirs, cel::Value::Bool(true), "{part}");
        }
    }
    assert!(agreed >= 75, "they agree on {agreed}");
}

#[test]
fn what_goes_wrong_in_a_call_is_told_without_values() {
    for (text, words) in [
        ("1 / 0", "division by zero"),
        ("1u % 0u", "division by zero"),
        ("9223372036854775807 + 1", "out of its type's range"),
        ("-(-9223372036854775807 - 1)", "out of its type's range"),
        ("int(1e300)", "out of its type's range"),
        ("uint(-1)", "out of its type's range"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "out of its type's range"),
        ("{'a': 1}['secret']", "a map has no such key"),
        ("{'a': 1}.b", "there is no `b`"),
        ("[1][1]", "an index is out of range"),
        ("[1][-1]", "an index is out of range"),
        ("'abc'.substring(4)", "an index is out of range"),
        ("'abc'.substring(2, 1)", "an index is out of range"),
        ("int('secret')", "`int` is given a text that is no whole number"),
        ("timestamp('secret')", "`timestamp` is given a text"),
        ("state + 1", "`+` is not for null_type and int"),
        ("state.a", "`.a` is not for null_type"),
        ("state ? 1 : 2", "`?:` is not for null_type"),
        ("request.placed.getHours('Nowhere/Else')", "knows no such zone"),
        ("{dyn('a'): 1, 'a': 2}", "a map is given one key twice"),
        ("'%d'.format(['secret'])", "`format` is not for string"),
        ("[dyn(1), 'a'].sort()", "`<` is not for"),
        ("[1.0, double('NaN'), 0.5].sort()", "`sort` is given a number that is none"),
        ("word", "`word` has no value here"),
    ] {
        let failed = value(text).unwrap_err();
        assert!(failed.to_string().contains(words), "{text}: {failed}");
        assert!(!failed.to_string().contains("secret"), "{text}: {failed}");
        assert_eq!(failed.code(), tonic::Code::Internal);
    }
}

#[test]
fn one_message_is_another_if_every_field_is_and_nan_is_nan() {
    let same = |a: &serde_json::Value, b: &serde_json::Value| super::super::same(&message(a), &message(b));
    let nan = json!({"price": "NaN", "weight": "NaN", "rates": {"1": "NaN"}, "first": {"name": "x"}, "anything": 1});
    assert!(same(&nan, &nan), "as when messages are compared in tests");
    assert!(same(&json!({"name": "", "tags": []}), &json!({})), "an empty field without presence is an unset one");
    for (a, b) in [
        (json!({"price": "NaN"}), json!({"price": 1})),
        (json!({"price": "NaN"}), json!({})),
        (json!({"note": ""}), json!({})),
        (json!({"first": {}}), json!({})),
        (json!({"first": {"parts": [{"name": "a"}]}}), json!({"first": {"parts": [{"name": "b"}]}})),
        (json!({"stock": {"a": 1}}), json!({"stock": {"b": 1}})),
        (json!({"tags": ["a", "b"]}), json!({"tags": ["b", "a"]})),
        (json!({"word": "1"}), json!({"number": 1})),
    ] {
        assert!(same(&a, &a) && same(&b, &b), "{a} {b}");
        assert!(!same(&a, &b) && !same(&b, &a), "{a} {b}");
    }
    assert_eq!(value("double('NaN') == double('NaN')"), Ok(false.into()), "in an expression it equals nothing");
}

#[test]
fn values_are_measured() {
    let list = Value::from(vec!["four".into(), Value::of_message(message(&json!({"name": "Ann"})))]);
    let notes = Value::from(super::super::Fields::from([("1,2".into(), list.clone())]));
    assert!(notes.size_bytes() > list.size_bytes() && list.size_bytes() > 4 + 3);
    assert!(notes.items("append").is_err() && list.fields("at").is_err());
}

#[test]
fn names_may_be_bound_in_any_order_and_in_layers() {
    let request = message(&json!({"name": "a"}));
    let expression = Expression::compile("request.name + word", &scope()).unwrap();
    let outer = Names::default().value("word", "outer").message("request", &request);
    assert_eq!(expression.evaluate(&outer), Ok("aouter".into()));
    let inner = outer.inner().value("word", "inner");
    assert_eq!(expression.evaluate(&inner), Ok("ainner".into()));
}

#[test]
fn a_value_can_be_kept_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    anywhere::<Value>();
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Expression>();
}
