//! What rules know of a call beside its messages, and what is said of one that
//! could not be worked out.

use serde_json::json;

use super::{answers, play, refusal, texts};
use crate::support::binary;
use crate::support::tools::run_with;
use crate::support::wire::{call, exchange, framed};

#[tokio::test]
async fn metadata_are_texts_joined_by_name_and_bytes_where_their_name_says_so() {
    let host = play(
        "        One:\n          - when: \"'x-bin' in metadata\"\n            \
         reply: { text: \"=metadata['who']\", score: \"=double(size(metadata['x-bin']))\" }\n            \
         headers: { back-bin: \"=metadata['x-bin']\" }\n",
    );
    let request = call("GetFeature").uri("http://ostler/play.Play/One");
    let request = request.header("who", "me").header("x-bin", "AAEC").header("who", "you").header("x-bin", "AA");
    let outcome = exchange(host.address(), request, &[framed(0, b"")], true).await;
    assert_eq!(outcome.status(), Some(0), "{outcome:?}");
    assert_eq!(outcome.headers["back-bin"], "AAEC", "the first of two");
    let text = b"\x0a\x07me, you";
    assert_eq!(&outcome.body[5..5 + text.len()], text);
}

#[test]
fn metadata_that_are_not_there_are_told_by_name() {
    let host = play("        One:\n          - reply: { text: \"=metadata['authorization']\" }\n");
    let told = refusal(&host, "play.Play/One", "{}");
    assert!(told.contains("INTERNAL") && told.contains("there is no `authorization`"), "{told}");
}

#[test]
fn a_stream_in_which_nothing_was_to_be_explained_ends_without_a_word() {
    let host = play("        explain: true\n        Talk:\n          - reply: {}\n");
    let mut call = std::process::Command::new(binary());
    let args = ["call", "--address", host.address(), "--headers", "play.Play/Talk", "{}"];
    let told = String::from_utf8(run_with(call.args(args), "").stderr).unwrap();
    assert!(told.contains("Talk[0] answers (hit 1)") && !told.contains("no rule fits"), "{told}");
}

#[test]
fn a_rule_that_cannot_be_worked_out_is_the_operator_s_to_know() {
    let host = play(
        "        One:\n          - name: thirds\n            when: request.text == ''\n            \
         reply: { number: '=3 / request.number' }\n          \
         - name: words\n            reply: { text: '=request.words[0]' }\n",
    );
    assert_eq!(answers(&host, "play.Play/One", r#"{"number": 1}"#), [json!({ "number": 3 })]);
    let first = host.mark();
    let told = refusal(&host, "play.Play/One", "{}");
    assert!(told.contains("INTERNAL") && told.contains("the rule thirds cannot be worked out"), "{told}");
    assert_eq!(texts(&host, "One", r#"{"text": "a", "words": ["b"]}"#), ["b"]);
    host.wait_for(first, "a rule cannot be worked out");
    let second = host.mark();
    refusal(&host, "play.Play/One", r#"{"text": "a"}"#);
    for (mark, rule) in [(first, "thirds"), (second, "words")] {
        let told = host.wait_for(mark, "a rule cannot be worked out");
        assert_eq!(["service", "method", "rule"].map(|field| told[field].clone()), ["play.Play", "One", rule]);
    }
}
