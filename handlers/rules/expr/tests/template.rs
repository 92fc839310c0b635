//! What templates make of trees, and what they tell of them.

use prost_reflect::{Kind, MapKey, Value as Proto};
use serde_json::{Value as Json, json};

use super::*;
use crate::handlers::rules::expr::Template;

fn template(tree: &Json) -> Template {
    Template::compile(tree, &order(), &scope()).unwrap_or_else(|problems| panic!("{tree}: {problems}"))
}

/// The message a tree becomes over a request and a state.
fn fill(tree: &Json, request: &DynamicMessage, state: &Value) -> Result<DynamicMessage, Failed> {
    template(tree).fill(&Names::default().message("request", request).lent("state", state))
}

fn nothing() -> DynamicMessage {
    DynamicMessage::new(order())
}

/// A tree with expressions, and the one without that it has to equal.
fn fills(request: &Json, state: &Json, tree: &Json, expected: &Json) {
    let filled = fill(tree, &message(request), &Value::from(state)).unwrap_or_else(|failed| panic!("{tree}: {failed}"));
    same(&filled, &message(expected));
}

/// By what their fields hold, and told in the text format: the debug words of a
/// message that holds others of its type have no end.
fn same(a: &DynamicMessage, b: &DynamicMessage) {
    assert!(Value::of_message(a.clone()) == Value::of_message(b.clone()), "{a}\nis not\n{b}");
}

/// Every problem of a tree, a line each.
fn problems(tree: &Json) -> Vec<String> {
    match Template::compile(tree, &order(), &scope()) {
        Ok(_) => panic!("{tree} is fine"),
        Err(problems) => problems.iter().map(crate::config::Problem::words).collect(),
    }
}

#[test]
fn expressions_stand_for_values_of_every_kind() {
    let request = json!({
        "name": "Ann", "count": 3, "serial": "18446744073709551615", "price": 2.0, "photo": "AAE=", "color": "RED",
        "first": {"name": "nut"}, "items": [{"name": "a"}, {"name": "b"}], "tags": ["x"], "stock": {"k": 1},
        "placed": "2020-01-01T00:00:00Z", "lasts": "1.5s", "extra": {"a": [1, null]}, "title": "t",
        "any": {"@type": "type.googleapis.com/shop.Item", "name": "packed"},
    });
    fills(
        &request,
        &json!({}),
        &json!({
            "name": "='Hello, ' + request.name", "count": "=request.price", "total": "=request.count * 2", "size": "=7",
            "serial": "=request.serial", "weight": "=request.count", "price": "=request.serial", "paid": "=request.count == 3",
            "photo": "=request.photo", "color": "=request.color", "first": "=request.items[1]", "items": "=request.items",
            "tags": "=request.items.map(i, i.name)", "colors": ["=request.color", "BLUE", 0, "='RED'"],
            "stock": "=request.stock", "shelves": {"1": "=request.first", "2": {"name": "=request.name"}},
            "flags": {"true": "=request.name"}, "rates": "={7u: 1, 8u: 2.5}",
            "placed": "=request.placed + request.lasts", "lasts": "=duration('2s')", "extra": "=request.extra",
            "anything": "=request.tags", "list": ["=1", {"a": "=request.name"}], "title": "=request.title", "bonus": "=5",
            "thing": "={'name': 'made', 'priceCents': 4}", "any": "=request.first", "parent": {"any": "=request.any"},
            "times": ["=request.placed", "2021-01-01T00:00:00Z"],
        }),
        &json!({
            "name": "Hello, Ann", "count": 2, "total": "6", "size": 7, "serial": "18446744073709551615", "weight": 3.0,
            "price": 18446744073709551615.0, "paid": true, "photo": "AAE=", "color": "RED", "first": {"name": "b"},
            "items": [{"name": "a"}, {"name": "b"}], "tags": ["a", "b"], "colors": ["RED", "BLUE", "NONE", "RED"],
            "stock": {"k": 1}, "shelves": {"1": {"name": "nut"}, "2": {"name": "Ann"}}, "flags": {"true": "Ann"},
            "rates": {"7": 1.0, "8": 2.5}, "placed": "2020-01-01T00:00:01.500Z", "lasts": "2s", "extra": {"a": [1, null]},
            "anything": ["x"], "list": [1, {"a": "Ann"}], "title": "t", "bonus": "5",
            "thing": {"name": "made", "priceCents": 4}, "any": {"@type": "type.googleapis.com/shop.Item", "name": "nut"},
            "parent": {"any": {"@type": "type.googleapis.com/shop.Item", "name": "packed"}},
            "times": ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"],
        }),
    );
}

