//! A reload keeps what it does not change, and replaces the rest without a gap.

use super::{host, itself, lives, probe, shell, started, until, yaml};
use crate::support::client::{Client, note, point};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_does_not_change_it_leaves_it_running_and_its_calls_alone() {
    let host = host(&yaml(&itself(), ""));
    let pid = started(&host, 0);
    let mut client = Client::connect(host.address()).await;
    let (notes, mut replies) = client.route_chat().await.unwrap();
    notes.send(note(1, 2, "before")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    let mark = host.mark();
    for round in 0..3 {
        assert!(host.reload(&format!("{}log: {{ level: info }}\n# {round}\n", yaml(&itself(), ""))));
    }
    notes.send(note(1, 2, "after")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());
    assert!(lives(pid));
    assert!(!host.log().lines().skip(mark).any(|line| line.contains("the process has started")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_command_is_ready_before_the_old_one_goes() {
    let host = host(&yaml(&itself(), ""));
    let old = started(&host, 0);
    let mut client = Client::connect(host.address()).await;
    let (notes, mut replies) = client.route_chat().await.unwrap();
    notes.send(note(1, 2, "old")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some());

    let mark = host.mark();
    assert!(host.reload(&yaml(&itself(), ", env: { SOMETHING: new }")));
    let new = started(&host, mark);
    assert!(client.get_feature(point(0, 0)).await.is_ok());
    notes.send(note(1, 2, "still")).await.unwrap();
    assert!(replies.message().await.unwrap().is_some(), "the open call has its old command");
    assert!(lives(old) && lives(new));
    drop((notes, replies));
    until("the old one goes with its last call", || !lives(old));
    assert!(lives(new) && client.get_feature(point(0, 0)).await.is_ok());

    // Taken out altogether, it goes.
    assert!(host.reload("services: {}\n"));
    drop(client);
    until("it goes", || !lives(new));
}

#[test]
fn a_changed_command_that_does_not_start_changes_nothing() {
    let host = host(&yaml(&itself(), ""));
    let pid = started(&host, 0);
    let mark = host.mark();
    assert!(!host.reload(&yaml(&shell("echo no such luck >&2; exit 3"), "")));
    host.wait_for(mark, "exited with code 3");
    assert!(lives(pid));
    assert_eq!(probe(&host), Some(0));
}
