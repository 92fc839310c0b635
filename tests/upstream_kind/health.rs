//! What a server's health says, and what the service says in turn.

use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;

use super::behind::{Call, NOT_FOUND, NOT_SERVING, SERVICE_UNKNOWN, SERVING, asked, behind_naming};
use super::{front, wait_for_health};
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
