//! JSON as it stands in a file of rules, where a text that starts with `=` is an
//! expression and `${` begins a variable.

use serde_json::Value as Json;

/// As deep as a rule may go: a configuration has a depth of its own.
const DEEPEST: usize = 48;
/// YAML's longest key is of 1024 characters, with its quotes.
const LONGEST_KEY_BYTES: usize = 500;

/// A text that stands for itself wherever rules take texts.
pub(super) fn literal(text: &str) -> String {
    let text = match text.starts_with('=') {
        true => format!("='{}'", quoted(text)),
        false => text.to_owned(),
    };
    // Of `$${` the reader of configurations makes `${`.
    text.replace("${", "$${")
}

/// As an expression has it between single quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted
}

/// Makes every text in it stand for itself, and counts its values; nothing
/// where rules cannot say it.
pub(super) fn literals(json: &mut Json) -> Option<usize> {
    fn walk(json: &mut Json, depth: usize) -> Option<usize> {
        let below = depth.checked_sub(1)?;
        let mut values = 1;
        match json {
            Json::String(text) => *text = literal(text),
            Json::Array(items) => {
                for item in items {
                    values += walk(item, below)?;
                }
            }
            Json::Object(entries) => {
                for (key, value) in entries {
                    // Variables do not stand in keys, and extensions not in rules.
                    if key.contains("${") || key.starts_with('[') || key.len() > LONGEST_KEY_BYTES {
                        return None;
                    }
                    values += walk(value, below)?;
                }
            }
            _ => {}
        }
        Some(values)
    }
    walk(json, DEEPEST)
}

/// One line that is JSON and YAML alike: YAML takes no characters that cannot be
/// printed.
pub(super) fn line(json: &Json) -> String {
    let text = json.to_string();
    if text.chars().all(is_printed) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_printed(c) {
            true => line.push(c),
            // All of these stand in quotes, and none is above U+FFFF.
            false => line.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    line
}

fn is_printed(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_would_be_an_expression_or_a_variable_is_written_as_text() {
        assert_eq!(literal("a = b"), "a = b");
        assert_eq!(literal("=it's\\\n"), r"='=it\'s\\\u000a'");
        assert_eq!(literal("a $${B}"), "a $$${B}");
        let mut json = json!({ "a": ["=x", { "b": "${HOME}" }] });
        assert_eq!(literals(&mut json), Some(5));
        assert_eq!(json, json!({ "a": ["='=x'", { "b": "$${HOME}" }] }));
    }

    #[test]
    fn what_rules_cannot_say_is_left_out() {
        assert_eq!(literals(&mut json!({ "${A}": 1 })), None);
        assert_eq!(literals(&mut json!({ "[a.extension]": 1 })), None);
        let deep = (0..DEEPEST).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(literals(&mut deep.clone()), None);
    }

    #[test]
    fn a_line_has_nothing_in_it_that_yaml_would_not_take() {
        assert_eq!(line(&json!("a\n\u{7f}\u{85}\u{2028}ü")), r#""a\n\u007f\u0085\u2028ü""#);
    }
}
