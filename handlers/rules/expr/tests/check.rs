//! What the check tells before anything is served.

use super::*;

/// Every problem with the words it has to have.
fn tells(cases: &[(&str, &[&str])]) {
    for (text, words) in cases {
        let problem = problem(text);
        for word in *words {
            assert!(problem.contains(word), "`{text}` says: {problem}\nand not: {word}");
        }
    }
}

#[test]
fn a_misspelt_name_or_field_is_told_with_what_was_meant() {
    tells(&[
        (
            "reqest.name",
            &[
                "nothing is called `reqest` here",
                "(from `reqest.name`)",
                "did you mean `request`?",
                "names: now, request, state, word",
            ],
        ),
        ("request.nmae == ''", &["`shop.Order` has no field `nmae`", "did you mean `name`?", "(from `nmae == ''`)"]),
        ("request.first.price", &["`shop.Item` has no field `price`", "fields: name, parts, price_cents"]),
        ("request.longName", &["did you mean `long_name`?"]),
        ("request.items[0].nam", &["`shop.Item` has no field `nam`"]),
        ("request.items.all(i, i.nmae == '')", &["`shop.Item` has no field `nmae`"]),
        ("request.shelves[1].nmae", &["`shop.Item` has no field `nmae`"]),
        ("has(request.nmae)", &["did you mean `name`?"]),
        (
            "request.color == shop.Color.RAD",
            &["`shop.Color` has no value `RAD`", "did you mean `RED`?", "values: BLUE, NONE, RED"],
        ),
        ("request.color == RED", &["nothing is called `RED`", "an enum's value is written in full: `shop.Color.RED`"]),
        ("Color.RED == 1", &["nothing is called `Color`", "written in full: `shop.Color."]),
        ("request.color == 'blue'", &["an int and a string are never equal", "written in full: `shop.Color.BLUE`"]),
        ("  request\n  .  nmae", &["has no field `nmae`", "(from `nmae`)"]),
        ("'é' + request.nmae", &["(from `nmae`)"]),
        ("=request.nmae", &["has no field `nmae`", "(from `nmae`)"]),
        ("request.name.length", &["a string has no fields, and so no `length`"]),
        ("request.tags.all(t, tt == '')", &["nothing is called `tt`", "did you mean `t`?"]),
    ]);
}

#[test]
fn a_wrong_type_is_told_with_how_to_make_it_right() {
    tells(&[
        (
            "request.name + request.count",
            &["`+` is not for a string and an int", "`string(…)`", "(from `+ request.count`)"],
        ),
        ("request.name == 1", &["a string and an int are never equal", "`string(…)`"]),
        ("request.price + 1", &["`+` is not for a double and an int", "`double(…)`"]),
        ("request.count + request.size", &["an int and a uint", "`1u` is a uint"]),
        ("request.name < 1", &["`<` cannot compare a string and an int"]),
        ("request.first < request.first", &["`<` cannot compare"]),
        ("!request.count", &["`!` takes a bool, and this is an int"]),
        ("request.name && true", &["`&&` takes a bool"]),
        ("request.name ? 1 : 2", &["`? :` takes a bool"]),
        ("-request.name", &["`-` turns a number round"]),
        ("1 in request.tags", &["an int is never in a list(string)"]),
        ("1 in request.stock", &["an int is never in a map(string, int)"]),
        ("1 in request.name", &["`in` looks into lists and maps, and this is a string"]),
        ("request.tags['a']", &["a list is read by number, and this is a string"]),
        ("request.stock[1]", &["the map's keys are of type string, and this is an int"]),
        ("request.count[1]", &["an int has no entries"]),
        ("request.count.map(x, x)", &["`map` goes over lists and maps, and this is an int"]),
        ("request.tags.filter(t, t)", &["`filter` takes a bool, and this is a string"]),
        ("request.tags.map(t, t + 1)", &["`+` is not for a string and an int"]),
        ("request.tags == 'a'", &["a list(string) and a string are never equal"]),
        ("{1.5: 2}", &["a double cannot be the key of a map"]),
        ("request.placed + 1", &["`+` is not for a timestamp and an int"]),
        ("5.0 % 2.0", &["`%` is not for a double and a double"]),
    ]);
}

