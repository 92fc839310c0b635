//! The kind `rules`: what rules do beyond the examples, and what is said of
//! those that cannot be.

mod call;
mod state;

use serde_json::json;

use crate::examples::{answers, refusal};
use crate::support::client::{Client, point};
use crate::support::tools::run_with;
use crate::support::wire::{Outcome, call, exchange, framed};
use crate::support::{Ostler, Starter, binary, start, stdout};

const PLAY: &str = r#"syntax = "proto3";
package play;
service Play {
  rpc One(Note) returns (Note);
  rpc Many(Note) returns (stream Note);
  rpc Collect(stream Note) returns (Note);
  rpc Talk(stream Note) returns (stream Note);
}
message Note { string text = 1; int32 number = 2; repeated string words = 3; double score = 4; }
"#;

fn yaml(rules: &str) -> String {
    format!("services:\n  play.Play:\n    schema: play.proto\n    handler:\n      rules:\n{rules}")
}

fn play(rules: &str) -> Ostler {
    Starter::default().file("play.proto", PLAY).start(&yaml(rules))
}

fn texts(host: &Ostler, method: &str, requests: &str) -> Vec<String> {
    let answers = answers(host, &format!("play.Play/{method}"), requests);
    answers.iter().map(|answer| answer["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_first_rule_that_fits_is_what_happens_and_where_none_does_that_is_said() {
    let host = play(
        "        One:\n          - when: request.number > 10\n            reply: { text: large }\n          \
         - when: request.number > 5\n            reply: { text: middling }\n",
    );
    assert_eq!(texts(&host, "One", r#"{"number": 11}"#), ["large"]);
    assert_eq!(texts(&host, "One", r#"{"number": 6}"#), ["middling"]);
    let none = refusal(&host, "play.Play/One", r#"{"number": 1}"#);
    assert!(none.contains("UNIMPLEMENTED") && none.contains("no rule of One fits"), "{none}");
    let without = refusal(&host, "play.Play/Many", "{}");
    assert!(without.contains("UNIMPLEMENTED") && without.contains("there are no rules for Many"), "{without}");
}

#[test]
fn replies_come_one_after_the_other_for_each_item_and_over_again() {
    let host = play(
        "        Many:\n          - when: request.text == 'several'\n            replies: [{ text: a }, { text: b }]\n          \
         - when: request.text == 'each'\n            each: request.words\n            reply: { text: '=item' }\n          \
         - when: request.text == 'all'\n            each: request.words\n            replies: [{ text: '=item' }, { text: '=item + \"!\"' }]\n            \
         repeat: { times: 2, every: 1ms }\n          \
         - replies: [{ text: '=string(turn)' }]\n            repeat: { times: 3 }\n            \
         fail: { code: ABORTED, message: enough }\n",
    );
    assert_eq!(texts(&host, "Many", r#"{"text": "several"}"#), ["a", "b"]);
    assert_eq!(texts(&host, "Many", r#"{"text": "each", "words": ["x", "y"]}"#), ["x", "y"]);
    assert_eq!(texts(&host, "Many", r#"{"text": "each"}"#), Vec::<String>::new(), "none for nothing");
    assert_eq!(
        texts(&host, "Many", r#"{"text": "all", "words": ["x", "y"]}"#),
        ["x", "x!", "y", "y!", "x", "x!", "y", "y!"]
    );
    let mut call = std::process::Command::new(binary());
    let output = run_with(call.args(["call", "--address", host.address(), "play.Play/Many"]), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("ABORTED"), "replies, and then a status");
}

#[test]
fn a_stream_has_a_beginning_messages_and_an_end() {
    let host = play(
        "        state: { heard: { start: [] } }\n        Talk:\n          on_start:\n            - reply: { text: welcome }\n          \
         on_message:\n            - when: request.text == 'quit'\n              reply: { text: bye }\n              end: true\n            \
         - change: { heard: { append: '=request.text' } }\n              when: request.text != ''\n              \
         reply: { text: '=\"heard \" + request.text', number: '=number' }\n          \
         on_end:\n            - reply: { words: '=heard', text: end }\n        \
         Collect:\n          on_message:\n            - when: request.text == 'stop'\n              reply: { text: early }\n            \
         - change: { heard: { append: '=request.text' } }\n          on_end:\n            - reply: { words: '=heard' }\n",
    );
    let talked = answers(&host, "play.Play/Talk", r#"{"text": "a"} {} {"text": "b"}"#);
    assert_eq!(
        talked,
        [
            json!({ "text": "welcome" }),
            json!({ "text": "heard a", "number": 1 }),
            json!({ "text": "heard b", "number": 3 }),
            json!({ "text": "end", "words": ["a", "b"] }),
        ]
    );
    assert_eq!(texts(&host, "Talk", r#"{"text": "quit"} {"text": "more"}"#), ["welcome", "bye"]);
    assert_eq!(answers(&host, "play.Play/Collect", r#"{"text": "a"} {"text": "b"}"#), [json!({ "words": ["a", "b"] })]);
    assert_eq!(texts(&host, "Collect", r#"{"text": "a"} {"text": "stop"}"#), ["early"]);
}

#[test]
fn headers_trailers_and_explanations_are_metadata() {
    let host = play(
        "        explain: true\n        One:\n          - name: large\n            when: request.number > 10\n            reply: {}\n          \
         - reply: { text: '=metadata[\"who\"]' }\n            headers: { from: '=peer.address', data-bin: AAEC }\n            \
         trailers: { took: '=string(number)' }\n",
    );
    let mut call = std::process::Command::new(binary());
    let args = ["call", "--address", host.address(), "-H", "who: me", "--headers", "play.Play/One", "{}"];
    let output = run_with(call.args(args), "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    for words in [
        "\"me\"",
        "from: 127.0.0.1",
        "data-bin: AAEC",
        "took: 1",
        "ostler-rule: large: not `request.number > 10`; One[1] answers (hit 1)",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_message_may_be_held_against_what_the_rule_works_out() {
    let host = play(
        "        One:\n          - let: { due: '\"x\" + \"y\"' }\n            is: { text: '=due' }\n            reply: { text: fits }\n          \
         - reply: { text: does not }\n",
    );
    assert_eq!(texts(&host, "One", r#"{"text": "xy"}"#), ["fits"], "`is` may use what `let` has");
    assert_eq!(texts(&host, "One", r#"{"text": "x"}"#), ["does not"]);
}

/// One message for one goes a way of its own, and compressed ones go that of streams.
#[tokio::test]
async fn a_unary_answer_is_the_same_whichever_way_its_request_was_read() {
    let host = play(
        "        One:\n          - when: request.number == 1\n            fail: { code: ABORTED, message: no, \
         details: [{ '@type': google.rpc.ErrorInfo, reason: x }] }\n            trailers: { took: long }\n          \
         - when: request.number == 2\n            delay: 1ms\n            fail: { code: INTERNAL, message: later }\n          \
         - reply: { text: '=metadata[\"who\"]' }\n            headers: { seen: 'yes', data-bin: AAEC }\n            \
         trailers: { took: '=string(number)' }\n",
    );
    let mut told = Vec::new();
    for message in [&b""[..], &[0x10, 1], &[0x10, 2], &[0x10, 3, 0x0a, 1, b'x'], &[0xff]] {
        let request = || call("GetFeature").uri("http://ostler/play.Play/One").header("who", "me");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, message).unwrap();
        let gzipped = framed(1, &gzip.finish().unwrap());
        let streamed = exchange(host.address(), request().header("grpc-encoding", "gzip"), &[gzipped], true).await;
        // In one piece, and byte by byte.
        let whole = framed(0, message);
        let bytes: Vec<_> = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
        for pieces in [vec![whole], bytes] {
            let direct = exchange(host.address(), request(), &pieces, true).await;
            let of = |outcome: &Outcome| {
                let mut metadata = outcome.headers.clone();
                metadata.extend(outcome.trailers.clone());
                let named = |name: &str| metadata.get(name).cloned();
                let names = ["grpc-status", "grpc-message", "grpc-status-details-bin", "seen", "data-bin", "took"];
                (outcome.http, outcome.body.clone(), names.map(named))
            };
            assert_eq!(of(&direct), of(&streamed), "{message:?}");
        }
        told.push(streamed.status());
    }
    assert_eq!(told, [Some(0), Some(10), Some(13), Some(0), Some(13)]);
}

#[test]
fn a_rule_that_would_take_for_ever_is_ended() {
    let host = play(
        "        steps: 10000\n        One:\n          - reply:\n              \
         number: '=request.words.filter(a, request.words.exists(b, request.words.exists(c, a + b == c))).size()'\n",
    );
    let words: Vec<String> = (0..1000).map(|word| word.to_string()).collect();
    let told = refusal(&host, "play.Play/One", &json!({ "words": words }).to_string());
    assert!(told.contains("RESOURCE_EXHAUSTED") && told.contains("more steps"), "{told}");
    assert_eq!(texts(&host, "One", r#"{"words": ["a", "b"]}"#), [""]);
}

#[tokio::test]
async fn one_method_of_any_service_can_be_overridden() {
    let host = start(
        "services:\n  routeguide.RouteGuide:\n    handler: route_guide\n    methods:\n      GetFeature:\n        rules:\n          \
         - when: request.latitude == 0\n            reply: { name: The equator, location: '=request' }\n          \
         - fail: { code: NOT_FOUND, message: nothing but the equator }\n",
    );
    let mut client = Client::connect(host.address()).await;
    assert_eq!(client.get_feature(point(0, 7)).await.unwrap().name, "The equator");
    assert_eq!(client.get_feature(point(1, 7)).await.unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(client.record_route(vec![point(0, 0)]).await.unwrap().point_count, 1, "the others are as they were");
}

#[test]
fn a_table_is_watched_as_its_configuration_is() {
    let rules = "        tables: { rows: { file: rows.json, key: row.id } }\n        One:\n          \
                 - reply: { text: '=request.text in rows ? rows[request.text].says : \"nothing\"' }\n";
    let rows = json!([{ "id": "a", "says": "first" }, { "id": "a", "says": "never" }]).to_string();
    let starter = Starter::default().file("play.proto", PLAY).file("rows.json", &rows);
    let host = starter.start(&format!("reload: {{ settle: 20ms }}\n{}", yaml(rules)));
    assert_eq!(texts(&host, "One", r#"{"text": "a"}"#), ["first"]);
    assert_eq!(texts(&host, "One", r#"{"text": "b"}"#), ["nothing"]);
    let mark = host.mark();
    std::fs::write(host.folder().join("rows.json"), rows.replace("first", "changed")).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(texts(&host, "One", r#"{"text": "a"}"#), ["changed"]);
}

#[test]
fn show_prints_rules_as_they_are_meant() {
    let host = play("        One:\n          - reply: { text: hi }\n");
    let file = host.file();
    let shown = stdout(&crate::support::ostler(&["show", file.to_str().unwrap()]));
    assert!(
        shown.contains("schema: \"play.proto\"") && shown.contains("One: [{\"reply\":{\"text\":\"hi\"}}]"),
        "{shown}"
    );
    // Those of one method of another kind's service are a list.
    let host = Starter::default().start(
        "services:\n  routeguide.RouteGuide:\n    handler: route_guide\n    methods: { GetFeature: { rules: [{ reply: { name: hi } }] } }\n",
    );
    let shown = stdout(&crate::support::ostler(&["show", host.file().to_str().unwrap()]));
    assert!(shown.contains("        rules: [{\"reply\":{\"name\":\"hi\"}}]  "), "{shown}");
}

#[test]
fn a_rule_s_names_are_worked_out_where_it_fits_and_metadata_of_a_failure_arrive() {
    let host = play(
        "        tables: { rows: { inline: [{ id: a, says: known }], key: row.id } }\n        One:\n          \
         - let: { row: 'rows[request.text]' }\n            when: request.text in rows\n            reply: { text: '=row.says' }\n          \
         - when: request.text == 'long'\n            reply: '=request'\n          \
         - fail: { code: NOT_FOUND, message: nobody }\n            headers: { ahead: of all }\n            trailers: { after: all }\n",
    );
    assert_eq!(texts(&host, "One", r#"{"text": "a"}"#), ["known"]);
    let mut call = std::process::Command::new(binary());
    let output = run_with(call.args(["call", "--address", host.address(), "--headers", "play.Play/One", "{}"]), "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in ["NOT_FOUND", "ahead: of all", "after: all"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    // The largest message a host takes can be copied.
    let words: Vec<String> = (0..400).map(|_| "x".repeat(10_000)).collect();
    let echoed = answers(&host, "play.Play/One", &json!({ "text": "long", "words": words }).to_string());
    assert_eq!(echoed[0]["words"].as_array().unwrap().len(), 400);
}

#[test]
fn nan_is_nan_to_a_rule_for_one_message() {
    let host = play(
        "        One:\n          - is: { score: NaN }\n            reply: { text: is }\n          \
         - when: request.score != request.score\n            reply: { text: equals nothing }\n          \
         - reply: { text: a number }\n",
    );
    assert_eq!(texts(&host, "One", r#"{"score": "NaN"}"#), ["is"]);
    assert_eq!(texts(&host, "One", r#"{"score": "NaN", "number": 1}"#), ["equals nothing"]);
    assert_eq!(texts(&host, "One", "{}"), ["a number"]);
}

#[test]
fn whatever_of_a_rule_cannot_be_worked_out_is_told_with_its_name() {
    let rules: String = ["headers: { h: '=V' }", "trailers: { t: '=V' }", "trailers: { t-bin: '=request.words' }"]
        .map(|metadata| (metadata, "reply: {}"))
        .into_iter()
        .chain([("delay: 0s", "fail: { code: ABORTED, message: '=V' }")])
        .enumerate()
        .map(|(number, (one, other))| {
            let one = one.replace("V", "request.words[0]");
            let other = other.replace("V", "request.words[0]");
            format!("          - name: rule-{number}\n            when: request.number == {number}\n            {one}\n            {other}\n")
        })
        .collect();
    let host = play(&format!("        One:\n{rules}"));
    for (number, why) in [(0, "index is out"), (1, "index is out"), (2, "`t-bin` is bytes"), (3, "index is out")] {
        let told = refusal(&host, "play.Play/One", &json!({ "number": number }).to_string());
        let words = format!("the rule rule-{number} cannot be worked out: ");
        assert!(told.contains("INTERNAL") && told.contains(&words) && told.contains(why), "{told}");
    }
    let told = refusal(&host, "play.Play/One", r#"{"words": ["ü"]}"#);
    assert!(told.contains("the rule rule-0 cannot") && told.contains("`h` would hold more than printable"), "{told}");
}
