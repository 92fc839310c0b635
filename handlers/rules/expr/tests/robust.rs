//! No text makes the parser, the check or the evaluation panic.

use serde_json::json;

use super::*;

const SEEDS: &[&str] = &[
    "request.name == '' && request.items.all(i, i.name.startsWith(\"a\"))",
    "[1, 2u, 3.5e2, b'x', r'y', true, null].map(x, has(request.first) ? x : -x)",
    "{'a': state.b[0].c, 1: \"%s %d\".format([request.count, 7])}.a",
    "math.max(1, 2) in request.colors || timestamp('2020-01-01T00:00:00Z') + duration('1s') > now",
    "shop.Color.RED == request.color ? '''x''' : \"\"\"y\"\"\" + '\\u00e9\\n\\x41'",
    "request.shelves[4].parts.filter(p, p.price_cents % 3 == 1).exists_one(p, !(p.name in request.tags))",
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

#[test]
fn mangled_expressions_are_refused_or_worked_out() {
    let pieces = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        "?",
        ":",
        "'",
        "\"",
        "\\",
        "!",
        "-",
        "+",
        "==",
        "&&",
        "||",
        "%",
        "/",
        "in",
        "0",
        "-9223372036854775808",
        "18446744073709551615u",
        "1e400",
        "0x",
        "0xffffffffffffffffff",
        "é",
        "\u{1F600}",
        "\0",
        "\n",
        "//",
        "`",
        "`a`",
        "request",
        "state",
        "has(",
        ".map(x,",
        "null",
        "b'",
        "'''",
        "r\"",
        "{}",
        "[?",
        ".?",
        "?",
        "@",
        "$",
    ];
    let request = message(&json!({"name": "a", "items": [{"name": "b"}], "stock": {"a": 1}}));
    let state = Value::from(&json!({"b": [{"c": 1}]}));
    let mut dice = Dice(7);
    let (mut read, mut rounds) = (0, 0);
    let start = std::time::Instant::now();
    while rounds < 3_000 && start.elapsed().as_secs() < 20 {
        rounds += 1;
        let mut text: Vec<char> = SEEDS[dice.throw(SEEDS.len())].chars().collect();
        for _ in 0..=dice.throw(4) {
            let at = dice.throw(text.len() + 1);
            match dice.throw(4) {
                0 => drop(text.splice(at..at, pieces[dice.throw(pieces.len())].chars())),
                1 => drop(text.drain(at..(at + dice.throw(8)).min(text.len()))),
                2 => {
                    let other: Vec<char> = SEEDS[dice.throw(SEEDS.len())].chars().collect();
                    let from = dice.throw(other.len());
                    text.splice(at..at, other[from..(from + dice.throw(20)).min(other.len())].iter().copied());
                }
                _ => text.truncate(at.max(1)),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(expression) = Expression::compile(&text, &scope()) {
            read += 1;
            let _ = expression.evaluate(&Names::default().message("request", &request).lent("state", &state));
        }
    }
    assert!(read > 10, "some of them can be read: {read} of {rounds}");
}

#[test]
fn no_nesting_overflows_a_stack() {
    let deep = |open: &str, middle: &str, close: &str| {
        let times = 4_090 / (open.len() + close.len()).max(1);
        format!("{}{middle}{}", open.repeat(times), close.repeat(times))
    };
    for text in [
        deep("(", "1", ")"),
        deep("[", "1", "]"),
        deep("{1:", "1", "}"),
        deep("!", "true", ""),
        deep("-", "1", ""),
        deep("f(", "1", ")"),
        deep("(", "", ""),
        deep("a?b:", "c", ""),
        deep("", "a", ".b"),
        deep("", "a", "[0]"),
        deep("", "1", "+1"),
        deep("", "true", "&&true"),
        deep("", "a", ".f()"),
        deep("[1].map(x,", "1", ")"),
        deep("a.b(", "c", ")"),
        deep("'", "", ""),
    ] {
        let _ = Expression::compile(&text, &scope());
    }
}

#[test]
fn mangled_times_and_spans_are_refused_or_read() {
    let pieces = ["-", "+", ":", ".", "T", "Z", "9", "0", "99999999999999999999", "é", " ", "e", "s", "h", "/", "\0"];
    let seeds = ["2020-02-29T12:34:56.789Z", "0001-01-01T00:00:00+23:59", "1h30m5.25s", "-0.000000001s"];
    let mut dice = Dice(11);
    for _ in 0..20_000 {
        let mut text: Vec<char> = seeds[dice.throw(seeds.len())].chars().collect();
        for _ in 0..=dice.throw(3) {
            let at = dice.throw(text.len() + 1);
            let end = (at + dice.throw(3)).min(text.len());
            text.splice(at..end, pieces[dice.throw(pieces.len())].chars());
        }
        let text: String = text.into_iter().collect();
        if let Some(time) = crate::handlers::rules::expr::Timestamp::parse(&text) {
            time.calendar(86_399);
        }
        let _ = crate::handlers::rules::expr::Duration::parse(&text);
    }
}