#[test]
fn a_function_that_is_not_there_or_not_for_this_is_told() {
    tells(&[
        ("sise(request.name)", &["there is no function `sise`", "did you mean `size`?", "(from `sise(request.name)`)"]),
        (
            "request.name.startWith('a')",
            &["there is no method `startWith`", "did you mean `startsWith`?", "(from `startWith('a')`)"],
        ),
        ("request.tags.fliter(t, true)", &["did you mean `filter`?"]),
        ("math.sqr(2.0)", &["there is no function `math.sqr`", "did you mean `math.sqrt`?"]),
        ("math.pie", &["there is no `math.pie`"]),
        ("startsWith(request.name, 'a')", &["`startsWith` is not called so", "`string.startsWith(string)`"]),
        ("request.name.int()", &["`int` is not called so", "`int(string)`"]),
        ("request.name.startsWith()", &["`startsWith` takes 1 values, and 0 are given"]),
        ("request.name.substring(1, 2, 3)", &["`substring` takes 1 or 2 values, and 3 are given"]),
        ("request.name.startsWith(1)", &["`startsWith` is not for string.startsWith(int)"]),
        ("math.sqrt('a')", &["`math.sqrt` is not for (string)", "`math.sqrt(number)`"]),
        ("request.count.size()", &["`size` is not for int.size()"]),
        ("size", &["`size` is a function, and is not called here"]),
        ("has(request)", &["`has` takes one field", "`has(request.name)`"]),
        ("request.tags.map(t)", &["`map` takes a name for each item"]),
        ("request.tags.map(1, 2)", &["this is none"]),
        ("request.name.matches('(')", &["the pattern cannot be read"]),
        ("shop.Order{name: 'a'}", &["makes a message, which an expression does not do"]),
    ]);
}

#[test]
fn what_cannot_be_read_is_told_with_where() {
    tells(&[
        ("", &["there is no expression after the `=`"]),
        ("1 +", &["cannot be read: it ends too early", "(from ``)"]),
        ("request.name == 'a", &["cannot be read", "without its closing quote"]),
        ("1 + + 2", &["cannot be read"]),
        ("(1 + 2", &["it ends too early"]),
        ("1 2", &["`2` is not expected", "(from `2`)"]),
        ("request.?name", &["cannot be read"]),
        ("for", &["reserved identifier: for"]),
    ]);
}

#[test]
fn what_is_too_long_or_too_deep_is_told() {
    let long = format!("'{}'", "a".repeat(4 << 10));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let chain = vec!["1"; 500].join(" + ");
    tells(&[
        (&long, &["the expression is 4098 bytes long", "at most 4096 bytes"]),
        (&deep, &["nests"]),
        (&chain, &["nests 500 deep", "at most 100"]),
        (&format!("request{}", ".parent".repeat(400)), &["nests 401 deep"]),
        ("[1].map(a, [1].map(b, [1].map(c, [1].map(d, d))))", &["more than 3 loops within each other"]),
    ]);
}

#[test]
fn what_an_expression_gives_is_known() {
    for (text, gives) in [
        ("request.name", "string"),
        ("request.color", "int"),
        ("request.items", "list(shop.Item)"),
        ("request.items.map(i, i.name)", "list(string)"),
        ("request.items.filter(i, i.price_cents > 3)[0].name", "string"),
        ("request.stock", "map(string, int)"),
        ("request.stock.a + 1", "int"),
        ("request.shelves.map(k, k)", "list(int)"),
        ("request.placed + request.lasts", "timestamp"),
        ("request.placed - now", "duration"),
        ("request.extra.a.b", "dyn"),
        ("request.title", "dyn"),
        ("request.paid ? 1 : 2", "int"),
        ("request.paid ? 1 : 'a'", "dyn"),
        ("state.a.b[1]", "dyn"),
        ("state.a + 1", "int"),
        ("now - state.since", "dyn"),
        ("math.max(1, 2)", "int"),
        ("math.max(1, 2.0)", "dyn"),
        ("math.abs(state.x)", "dyn"),
        ("'a,b'.split(',')", "list(string)"),
        ("{'a': 1}", "map(string, int)"),
        ("[1, 'a']", "list"),
        ("shop.Color.RED", "int"),
        ("math.pi", "double"),
        ("random()", "double"),
    ] {
        assert_eq!(Expression::compile(text, &scope()).unwrap().gives().to_string(), gives, "{text}");
    }
}

#[test]
fn an_expression_knows_which_names_it_reads() {
    let expression = Expression::compile("request.tags.exists(now, now == word)", &scope()).unwrap();
    let reads = |name| expression.reads(name);
    assert!(reads("request") && reads("word"));
    assert!(!reads("now") && !reads("state"));
}
