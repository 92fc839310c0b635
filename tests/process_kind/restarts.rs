//! A command that ends is told of at once and comes back by itself.

use std::time::{Duration, Instant};

use tonic::Code;

use super::{SERVICE, answers, host, itself, kill, lives, parent, probe, shell, started, until, yaml};
use crate::support::client::{Client, note, point, world};

#[tokio::test(flavor = "multi_thread")]
async fn all_four_kinds_of_call_go_through_it_message_by_message() {
    let host = host(&yaml(&itself(), ""));
    let mut client = Client::connect(host.address()).await;
    assert_eq!(client.get_feature(point(515_083_333, -1_252_778)).await.unwrap().name, "London, GB");
    assert!(client.list_features(world()).await.unwrap().len() > 100);
    assert_eq!(client.record_route(vec![point(1, 1), point(2, 2)]).await.unwrap().point_count, 2);
    let (notes, mut replies) = client.route_chat().await.unwrap();
    for message in ["ping", "pong"] {
        notes.send(note(1, 2, message)).await.unwrap();
        // The answer comes while the call is open.
        assert!(replies.message().await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_ends_its_calls_and_comes_back() {
    let host = host(&yaml(&itself(), ""));
    let first = started(&host, 0);
    let mut client = Client::connect(host.address()).await;
    let (notes, mut replies) = client.route_chat().await.unwrap();
    notes.send(note(1, 2, "a")).await.unwrap();
    assert_eq!(probe(&host), Some(0));

    let mark = host.mark();
    let since = Instant::now();
    kill("KILL", first);
    let status = loop {
        match replies.message().await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    host.wait_for(mark, "was ended by signal 9; it is started again");
    println!("killed: its call ended, and its end was told after {} ms", since.elapsed().as_millis());
    assert!(since.elapsed() < Duration::from_secs(1));

    answers(&mut client).await;
    until("it serves again", || probe(&host) == Some(0));
    let second = started(&host, mark);
    assert!(second != first && lives(second));
    println!("killed: answered again after {} ms", since.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_killed_takes_its_command_with_it_and_both_come_back() {
    let host = host(&yaml(&itself(), ""));
    let first = started(&host, 0);
    let mark = host.mark();
    // As the system signals that the thread which started it has ended; the host has not.
    kill("USR1", parent(first));
    assert_eq!(probe(&host), Some(0));
    assert!(lives(first));
    kill("KILL", parent(first));
    until("the command goes with its guard", || !lives(first));
    host.wait_for(mark, "was ended with its guard; it is started again");
    assert_ne!(started(&host, mark), first);
    let mut client = Client::connect(host.address()).await;
    answers(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_down_is_told_at_once_by_calls_and_health() {
    // Up once, and never again.
    let once = shell("test -e up && exit 7; touch up; exec $OSTLER run child.yaml");
    let host = host(&yaml(&once, ""));
    let mark = host.mark();
    let since = Instant::now();
    kill("KILL", started(&host, 0));
    until("health says so", || probe(&host) == Some(4));
    println!("killed: health said so after {} ms", since.elapsed().as_millis());
    assert!(since.elapsed() < Duration::from_secs(1));
    let mut client = Client::connect(host.address()).await;
    let since = Instant::now();
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with(&format!("{SERVICE} is down: ")), "{status:?}");

    // Each wait is about twice the one before.
    let mut waits = Vec::new();
    let mut from = mark;
    for _ in 0..4 {
        from = host.wait_for_line(from, "it is started again") + 1;
        let line = host.log().lines().nth(from - 1).unwrap().to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let wait = line["wait"].as_str().unwrap().trim_end_matches("ms").parse::<u64>().unwrap();
        waits.push(wait);
    }
    println!("waits: {waits:?} ms");
    for (number, wait) in waits.iter().enumerate() {
        let due = 100 << number;
        assert!((due * 3 / 4..=due * 5 / 4).contains(wait), "{waits:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_it_comes_back_is_the_operators_word() {
    // An end with code 0 is none to mend, but where it says always.
    let ends_well = shell("$OSTLER run child.yaml & trap 'kill $!; wait; exit 0' TERM; wait $!; wait");
    let on_failure = host(&yaml(&ends_well, ""));
    let mark = on_failure.mark();
    kill("TERM", started(&on_failure, 0));
    on_failure.wait_for(mark, "exited with code 0; it stays down until a reload");
    assert_eq!(probe(&on_failure), Some(4));

    let always = host(&yaml(&ends_well, ", restart: always"));
    let mark = always.mark();
    kill("TERM", started(&always, 0));
    always.wait_for(mark, "exited with code 0; it is started again");
    started(&always, mark);

    let never = host(&yaml(&itself(), ", restart: never"));
    let mark = never.mark();
    kill("KILL", started(&never, 0));
    never.wait_for(mark, "was ended by signal 9; it stays down until a reload");
    never.signal("HUP");
    let again = started(&never, mark);
    until("it serves again", || probe(&never) == Some(0));
    assert!(lives(again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_while_the_rest_of_an_ended_command_still_goes_starts_it_again() {
    let lingers = shell("(trap '' TERM; while :; do sleep 1; done) & exec $OSTLER run child.yaml");
    let host = host(&yaml(&lingers, ", restart: never, stop_within: 3s"));
    let mark = host.mark();
    kill("KILL", started(&host, 0));
    until("health says so", || probe(&host) == Some(4));
    host.signal("HUP");
    host.wait_for(mark, "reloaded");
    host.wait_for(mark, "it stays down until a reload");
    assert!(lives(started(&host, mark)));
    until("it serves again", || probe(&host) == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_lives_and_does_not_answer_is_started_anew() {
    let deaf = shell("$OSTLER run child.yaml & echo $! > serves; trap '' CHLD; while :; do sleep 1; done");
    let host = host(&yaml(&deaf, ", start_within: 2s"));
    let mark = host.mark();
    let serves: u32 = std::fs::read_to_string(host.folder().join("serves")).unwrap().trim().parse().unwrap();
    kill("KILL", serves);
    until("health says so", || probe(&host) == Some(4));
    host.wait_for(mark, "did not serve within 2s");
    until("it serves again", || probe(&host) == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_says_of_its_health_is_said_of_the_service() {
    let host = crate::support::Starter::default()
        .file("child.yaml", &super::CHILD.replace("drain: 500ms", "lame_duck: 1h"))
        .start(&yaml(&itself(), ""));
    assert_eq!(probe(&host), Some(0));
    // It answers still, and says that it is not to be asked.
    kill("TERM", started(&host, 0));
    until("health says so", || probe(&host) == Some(4));
    let mut client = Client::connect(host.address()).await;
    assert!(client.get_feature(point(0, 0)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_is_noticed_and_started_anew() {
    let host = host(&yaml(&itself(), ", start_within: 1s, stop_within: 1s"));
    let hung = started(&host, 0);
    let mark = host.mark();
    let since = Instant::now();
    kill("STOP", hung);
    until("health says so", || probe(&host) == Some(4));
    println!("hung: health said so after {} ms", since.elapsed().as_millis());
    assert_ne!(started(&host, mark), hung);
    until("it serves again", || probe(&host) == Some(0));
    assert!(!lives(hung));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_ends_its_calls_and_is_used_again_when_it_goes_on() {
    let host = host(&yaml(&itself(), ", start_within: 1h, stop_within: 1s"));
    let hung = started(&host, 0);
    let mut client = Client::connect(host.address()).await;
    let (notes, mut replies) = client.route_chat().await.unwrap();
    notes.send(note(1, 2, "a")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    let since = Instant::now();
    kill("STOP", hung);
    let status = replies.message().await.unwrap_err();
    println!("hung: its call ended after {} ms", since.elapsed().as_millis());
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    until("health says so", || probe(&host) == Some(4));
    println!("hung: health said so after {} ms", since.elapsed().as_millis());
    assert_eq!(client.get_feature(point(0, 0)).await.unwrap_err().code(), Code::Unavailable);
    kill("CONT", hung);
    until("it serves again", || probe(&host) == Some(0));
    assert!(client.get_feature(point(0, 0)).await.is_ok());
}
