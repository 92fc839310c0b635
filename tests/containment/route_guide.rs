//! The tutorial's service when its callers break off: what is whole counts, and
//! what was half said never was.

use std::time::{Duration, Instant};

use prost::Message as _;
use tonic::Code;

use super::{Leaves, answered, begin, tell};
use crate::frames::large;
use crate::support::client::{Client, note, point, world};
use crate::support::wire::{DATA, HEADERS, PING, Wire, frame, framed};
use crate::support::{Ostler, PATIENCE, Starter, start};

fn chatting(settings: &str) -> Ostler {
    start(&format!(
        "services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ chat: {{ send_back: true, {settings} }} }} }} }} }}\n"
    ))
}

/// Frames of the call that come until the connection ends, or answers a ping.
fn rest(mut wire: Wire, leaves: Leaves) -> Vec<u8> {
    if matches!(leaves, Leaves::Reset) {
        assert!(wire.send(&frame(PING, 0, 0, &[7; 8])));
    }
    let frames = std::iter::from_fn(|| wire.next()).take_while(|frame| (frame.0, &frame.3[..]) != (PING, &[7; 8]));
    frames.filter(|frame| frame.2 == 1).map(|frame| frame.0).collect()
}

#[test]
fn a_route_that_breaks_off_has_no_summary() {
    let host = start("");
    let points = [framed(0, &point(1, 1).encode_to_vec()), framed(0, &point(2, 2).encode_to_vec())].concat();
    for leaves in [Leaves::Reset, Leaves::Finish] {
        for body in [&points[..], &points[..points.len() - 1]] {
            let wire = begin(host.address(), "RecordRoute", body, false);
            let told = leaves.leave(wire).map(|wire| rest(wire, leaves)).unwrap();
            assert!(!told.contains(&DATA) && !told.contains(&HEADERS), "{leaves:?}: {told:?}");
        }
    }
}

#[tokio::test]
async fn of_a_chat_that_breaks_off_whole_notes_are_kept() {
    for leaves in Leaves::ALL {
        let host = chatting("scope: shared");
        let half = framed(0, &note(2, 2, "half").encode_to_vec());
        let body = [&framed(0, &note(1, 1, "whole").encode_to_vec())[..], &half[..half.len() - 1]].concat();
        let mut wire = begin(host.address(), "RouteChat", &body, false);
        answered(&mut wire);
        let _stays = leaves.leave(wire);
        let mut client = Client::connect(host.address()).await;
        let kept = client.chat(vec![note(1, 1, "after"), note(2, 2, "after")]).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|note| note.message.as_str()).collect();
        assert_eq!(kept, ["whole", "after", "after"], "{leaves:?}");
    }
}

#[tokio::test]
async fn what_a_chat_remembers_for_itself_goes_with_it() {
    let host = chatting("keep: { places: 2 }");
    let mut client = Client::connect(host.address()).await;
    let body = [framed(0, &note(1, 1, "a").encode_to_vec()), framed(0, &note(2, 2, "b").encode_to_vec())].concat();
    for leaves in Leaves::ALL {
        let mut wire = begin(host.address(), "RouteChat", &body, false);
        // Both replies may come in one frame.
        assert!(std::iter::from_fn(|| wire.next()).any(|(kind, .., data)| kind == DATA && data.ends_with(b"b")));
        let refused = client.chat(vec![note(3, 3, "c")]).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "while it is open, its places are taken");
        let since = Instant::now();
        let _stays = leaves.leave(wire);
        while client.chat(vec![note(3, 3, "c"), note(4, 4, "d")]).await.is_err() {
            assert!(since.elapsed() < PATIENCE, "{leaves:?}: its places are free again");
        }
        tell(&format!("RouteChat's memory, {leaves:?}"), vec![since.elapsed()]);
    }
}

#[tokio::test]
async fn a_listing_of_the_world_that_is_cancelled_after_one_feature_stops() {
    let host = large(Starter::default(), "limits: { calls: 1 }\n");
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        let mut lists = Client::connect(host.address()).await;
        let mut client = Client::connect(host.address()).await;
        let mut listing = lists.list_features_stream(world()).await.unwrap();
        assert!(listing.message().await.unwrap().is_some());
        assert!(client.get_feature(point(0, 0)).await.is_err(), "its place is taken");
        let since = Instant::now();
        drop(listing);
        while client.get_feature(point(0, 0)).await.is_err() {
            assert!(since.elapsed() < PATIENCE, "its place is given back");
        }
        took.push(since.elapsed());
    }
    tell("ListFeatures of the world, cancelled", took);
}
