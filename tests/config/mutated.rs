//! Thousands of files that are nearly right: whatever an editor, a merge or a
//! cat on the keyboard makes of the shipped one, it is read or refused, and
//! every problem is somewhere in the file.

use ostler::config::{BUILT_IN, Document, Problems, Shape};
use ostler::handlers::standard;
use serde_json::Value;

const VARIANTS: usize = 4_000;

/// Marsaglia's xorshift: the same variants on every machine and every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

const TOKENS: [&str; 36] = [
    ":",
    ": ",
    "- ",
    "-",
    "\n",
    "\n\n",
    "\t",
    "  ",
    "#",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "|",
    ">",
    "&a",
    "*a",
    "<<: *a",
    "!!str",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "? ",
    "~",
    "no",
    "0123",
    ".nan",
    "1e999",
    "${",
    "${HOME}",
    "$${",
    "\u{feff}",
    "é",
    "\0",
];

/// A text with one thing done to it.
fn mutate(text: &str, dice: &mut Dice) -> String {
    let at = text.floor_char_boundary(dice.below(text.len() + 1));
    let (before, after) = text.split_at(at);
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(7) {
        0 => before.to_owned(),
        1 => before.chars().chain(after.chars().skip(1 + dice.below(8))).collect(),
        2 | 3 => format!("{before}{}{after}", TOKENS[dice.below(TOKENS.len())]),
        4 => {
            lines.swap(one, other);
            lines.concat()
        }
        5 => {
            lines.insert(one, lines[other]);
            lines.concat()
        }
        _ => {
            lines.remove(one);
            lines.concat()
        }
    }
}

/// A few things done, one after the other.
fn variants() -> impl Iterator<Item = String> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    (0..VARIANTS).map(move |_| {
        let times = 1 + dice.below(4);
        (0..times).fold(BUILT_IN.to_owned(), |text, _| if text.is_empty() { text } else { mutate(&text, &mut dice) })
    })
}

fn assert_within(problems: &Problems, text: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Lines as an editor counts them.
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in problems.iter() {
        let place = problem.place().unwrap_or_else(|| panic!("no place: {problem}\n{text}"));
        let line = lines.get(place.line - 1).unwrap_or_else(|| panic!("beyond the end: {problem}\n{text}"));
        assert!(place.column <= line.chars().count() + 1, "beyond the line: {problem}\n{text}");
    }
    assert!(!problems.draw(&annotate_snippets::Renderer::plain()).is_empty());
}

#[test]
fn a_file_that_is_nearly_right_is_read_or_refused_at_a_place_in_it() {
    let registry = standard();
    let (mut taken, mut refused, mut several) = (0, 0, 0);
    for text in variants() {
        let env = |name: &str| (name == "HOME").then(|| "home".to_owned());
        let document = Document::parse("ostler.yaml", &text, std::path::Path::new("."), &env);
        match document.and_then(|document| registry.plan(&document)) {
            Ok(_) => taken += 1,
            Err(problems) => {
                assert_within(&problems, &text);
                refused += 1;
                several += usize::from(problems.iter().count() > 1);
            }
        }
    }
    // The dice reach all outcomes, or this shows less than it says.
    assert!(
        taken > 100 && refused > 1_000 && several > 100,
        "{taken} taken, {refused} refused, {several} for several reasons"
    );
}

#[test]
fn what_is_taken_means_the_same_to_another_reader() {
    let mut compared = 0;
    for text in variants() {
        // The other reader has no variables, and knows neither tabs on empty lines nor a `...` before the text.
        if ["${", "\t", "..."].iter().any(|beyond| text.contains(beyond)) {
            continue;
        }
        let Ok(document) = Document::parse("ostler.yaml", &text, std::path::Path::new("."), &|_| None) else {
            continue;
        };
        if document.problems.is_empty() {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let mut other: Value = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            other.as_object_mut().unwrap().remove("services");
            let other: Shape = serde_json::from_value(other).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let [ours, theirs] = [&document.shape, &other].map(|shape| serde_json::to_value(shape).unwrap());
            assert_eq!(ours, theirs, "{text}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} compared");
}
