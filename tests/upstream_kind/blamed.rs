//! What a call may take, and what of its failures is held against a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::behind::{Call, asked, behind, head};
use super::strange::blackhole;
use super::{SERVICE, front, starter, wait_for_health, yaml};
use crate::support::client::{Client, point};
use crate::support::wire::{exchange, framed};

#[tokio::test]
async fn a_server_that_fails_in_a_row_is_left_alone_until_one_call_finds_it_well() {
    let (count, well) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, is_well) = (count.clone(), well.clone());
    let server = behind(move |mut call: Call| {
        counted.fetch_add(1, Ordering::Relaxed);
        let well = is_well.load(Ordering::Relaxed);
        async move {
            call.read().await;
            if well { call.answer() } else { call.end_with(14, "not now") }
        }
    })
    .await;
    let front = front(&[&server.address], "breaker: { failures: 4, open: 200ms }\nretry: { attempts: 1 }");
    wait_for_health(&front, ServingStatus::Serving).await;
    let mut client = Client::connect(front.address()).await;
    let mut words = Vec::new();
    for _ in 0..20 {
        words.push(client.get_feature(point(0, 0)).await.unwrap_err().message().to_owned());
    }
    assert_eq!(words[3], "not now");
    assert_eq!(words[4], "the server of routeguide.RouteGuide is down");
    assert!(count.load(Ordering::Relaxed) < 20, "most calls did not reach it");
    well.store(true, Ordering::Relaxed);
    while client.get_feature(point(0, 0)).await.is_err() {}
    for _ in 0..20 {
        client.get_feature(point(0, 0)).await.unwrap();
    }
}

#[tokio::test]
async fn what_clients_do_wrong_is_not_held_against_a_server() {
    let server = behind(|mut call: Call| async move {
        if call.read().await.len() > 5 {
            call.answer();
        } else {
            std::future::pending::<()>().await;
        }
    })
    .await;
    let front = front(&[&server.address], "breaker: { failures: 2, open: 1h }");
    let address = front.address();
    wait_for_health(&front, ServingStatus::Serving).await;
    for _ in 0..5 {
        // A deadline that nobody could keep.
        let hasty = asked("GetFeature").header("grpc-timeout", "1n");
        assert_eq!(exchange(address, hasty, &[framed(0, b"")], true).await.status(), Some(4));
        let hasty = asked("GetFeature").header("grpc-timeout", "5m");
        assert_eq!(exchange(address, hasty, &[framed(0, b"")], true).await.status(), Some(4));
        // Messages that are none.
        let broken = [framed(0, b""), framed(2, b"")];
        assert_eq!(exchange(address, asked("RecordRoute"), &broken, true).await.status(), Some(13));
    }
    let outcome = exchange(address, asked("GetFeature"), &[framed(0, b"\x08\x01")], true).await;
    assert_eq!(outcome.status(), Some(0), "{outcome:?}");
}

#[tokio::test]
async fn calls_that_a_server_has_not_looked_at_are_not_held_against_it() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = behind(move |mut call: Call| {
        let turn = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if turn < 5 {
                return call.respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            call.read().await;
            call.answer();
        }
    })
    .await;
    let front = front(&[&server.address], "breaker: { failures: 2, open: 1h }\nretry: { attempts: 1 }");
    let mut client = Client::connect(front.address()).await;
    for _ in 0..5 {
        let status = client.get_feature(point(0, 0)).await.unwrap_err();
        assert!(status.message().contains("broke the call off"), "{status:?}");
    }
    client.get_feature(point(0, 0)).await.unwrap();
}

#[tokio::test]
async fn a_timeout_bounds_the_way_to_a_server_and_is_held_against_it() {
    let (address, _accepting) = blackhole().await;
    let front = front(&[&address], "timeout: 200ms\nconnect: 1h\nbreaker: { failures: 1, open: 1h }");
    let mut client = Client::connect(front.address()).await;
    assert_eq!(client.get_feature(point(0, 0)).await.unwrap_err().code(), Code::DeadlineExceeded);
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert_eq!(status.message(), format!("the server of {SERVICE} is down"));
}

#[tokio::test]
async fn a_timeout_bounds_the_pause_that_a_server_asks_for() {
    let server = behind(|mut call: Call| async move {
        let head = head(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "10000")]);
        drop(call.respond.send_response(head, true));
    })
    .await;
    let front = front(&[&server.address], "timeout: 200ms");
    let mut client = Client::connect(front.address()).await;
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.message(), format!("a call of {SERVICE} may take 200ms, and this one took longer"));
}

#[tokio::test]
async fn a_timeout_bounds_what_its_client_takes_and_is_not_held_against_the_server() {
    let server = behind(|mut call: Call| async move {
        call.read().await;
        call.answer();
    })
    .await;
    let settings = yaml(&[&server.address], "timeout: 200ms\nbreaker: { failures: 1, open: 1h }");
    let front = starter().start(&format!("limits: {{ unary: 1h, unary_message: 1h }}\n{settings}"));
    let outcome = exchange(front.address(), asked("GetFeature"), &[], false).await;
    assert_eq!(outcome.status(), Some(4), "{outcome:?}");
    let outcome = exchange(front.address(), asked("GetFeature"), &[framed(0, b"")], true).await;
    assert_eq!(outcome.status(), Some(0), "{outcome:?}");
}