#[test]
fn rows_of_tables_fill_messages_as_json_does() {
    let row = json!({
        "name": "row", "total": "9007199254740993", "color": "BLUE", "photo": "AAE=", "placed": "2020-01-01T00:00:00Z",
        "items": [{"name": "a", "priceCents": 1}, {"name": "b", "price_cents": 2}], "stock": {"k": 1}, "extra": {"a": {"b": 1}},
        "price": "NaN", "title": null,
    });
    let expected = json!({
        "name": "row", "total": "9007199254740993", "color": "BLUE", "photo": "AAE=", "placed": "2020-01-01T00:00:00Z",
        "items": [{"name": "a", "priceCents": 1}, {"name": "b", "priceCents": 2}], "stock": {"k": 1}, "extra": {"a": {"b": 1}},
        "price": 1.5,
    });
    let state = Value::from(&json!({"row": row}));
    let mut filled = fill(&json!("=state.row"), &nothing(), &state).unwrap();
    assert!(filled.get_field_by_name("price").unwrap().as_f64().unwrap().is_nan());
    filled.set_field_by_name("price", Proto::F64(1.5));
    same(&filled, &message(&expected));
}

#[test]
fn a_whole_message_passes_through() {
    let request = message(&json!({"name": "a", "parent": {"name": "b"}}));
    same(&fill(&json!("=request"), &request, &Value::Null).unwrap(), &request);
    let parent = fill(&json!({"parent": "=request.parent"}), &request, &Value::Null).unwrap();
    same(&parent, &message(&json!({"parent": {"name": "b"}})));
    let state = Value::of_message(request.clone());
    let parent = fill(&json!({"parent": "=state"}), &nothing(), &state).unwrap();
    same(&parent, &message(&json!({"parent": {"name": "a", "parent": {"name": "b"}}})));
    // The same type, of a schema that was loaded another time.
    let theirs = DynamicMessage::new(pool().get_message_by_name("shop.Order").unwrap());
    assert!(fill(&json!("=state"), &nothing(), &Value::of_message(theirs)).is_ok());
}

#[test]
fn null_leaves_a_field_as_it_was() {
    fills(
        &json!({}),
        &json!({}),
        &json!({"name": null, "first": "=null", "anything": null}),
        &json!({"anything": null}),
    )
}

#[test]
fn null_leaves_a_field_as_it_was_in_a_call() {
    let state = json!({"note": null, "rank": 0});
    fills(
        &json!({}),
        &state,
        &json!({"note": "=state.note", "rank": "=state.rank", "title": "=request.title"}),
        &json!({"rank": 0}),
    );
}

#[test]
fn a_template_without_expressions_is_ready() {
    let tree = json!({"name": "a", "items": [{"name": "b"}], "any": {"@type": "shop.Item", "name": "c"}, "mask": "name,longName"});
    assert!(!template(&tree).reads("request"));
    assert_eq!(fill(&tree, &nothing(), &Value::Null).unwrap().get_field_by_name("name").unwrap().as_str(), Some("a"));
    assert!(template(&json!({"extra": {"a": ["=request.name"]}})).reads("request"));
    assert!(template(&json!({"any": {"@type": "shop.Item", "name": "=word"}})).reads("word"));
}

