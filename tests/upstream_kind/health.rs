//! What a server's health says, and what the service says in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;

use super::behind::{Call, NOT_FOUND, NOT_SERVING, SERVICE_UNKNOWN, SERVING, asked, behind, behind_naming};
use super::{SERVICE, front, wait_for_health};
use crate::support::client::{Client, point};
use crate::support::wire::{exchange, framed};

async fn well(mut call: Call) {
    call.read().await;
    call.answer();
}

#[tokio::test]
async fn a_server_that_does_not_know_the_service_is_as_it_is_as_a_whole() {
    let (own, whole) = (watch::Sender::new(SERVICE_UNKNOWN), watch::Sender::new(NOT_SERVING));
    let server = behind_naming(own.subscribe(), whole.subscribe(), well).await;
    let front = front(&[&server.address], "");
    wait_for_health(&front, ServingStatus::NotServing).await;
    whole.send_replace(SERVING);
    wait_for_health(&front, ServingStatus::Serving).await;
    // It has come to know it, and then what it says of the whole is nothing to it.
    own.send_replace(NOT_SERVING);
    wait_for_health(&front, ServingStatus::NotServing).await;
    own.send_replace(SERVING);
    wait_for_health(&front, ServingStatus::Serving).await;
    whole.send_replace(NOT_SERVING);
    assert_eq!(exchange(front.address(), asked("GetFeature"), &[framed(0, b"")], true).await.status(), Some(0));
    own.send_replace(SERVICE_UNKNOWN);
    wait_for_health(&front, ServingStatus::NotServing).await;
}

#[tokio::test]
async fn a_health_that_has_no_such_name_is_asked_about_the_whole() {
    let (own, whole) = (watch::Sender::new(NOT_FOUND), watch::Sender::new(NOT_SERVING));
    let server = behind_naming(own.subscribe(), whole.subscribe(), well).await;
    let front = front(&[&server.address], "");
    wait_for_health(&front, ServingStatus::NotServing).await;
    whole.send_replace(SERVING);
    wait_for_health(&front, ServingStatus::Serving).await;
}

#[tokio::test]
async fn a_service_does_not_serve_while_every_server_is_left_alone() {
    let is_well = Arc::new(AtomicBool::new(true));
    let answer = |is_well: Arc<AtomicBool>| {
        move |mut call: Call| {
            let is_well = is_well.load(Ordering::Relaxed);
            async move {
                call.read().await;
                if is_well { call.answer() } else { call.end_with(14, "not now") }
            }
        }
    };
    let failing = behind(answer(Arc::default())).await;
    let other = behind(answer(is_well.clone())).await;
    let more = "breaker: { failures: 2, open: 1h }\nretry: { attempts: 1 }";
    let front = front(&[&failing.address, &other.address], more);
    wait_for_health(&front, ServingStatus::Serving).await;
    let mut client = Client::connect(front.address()).await;
    let mut health = crate::health::watch(front.address(), SERVICE).await;
    assert_eq!(crate::health::next(&mut health).await.unwrap(), ServingStatus::Serving);
    // Until the first is left alone.
    let mut well = 0;
    while well < 10 {
        well = if client.get_feature(point(0, 0)).await.is_ok() { well + 1 } else { 0 };
    }
    is_well.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(client.get_feature(point(0, 0)).await.unwrap_err().message(), "not now");
    }
    let down = format!("all 2 servers of {SERVICE} are down");
    assert_eq!(client.get_feature(point(0, 0)).await.unwrap_err().message(), down);
    assert_eq!(
        crate::health::next(&mut health).await.unwrap(),
        ServingStatus::NotServing,
        "and not while one was left"
    );
}

#[tokio::test]
async fn it_serves_again_with_the_call_that_finds_a_server_well_or_when_nobody_tries() {
    let is_well = Arc::new(AtomicBool::new(false));
    let says = is_well.clone();
    let server = behind(move |mut call: Call| {
        let is_well = says.load(Ordering::Relaxed);
        async move {
            call.read().await;
            if is_well { call.answer() } else { call.end_with(14, "not now") }
        }
    })
    .await;
    let front = front(&[&server.address], "breaker: { failures: 1, open: 2s }\nretry: { attempts: 1 }");
    let mut client = Client::connect(front.address()).await;
    let mut health = crate::health::watch(front.address(), SERVICE).await;
    let mut next = async |wanted| while crate::health::next(&mut health).await.unwrap() != wanted {};
    next(ServingStatus::Serving).await;
    for _ in 0..2 {
        // Who asks health before they call would never call again.
        client.get_feature(point(0, 0)).await.unwrap_err();
        next(ServingStatus::NotServing).await;
        next(ServingStatus::Serving).await;
    }
    client.get_feature(point(0, 0)).await.unwrap_err();
    next(ServingStatus::NotServing).await;
    is_well.store(true, Ordering::Relaxed);
    while client.get_feature(point(0, 0)).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    next(ServingStatus::Serving).await;
}
