//! What rules remember: how long, how much, and all of a rule's changes or none.

use serde_json::json;

use super::{PLAY, answers, play, refusal, yaml};
use crate::support::tools::run_with;
use crate::support::{Ostler, Starter, binary};

#[test]
fn what_a_service_remembers_outlives_a_reload_and_what_a_stream_does_not_its_call() {
    let rules = "        state:\n          all: { start: 0, scope: service }\n          own: { start: 0 }\n        One:\n          \
                 - change: { all: { add: '=request.number' }, own: { add: 1 } }\n            \
                 reply: { number: '=all', text: '=string(own)' }\n";
    let host = play(rules);
    let count = |host: &Ostler| answers(host, "play.Play/One", r#"{"number": 5}"#)[0].clone();
    assert_eq!(count(&host), json!({ "number": 5, "text": "1" }));
    assert_eq!(count(&host), json!({ "number": 10, "text": "1" }));
    assert!(host.reload(&yaml(&rules.replace("string(own)", "string(own) + \".\""))));
    assert_eq!(count(&host), json!({ "number": 15, "text": "1." }));
}

#[test]
fn state_is_bounded_and_says_so() {
    let host = play(
        "        state:\n          few: { start: [], entries: 2, scope: service }\n          \
         last: { start: [], entries: 2, full: drop_oldest, scope: service }\n          \
         places: { start: {}, entries: 2, each: 2, full: drop_oldest, scope: service }\n          \
         small: { start: '', size: 200B, scope: service }\n        One:\n          \
         - when: request.text == 'few'\n            change: { few: { append: x } }\n            reply: {}\n          \
         - when: request.text == 'last'\n            change: { last: { append: '=string(request.number)' } }\n            reply: { words: '=last' }\n          \
         - when: request.text == 'small'\n            change: { small: { set: '=small + \"0123456789\"' } }\n            reply: {}\n          \
         - change: { places: { at: request.text, append: '=string(request.number)' } }\n            \
         reply: { words: '=places[request.text]' }\n",
    );
    let one = |request: &str| answers(&host, "play.Play/One", request)[0].clone();
    one(r#"{"text": "few"}"#);
    one(r#"{"text": "few"}"#);
    let full = refusal(&host, "play.Play/One", r#"{"text": "few"}"#);
    assert!(full.contains("RESOURCE_EXHAUSTED") && full.contains("the state `few` is full"), "{full}");
    for number in 1..=3 {
        let words = one(&format!(r#"{{"text": "last", "number": {number}}}"#));
        assert_eq!(words["words"].as_array().unwrap().len(), number.min(2));
        one(&format!(r#"{{"text": "here", "number": {number}}}"#));
    }
    assert_eq!(one(r#"{"text": "last", "number": 4}"#)["words"], json!(["3", "4"]));
    assert_eq!(one(r#"{"text": "here", "number": 4}"#)["words"], json!(["3", "4"]));
    one(r#"{"text": "there"}"#);
    assert!(refusal(&host, "play.Play/One", r#"{"text": "elsewhere"}"#).contains("`places` is full"));
    let grown = (0..100).map_while(|_| {
        let mut call = std::process::Command::new(binary());
        let args = ["call", "--address", host.address(), "play.Play/One", r#"{"text": "small"}"#];
        run_with(call.args(args), "").status.success().then_some(())
    });
    assert!((1..20).contains(&grown.count()), "a text does not grow for ever");
}

#[test]
fn the_changes_of_one_rule_are_all_made_or_none() {
    let host = play(
        "        state:\n          first: { start: 0, scope: service }\n          \
         few: { start: [], entries: 1, scope: service }\n          last: { start: {}, scope: service }\n        Talk:\n          \
         - when: request.text == 'look'\n            reply: { number: '=first', words: '=few', text: '=string(size(last))' }\n          \
         - change:\n              first: { add: 1 }\n              \
         few: { append: '=request.text' }\n              last: { at: request.text, set: '=request.words[request.number]' }\n            \
         reply: {}\n",
    );
    let look = |before: &str| {
        let told = refusal(&host, "play.Play/Talk", before);
        (told, answers(&host, "play.Play/Talk", r#"{"text": "look"}"#)[0].clone())
    };
    let untouched = json!({ "text": "0" });
    let (told, state) = look(r#"{"text": "a", "words": ["x"], "number": 1}"#);
    assert!(told.contains("an index is out of range"), "{told}");
    assert_eq!(state, untouched, "an expression of the last failed");
    answers(&host, "play.Play/Talk", r#"{"text": "a", "words": ["x"]}"#);
    let (told, state) = look(r#"{"text": "b", "words": ["y"]}"#);
    assert!(told.contains("RESOURCE_EXHAUSTED") && told.contains("the state `few` is full"), "{told}");
    assert!(told.contains("the rule Talk[1] cannot be worked out"), "{told}");
    assert_eq!(state, json!({ "number": 1, "words": ["a"], "text": "1" }), "there was no room for one of them");
}

#[test]
fn a_refused_reload_takes_nothing_along_that_is_remembered() {
    let rules = |state: &str| {
        format!(
            "        state: {{ {state}: {{ start: 0, scope: service }} }}\n        One:\n          \
         - change: {{ {state}: {{ add: 1 }} }}\n            reply: {{ number: '={state}' }}\n"
        )
    };
    let host = play(&rules("count"));
    let count = || answers(&host, "play.Play/One", "{}")[0]["number"].clone();
    assert_eq!(count(), 1);
    let other = yaml(&rules("renamed"));
    assert!(!host.reload(&format!("{other}  a.Missing:\n    handler: {{ rules: {{}} }}\n")));
    assert_eq!(count(), 2, "what another service was refused for is no reason to forget");
    assert!(host.reload(&other));
    assert_eq!(count(), 1);
    assert!(host.reload(&yaml(&rules("count"))));
    assert_eq!(count(), 1, "what no configuration declares is forgotten");
}

#[test]
fn headers_see_what_a_rule_changes_and_where_they_cannot_be_nothing_was_changed() {
    let host = play(
        "        explain: true\n        state:\n          hits: { start: {}, scope: service }\n          \
         last: { start: [], entries: 1, full: drop_oldest, scope: service }\n        One:\n          \
         - when: request.text == 'look'\n            reply: { number: '=size(hits)', words: '=last' }\n          \
         - name: counts\n            change: { hits: { at: request.text, add: 1 }, last: { append: '=request.text' } }\n            \
         headers: { x-hits: '=string(hits[request.text])', x-word: '=request.words[size(last) - 1]' }\n            \
         reply: { number: '=hits[request.text]' }\n",
    );
    let told = |request: &str| {
        let mut call = std::process::Command::new(binary());
        let args = ["call", "--address", host.address(), "--headers", "play.Play/One", request];
        String::from_utf8(run_with(call.args(args), "").stderr).unwrap()
    };
    let request = r#"{"text": "a", "words": ["x"]}"#;
    assert!(told(request).contains("x-hits: 1"));
    for text in ["a", "b"] {
        let told = told(&json!({ "text": text }).to_string());
        assert!(told.contains("INTERNAL") && told.contains("the rule counts cannot be worked out: an index"), "{told}");
        assert!(told.contains("not `request.text == 'look'`; counts cannot be worked out: an index"), "{told}");
    }
    let look = answers(&host, "play.Play/One", r#"{"text": "look"}"#);
    assert_eq!(look, [json!({ "number": 1, "words": ["a"] })], "as it was before");
    assert_eq!(answers(&host, "play.Play/One", request), [json!({ "number": 2 })]);
}

#[test]
fn a_state_whose_start_is_of_another_type_begins_anew_and_the_log_says_so() {
    let rules = |start: &str, change: &str, reply: &str| {
        yaml(&format!(
            "        state: {{ n: {{ start: {start}, scope: service }} }}\n        One:\n          \
             - change: {{ n: {change} }}\n            reply: {reply}\n"
        ))
    };
    let numbers = rules("0", "{ add: 1 }", "{ number: '=n' }");
    let by_key = rules("{}", "{ at: request.text, add: 1 }", "{ number: '=n[request.text]' }");
    let host = Starter::default().file("play.proto", PLAY).start(&numbers);
    let one = || answers(&host, "play.Play/One", r#"{"text": "a"}"#)[0].clone();
    assert_eq!((one(), one()), (json!({ "number": 1 }), json!({ "number": 2 })));
    assert!(!host.reload(&format!("{by_key}  a.Missing:\n    handler: {{ rules: {{}} }}\n")));
    assert_eq!(one(), json!({ "number": 3 }), "a refused configuration takes nothing along");
    let mark = host.mark();
    assert!(host.reload(&by_key));
    let told =
        host.wait_for(mark, "a state begins anew: it starts as a map, and what is remembered started as a number");
    assert_eq!((&told["state"], &told["service"]), (&json!("n"), &json!("play.Play")));
    assert_eq!((one(), one()), (json!({ "number": 1 }), json!({ "number": 2 })));
}