#[test]
fn every_problem_is_told_at_its_place() {
    let told = problems(&json!({
        "nmae": "a", "count": "three", "items": [{"name": 1}, {"prise_cents": 2}, "=request.tags"], "color": "RAD",
        "stock": {"k": "=request.name"}, "shelves": {"x": {}}, "word": "a", "number": 1, "photo": "%%%", "placed": "yesterday",
        "name": "=request.nmae", "any": {"@type": "shop.Itm"}, "size": -1, "paid": "=request.name", "tags": "=request.name",
        "extra": {"a": {"b": ["=oops"]}}, "long_name": "a", "longName": "b", "first": 5, "price": "x", "parent": {"count": 1.5},
        "total": "=request.first", "bonus": "x", "lasts": 5, "flags": [], "note": "=1", "blob": "=request.name",
    }));
    let expected = [
        ("`shop.Order` has no field `nmae` (at nmae)", "did you mean `name`?"),
        ("an int32 is due here, and this is a string (at count)", ""),
        ("a string is due here, and this is a number (at items[0].name)", "in quotes"),
        ("`shop.Item` has no field `prise_cents` (at items[1].prise_cents)", "did you mean `price_cents`?"),
        ("a `shop.Item` is due here, and this is a list(string) (at items[2])", ""),
        ("`shop.Color` has no value `RAD` (at color)", "did you mean `RED`?"),
        ("an int32 is due here, and this is a string (at stock.k)", "`int(…)`"),
        ("an int32 is due as a key, and `x` is none (at shelves.x)", ""),
        ("`number` and `word` cannot both be set: they are members of `choice` (at number)", ""),
        ("this is no base64 (at photo)", ""),
        ("this is no `google.protobuf.Timestamp` (at placed)", "2020-01-01T00:00:00Z"),
        ("`shop.Order` has no field `nmae` (at name)", "did you mean `name`?"),
        ("the schema has no message `shop.Itm` (at any.\"@type\")", "did you mean `shop.Item`?"),
        ("the number is out of range: a uint32 is due here (at size)", ""),
        ("a bool is due here, and this is a string (at paid)", "`bool(…)`"),
        ("a list of string is due here, and this is a string (at tags)", "`[…]`"),
        ("nothing is called `oops` here (at extra.a.b[0])", ""),
        ("`longName` and `long_name` are one field (at longName)", ""),
        ("a `shop.Item` is due here, and this is a number (at first)", ""),
        ("a double is due here, and this is a string (at price)", ""),
        ("an int32 is due here, and this is a fraction (at parent.count)", ""),
        ("an int64 is due here, and this is a message `shop.Item` (at total)", ""),
        ("an int64 is due here, and this is a string (at bonus)", ""),
        ("a `google.protobuf.Duration` is due here, and this is a number (at lasts)", ""),
        ("a map of bool to string is due here, and this is a list (at flags)", ""),
        ("a string is due here, and this is an int (at note)", "`string(…)`"),
        ("a `google.protobuf.BytesValue` is due here, and this is a string (at blob)", ""),
    ];
    for (words, help) in expected {
        assert!(
            told.iter().any(|told| told.starts_with(words) && told.contains(help)),
            "{words}\nis not among\n{}",
            told.join("\n")
        );
    }
    assert_eq!(told.len(), expected.len(), "{}", told.join("\n"));
}

#[test]
fn a_message_has_what_its_type_requires() {
    let lacking = json!({"thing_of_old": {"name": "a"}});
    assert_eq!(problems(&lacking), ["`old.Thing` requires `must` (at thing_of_old)"]);
    let misspelt = problems(&json!({"thing_of_old": {"mist": "a"}}));
    assert!(misspelt.len() == 1 && misspelt[0].contains("has no field `mist`"), "{misspelt:?}");
    template(&json!({"thing_of_old": {"must": "=request.name"}}));
}

#[test]
fn what_does_not_fit_in_a_call_is_told_by_field() {
    for (tree, state, words) in [
        (
            json!({"count": "=state"}),
            json!(2147483648_u64),
            "`shop.Order.count` is an int32, and is given a number that is none",
        ),
        (json!({"count": "=state"}), json!(1.5), "`shop.Order.count` is an int32, and is given a fraction"),
        (json!({"count": "=state"}), json!(true), "`shop.Order.count` is an int32, and is given bool"),
        (json!({"size": "=-1"}), json!(null), "`shop.Order.size` is a uint32, and is given a number that is none"),
        (json!({"serial": "=1e30"}), json!(null), "`shop.Order.serial` is a uint64"),
        (json!({"weight": "=1e300"}), json!(null), "`shop.Order.weight` is a float"),
        (json!({"name": "=state"}), json!(1), "`shop.Order.name` is a string, and is given int"),
        (
            json!({"color": "=state"}),
            json!("RAD"),
            "`shop.Order.color` is given a name that `shop.Color` does not have",
        ),
        (json!({"tags": "=state"}), json!(["a", null]), "`shop.Order.tags` is given null among its values"),
        (
            json!({"items": "=state"}),
            json!([{"nmae": 1}]),
            "`shop.Order.items` is a `shop.Item`, and is given a field that it does not have",
        ),
        (json!({"stock": "=state"}), json!([]), "`shop.Order.stock` is a map of string to int32, and is given list"),
        (json!({"placed": "=state"}), json!("x"), "is given a text that is no `google.protobuf.Timestamp`"),
        (json!("=state"), json!(null), "`shop.Order` has to be a message"),
        (json!({"parent": "=state"}), json!(7), "`shop.Order.parent` is a `shop.Order`, and is given int"),
    ] {
        let failed = fill(&tree, &nothing(), &Value::from(&state)).unwrap_err().to_string();
        assert!(failed.contains(words), "{tree}: {failed}");
    }
}

