//! Several servers, of which some go and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::watch;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use super::behind::{Call, NOT_SERVING, SERVING, asked, behind, behind_saying, behind_with, head};
use super::{LONDON, SERVICE, front, starter, wait_for_health, yaml};
use crate::support::client::{Client, point};
use crate::support::wire::{exchange, framed};
use crate::support::{Ostler, start};

/// Callers that ask for London again and again until told to stop; how many
/// answers they got, and every failure.
struct Callers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<Vec<Status>>>,
}

impl Callers {
    async fn start(front: &Ostler, count: usize) -> Callers {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut callers = Vec::new();
        for _ in 0..count {
            let mut client = Client::connect(front.address()).await;
            let (stop, answered) = (stop.clone(), answered.clone());
            callers.push(tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match client.get_feature(point(LONDON.0, LONDON.1)).await {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(status) => failures.push(status),
                    }
                }
                failures
            }));
        }
        Callers { stop, answered, callers }
    }

    /// Waits until so many more were answered.
    async fn more(&self, count: usize) {
        let until = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < until {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn stop(self) -> Vec<Status> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(caller.await.unwrap());
        }
        failures
    }
}

fn on(address: &str) -> String {
    format!("listen: {address}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_servers_killed_under_load_fails_no_call_that_may_be_sent_again() {
    let (one, two) = (start(""), start(""));
    let front = front(&[one.address(), two.address()], "");
    wait_for_health(&front, ServingStatus::Serving).await;
    let mut health = crate::health::watch(front.address(), SERVICE).await;
    assert_eq!(crate::health::next(&mut health).await.unwrap(), ServingStatus::Serving);

    let callers = Callers::start(&front, 8).await;
    callers.more(200).await;
    let address = one.address().to_owned();
    drop(one);
    callers.more(200).await;
    let _again = start(&on(&address));
    callers.more(200).await;
    assert_eq!(callers.stop().await.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    drop(front);
    assert!(!matches!(crate::health::next(&mut health).await, Ok(ServingStatus::NotServing)), "it served all along");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_in_order_fails_no_call_of_any_kind() {
    let (one, two) = (start(""), start(""));
    let front = front(&[one.address(), two.address()], "");
    wait_for_health(&front, ServingStatus::Serving).await;
    let callers = Callers::start(&front, 4).await;
    let mut client = Client::connect(front.address()).await;
    callers.more(50).await;
    let stopping = tokio::task::spawn_blocking(move || one.stop());
    let mut recorded = 0;
    while !stopping.is_finished() || recorded < 10 {
        // Not declared safe, and not sent twice.
        client.record_route(vec![point(1, 1), point(2, 2)]).await.unwrap();
        recorded += 1;
    }
    assert!(stopping.await.unwrap().success());
    callers.more(50).await;
    assert_eq!(callers.stop().await.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test]
async fn with_every_server_down_it_says_so_at_once_and_recovers_by_itself() {
    let (one, two) = (start(""), start(""));
    let front = front(&[one.address(), two.address()], "");
    wait_for_health(&front, ServingStatus::Serving).await;
    let (first, second) = (one.address().to_owned(), two.address().to_owned());
    drop((one, two));
    wait_for_health(&front, ServingStatus::NotServing).await;
    let mut client = Client::connect(front.address()).await;
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "all 2 servers of routeguide.RouteGuide are down");
    assert!(!status.message().contains(&first), "an address is nobody's business outside");

    let _again = start(&on(&second));
    wait_for_health(&front, ServingStatus::Serving).await;
    for _ in 0..10 {
        client.get_feature(point(LONDON.0, LONDON.1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_says_it_does_not_serve_gets_no_calls_until_it_says_it_does() {
    let says = [watch::Sender::new(SERVING), watch::Sender::new(SERVING)];
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let mut servers = Vec::new();
    for (says, count) in says.iter().zip(&counts) {
        let count = count.clone();
        let answer = move |mut call: Call| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                call.read().await;
                call.answer();
            }
        };
        servers.push(behind_saying(says.subscribe(), answer).await);
    }
    let front = front(&[&servers[0].address, &servers[1].address], "");
    let mut client = Client::connect(front.address()).await;
    let asked = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    // Until both have been heard.
    while asked().contains(&0) {
        client.get_feature(point(0, 0)).await.unwrap();
    }
    says[0].send_replace(NOT_SERVING);
    let mut quiet = 0;
    let mut before = asked()[0];
    while quiet < 20 {
        client.get_feature(point(0, 0)).await.unwrap();
        quiet = if asked()[0] == before { quiet + 1 } else { 0 };
        before = asked()[0];
    }
    says[1].send_replace(NOT_SERVING);
    wait_for_health(&front, ServingStatus::NotServing).await;
    assert_eq!(client.get_feature(point(0, 0)).await.unwrap_err().code(), Code::Unavailable);
    says[0].send_replace(SERVING);
    wait_for_health(&front, ServingStatus::Serving).await;
    client.get_feature(point(0, 0)).await.unwrap();
    assert_eq!(asked()[0], before + 1);
}

#[tokio::test]
async fn calls_go_to_all_servers_in_turn() {
    let counts: [Arc<AtomicUsize>; 3] = Default::default();
    let mut servers = Vec::new();
    for count in &counts {
        let count = count.clone();
        servers.push(
            behind(move |mut call: Call| {
                count.fetch_add(1, Ordering::Relaxed);
                async move {
                    call.read().await;
                    call.answer();
                }
            })
            .await,
        );
    }
    let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
    let front = front(&addresses, "");
    wait_for_health(&front, ServingStatus::Serving).await;
    let mut client = Client::connect(front.address()).await;
    for _ in 0..30 {
        client.get_feature(point(0, 0)).await.unwrap();
    }
    assert_eq!(counts.map(|count| count.load(Ordering::Relaxed)), [10, 10, 10]);
}

#[tokio::test]
async fn a_method_that_may_be_asked_twice_is_and_another_is_not() {
    let count = Arc::new(AtomicUsize::new(0));
    let attempts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (counted, seen) = (count.clone(), attempts.clone());
    let server = behind(move |mut call: Call| {
        let turn = counted.fetch_add(1, Ordering::Relaxed);
        let again = call.head.headers.get("grpc-previous-rpc-attempts").map(|again| again.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(again);
        async move {
            call.read().await;
            match turn % 3 {
                2 => call.answer(),
                _ => call.end_with(14, "not now"),
            }
        }
    })
    .await;
    let front = front(&[&server.address], "");
    let ask = async |method| exchange(front.address(), asked(method), &[framed(0, b"")], true).await.status();
    assert_eq!(ask("GetFeature").await, Some(0));
    assert_eq!(*attempts.lock().unwrap(), [None, Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!(ask("RecordRoute").await, Some(14));
    assert_eq!(count.load(Ordering::Relaxed), 4, "sent once");
}

#[tokio::test]
async fn a_server_that_does_not_want_to_be_asked_again_is_not() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = behind(move |mut call: Call| {
        counted.fetch_add(1, Ordering::Relaxed);
        let head = head(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")]);
        async move { drop(call.respond.send_response(head, true)) }
    })
    .await;
    let front = front(&[&server.address], "");
    let outcome = exchange(front.address(), asked("GetFeature"), &[framed(0, b"")], true).await;
    assert_eq!((outcome.status(), count.load(Ordering::Relaxed)), (Some(14), 1));
    assert_eq!(outcome.headers["grpc-retry-pushback-ms"], "-1", "its client is told the same");
}

#[tokio::test]
async fn an_outage_is_not_multiplied_beyond_the_budget() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = behind(move |call: Call| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { call.end_with(14, "not now") }
    })
    .await;
    let front = front(&[&server.address], "retry: { attempts: 3, budget: 7 }\nbreaker: { failures: 1000, open: 1s }");
    for _ in 0..50 {
        exchange(front.address(), asked("GetFeature"), &[framed(0, b"")], true).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 50 + 7);
}

#[tokio::test]
async fn a_server_with_few_streams_gets_more_connections() {
    let most = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(tokio::sync::Barrier::new(6));
    let seen = most.clone();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let server = behind_with(builder, move |mut call: Call| {
        let (together, seen) = (together.clone(), seen.clone());
        async move {
            call.read().await;
            seen.fetch_add(1, Ordering::Relaxed);
            together.wait().await;
            call.answer();
        }
    })
    .await;
    let front = front(&[&server.address], "");
    let bodies = [framed(0, b"")];
    let calls = (0..6).map(|_| exchange(front.address(), asked("GetFeature"), &bodies, true));
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.status(), Some(0), "all six were with the server at one time");
    }
    assert_eq!(most.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn connections_live_on_through_a_reload_that_names_the_same_servers() {
    let (one, two) = (start(""), start(""));
    let front = starter().start(&yaml(&[one.address()], ""));
    let mut client = Client::connect(front.address()).await;
    client.get_feature(point(0, 0)).await.unwrap();
    wait_for_health(&front, ServingStatus::Serving).await;
    let (sender, mut replies) = client.route_chat().await.unwrap();
    let before = one.sockets();
    assert!(front.reload(&yaml(&[one.address()], "calls: 7")));
    wait_for_health(&front, ServingStatus::Serving).await;
    client.get_feature(point(0, 0)).await.unwrap();
    assert_eq!(one.sockets(), before, "no connection more, and none less");
    assert!(front.reload(&yaml(&[two.address()], "")));
    sender.send(crate::support::client::note(1, 1, "a")).await.unwrap();
    sender.send(crate::support::client::note(1, 1, "b")).await.unwrap();
    let reply = replies.message().await.unwrap().unwrap();
    assert_eq!(reply.message, "a", "an open call stays where it is");
    drop(sender);
    while replies.message().await.unwrap().is_some() {}
    while one.sockets() >= before {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