#[test]
fn a_fill_has_one_budget_and_an_end() {
    let tree = json!({"tags": vec!["=string(lists.range(1000).size())"; 100]});
    let filled = template(&tree);
    assert!(filled.fill(&Names::default()).is_ok());
    assert!(matches!(filled.fill(&Names::default().steps(50_000)), Err(Failed::Budget)));
    let mut state = Value::of_message(nothing());
    let refused = (0..500).find_map(|_| match fill(&json!({"parent": "=state"}), &nothing(), &state) {
        Ok(message) => {
            state = Value::of_message(message);
            None
        }
        Err(failed) => Some(failed),
    });
    assert_eq!(refused, Some(Failed::TooDeep));
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn text(&mut self) -> String {
        (0..self.throw(6)).map(|_| ['a', 'é', '"', '\n', '\u{1F600}', '='][self.throw(5) as usize]).collect()
    }

    fn value(&mut self, kind: &Kind, depth: u64) -> Proto {
        let number = [0, 1, -1, 7, i64::MAX, i64::MIN, 2_147_483_647][self.throw(7) as usize];
        match kind {
            Kind::Bool => Proto::Bool(self.throw(2) == 1),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Proto::I32(number as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Proto::I64(number),
            Kind::Uint32 | Kind::Fixed32 => Proto::U32(number as u32),
            Kind::Uint64 | Kind::Fixed64 => Proto::U64(number as u64),
            Kind::Float => Proto::F32([0.0, 1.5, -0.1, f32::MAX, f32::INFINITY][self.throw(5) as usize]),
            Kind::Double => Proto::F64([0.0, 1.5, -0.1, f64::MAX, f64::NEG_INFINITY][self.throw(5) as usize]),
            Kind::String => Proto::String(self.text()),
            Kind::Bytes => Proto::Bytes(self.text().into_bytes().into()),
            Kind::Enum(of) => Proto::EnumNumber(if of.name() == "Color" { self.throw(3) as i32 } else { 0 }),
            Kind::Message(of) => Proto::Message(self.message(of, depth)),
        }
    }

    fn message(&mut self, of: &MessageDescriptor, depth: u64) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        match of.full_name() {
            "google.protobuf.Any" => {
                return message_of(of, &json!({"@type": "type.googleapis.com/shop.Item", "name": self.text()}));
            }
            // What is not finite is written as null in one of these.
            "google.protobuf.DoubleValue" => return message_of(of, &json!(-0.5)),
            "google.protobuf.FieldMask" => return message_of(of, &json!("name,longName")),
            "google.protobuf.Value" => {
                let choice = json!([null, 1.5, self.text(), {"a": [true]}]);
                return message_of(of, &choice[self.throw(4) as usize]);
            }
            "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
                message.set_field_by_name("seconds", Proto::I64(self.throw(9_999_999_999) as i64));
                message.set_field_by_name("nanos", Proto::I32(self.throw(1_000) as i32 * 1_000));
                return message;
            }
            _ => {}
        }
        for field in of.fields() {
            if depth == 0 && matches!(field.kind(), Kind::Message(_)) || (!field.is_required() && self.throw(3) == 0) {
                continue;
            }
            let kind = field.kind();
            let value = if field.is_map() {
                let entry = kind.as_message().unwrap();
                let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
                let entries = (0..self.throw(3)).map(|_| {
                    (self.value(&key, 0).into_map_key().unwrap(), self.value(&value, depth.saturating_sub(1)))
                });
                Proto::Map(entries.collect::<std::collections::HashMap<MapKey, Proto>>())
            } else if field.is_list() {
                Proto::List((0..self.throw(3)).map(|_| self.value(&kind, depth.saturating_sub(1))).collect())
            } else {
                self.value(&kind, depth.saturating_sub(1))
            };
            message.set_field(&field, value);
        }
        message
    }
}

fn message_of(of: &MessageDescriptor, json: &Json) -> DynamicMessage {
    DynamicMessage::deserialize(of.clone(), json).unwrap()
}

#[test]
fn a_messages_own_json_gives_the_message_back() {
    let mut dice = Dice(3);
    for _ in 0..300 {
        let message = dice.message(&order(), 2);
        let tree = serde_json::to_value(&message).unwrap();
        let filled = fill(&tree, &nothing(), &Value::Null).unwrap_or_else(|failed| panic!("{tree}: {failed}"));
        let (a, b) = (Value::of_message(filled.clone()), Value::of_message(message.clone()));
        assert!(a == b, "{tree}\n{message}\n{filled}");
        // And once more, out of a table.
        let state = Value::from(&tree);
        if !tree.to_string().contains("@type") && !tree.to_string().contains("mask") {
            let filled = fill(&json!("=state"), &nothing(), &state).unwrap_or_else(|failed| panic!("{tree}: {failed}"));
            assert!(Value::of_message(filled) == b, "{tree}");
        }
    }
}
