//! Servers that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::behind::{Behind, Call, asked, behind, fields, head};
use super::{SERVICE, front, starter, wait_for_health, yaml};
use crate::support::client::{Client, channel, point};
use crate::support::start;
use crate::support::wire::{self, exchange, frame, framed};

/// Accepts, and says nothing.
pub async fn blackhole() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    (address, accepting)
}

/// A server that never answers, and how many calls it has.
async fn silent() -> (Behind, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let server = behind(move |call: Call| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let _kept = call;
            std::future::pending::<()>().await;
        }
    })
    .await;
    (server, calls)
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_down_within_the_time_to_connect() {
    let (address, _accepting) = blackhole().await;
    let front = front(&[&address], "connect: 200ms");
    let mut client = Client::connect(front.address()).await;
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    wait_for_health(&front, ServingStatus::NotServing).await;
    let status = client.get_feature(point(0, 0)).await.unwrap_err();
    assert_eq!(status.message(), format!("the server of {SERVICE} is down"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_up_nobody_else_and_no_more_calls_than_it_may() {
    let (server, calls) = silent().await;
    let well = behind(|mut call: Call| async move {
        call.read().await;
        call.answer();
    })
    .await;
    let one = yaml(&[&server.address], "calls: 3");
    let schema = "syntax = \"proto3\"; package other; message M {} service Other { rpc Ask(M) returns (M); }";
    let other = format!(
        "  other.Other:\n    schema: other.proto\n    handler:\n      upstream: {{ to: ['http://{}'] }}\n",
        well.address
    );
    let front = starter().file("other.proto", schema).start(&format!("{one}{other}"));
    let address = front.address();
    let body = [framed(0, b"")];
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (address, body) = (address.to_owned(), body.clone());
            tokio::spawn(async move { exchange(&address, asked("GetFeature"), &body, true).await })
        })
        .collect();
    while calls.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let outcome = exchange(address, asked("GetFeature"), &body, true).await;
    assert_eq!(outcome.status(), Some(8), "{outcome:?}");
    assert!(outcome.headers.contains_key("grpc-retry-pushback-ms"));
    let other = http::Request::post("http://front/other.Other/Ask").header("content-type", "application/grpc");
    assert_eq!(exchange(address, other, &body, true).await.status(), Some(0), "the neighbour is answered");
    waiting.iter().for_each(|waiting| waiting.abort());
    // Their places are given back.
    while exchange(address, asked("GetFeature").header("grpc-timeout", "10m"), &body, true).await.status() == Some(8) {}
}

#[tokio::test]
async fn a_server_that_vanishes_under_a_call_is_found_out() {
    let behind = start("");
    let front = front(&[behind.address()], "keepalive: 100ms");
    let mut client = Client::connect(front.address()).await;
    let (sender, mut replies) = client.route_chat().await.unwrap();
    sender.send(crate::support::client::note(1, 1, "a")).await.unwrap();
    sender.send(crate::support::client::note(1, 1, "b")).await.unwrap();
    replies.message().await.unwrap().unwrap();
    behind.signal("STOP");
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), format!("the connection to the server of {SERVICE} was lost"));
    wait_for_health(&front, ServingStatus::NotServing).await;
    behind.signal("CONT");
    wait_for_health(&front, ServingStatus::Serving).await;
    client.get_feature(point(0, 0)).await.unwrap();
}

#[tokio::test]
async fn each_reset_has_the_code_of_the_specification() {
    for (reason, code) in [
        (h2::Reason::CANCEL, 1),
        (h2::Reason::REFUSED_STREAM, 14),
        (h2::Reason::ENHANCE_YOUR_CALM, 8),
        (h2::Reason::INADEQUATE_SECURITY, 7),
        (h2::Reason::INTERNAL_ERROR, 13),
        (h2::Reason::NO_ERROR, 13),
    ] {
        for begins in [false, true] {
            let server = behind(move |mut call: Call| async move {
                if begins {
                    let mut sending = call.respond.send_response(head(&[]), false).unwrap();
                    sending.send_data(framed(0, b"x"), false).unwrap();
                    sending.send_reset(reason);
                } else {
                    call.respond.send_reset(reason);
                }
            })
            .await;
            let front = front(&[&server.address], "");
            let outcome = exchange(front.address(), asked("ListFeatures"), &[framed(0, b"")], true).await;
            assert_eq!(outcome.status(), Some(code), "{reason:?} {begins} {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_though_its_method_is_not_declared_safe() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = behind(move |mut call: Call| {
        let turn = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            if turn == 0 {
                call.respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                call.read().await;
                call.answer();
            }
        }
    })
    .await;
    let front = front(&[&server.address], "");
    let outcome = exchange(front.address(), asked("RecordRoute"), &[framed(0, b"")], true).await;
    assert_eq!((outcome.status(), count.load(Ordering::Relaxed)), (Some(0), 2), "{outcome:?}");
}

#[tokio::test]
async fn an_upload_that_was_refused_is_sent_again_from_its_start_while_it_is_short() {
    let upload = [framed(0, b"\x08\x01"), framed(0, b"\x08\x02"), framed(0, b"\x08\x03")];
    let (told, mut tell) = mpsc::channel(8);
    let server = behind(move |mut call: Call| {
        let told = told.clone();
        async move {
            if call.head.headers.contains_key("grpc-previous-rpc-attempts") {
                told.send(call.read().await).await.unwrap();
                call.answer();
            } else {
                // Once some of it has come.
                let some = call.body.data().await.unwrap().unwrap();
                told.send(some.to_vec()).await.unwrap();
                call.respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
        }
    })
    .await;
    let front = front(&[&server.address], "");
    let mut sending = wire::Upload::open(front.address(), asked("RecordRoute")).await;
    sending.send(upload[0].clone(), false);
    assert_eq!(tell.recv().await.unwrap(), upload[0]);
    sending.send(upload[1].clone(), false);
    sending.send(upload[2].clone(), true);
    assert_eq!(tell.recv().await.unwrap(), upload.concat());
    assert_eq!(sending.outcome().await.status(), Some(0));
}

#[tokio::test]
async fn an_answer_that_is_no_grpc_has_the_code_of_its_http_status() {
    for (http, kind, code) in
        [(404, "text/html", 12), (503, "text/plain", 14), (401, "text/plain", 16), (200, "text/html", 2)]
    {
        let server = behind(move |mut call: Call| async move {
            let response = http::Response::builder().status(http).header("content-type", kind).body(()).unwrap();
            let mut sending = call.respond.send_response(response, false).unwrap();
            let _ = sending.send_data("<h1>Gone</h1>".into(), true);
        })
        .await;
        let front = front(&[&server.address], "");
        let outcome = exchange(front.address(), asked("RecordRoute"), &[framed(0, b"")], true).await;
        assert_eq!((outcome.http, outcome.status()), (200, Some(code)), "{http} {outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_status_is_told_as_the_server_s_fault() {
    let server = behind(|mut call: Call| async move {
        call.read().await;
        let mut sending = call.respond.send_response(head(&[]), false).unwrap();
        sending.send_data(framed(0, b""), true).unwrap();
    })
    .await;
    let front = front(&[&server.address], "");
    let outcome = exchange(front.address(), asked("GetFeature"), &[framed(0, b"")], true).await;
    assert_eq!(outcome.status(), Some(13), "{outcome:?}");
}

#[tokio::test]
async fn a_call_that_crosses_a_goaway_is_sent_on_another_connection() {
    // Takes no call on its first connections, and says so only once one came.
    let inner = behind(|mut call: Call| async move {
        call.read().await;
        call.answer();
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let gone = Arc::new(AtomicUsize::new(0));
    let (counted, to) = (gone.clone(), inner.address.clone());
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let (counted, to) = (counted.clone(), to.clone());
            tokio::spawn(async move {
                // The health watch comes first, then calls; half of all connections go away.
                if turn % 2 == 0 {
                    let mut other = tokio::net::TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
                    return;
                }
                goes_away(stream).await;
                counted.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    let front = front(&[&address], "");
    wait_for_health(&front, ServingStatus::Serving).await;
    let outcome = exchange(front.address(), asked("RecordRoute"), &[framed(0, b"")], true).await;
    assert_eq!(outcome.status(), Some(0), "{outcome:?}");
    assert_eq!(gone.load(Ordering::Relaxed), 1);
}

/// Answers the first ping, and the first call with a GOAWAY that says that it was not looked at.
async fn goes_away(mut stream: tokio::net::TcpStream) {
    stream.write_all(&frame(wire::SETTINGS, 0, 0, &[])).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match (head[3], head[4]) {
            (wire::PING, 0) => stream.write_all(&frame(wire::PING, wire::ACK, 0, &payload)).await.unwrap(),
            (wire::SETTINGS, 0) => stream.write_all(&frame(wire::SETTINGS, wire::ACK, 0, &[])).await.unwrap(),
            (wire::HEADERS, _) => {
                stream.write_all(&frame(wire::GOAWAY, 0, 0, &[0; 8])).await.unwrap();
                return;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_no_other_and_the_server_is_held_back() {
    const MESSAGE_BYTES: usize = 16 << 10;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let server = behind(move |mut call: Call| {
        let counted = counted.clone();
        async move {
            call.read().await;
            let mut sending = call.respond.send_response(head(&[]), false).unwrap();
            for _ in 0..1024 {
                let mut message = framed(0, &vec![7; MESSAGE_BYTES]);
                while !message.is_empty() {
                    sending.reserve_capacity(message.len());
                    let room = match std::future::poll_fn(|context| sending.poll_capacity(context)).await {
                        Some(Ok(room)) => room,
                        _ => return,
                    };
                    let piece = message.split_to(room.min(message.len()));
                    counted.fetch_add(piece.len(), Ordering::Relaxed);
                    sending.send_data(piece, false).unwrap();
                }
            }
            sending.send_trailers(fields(&[("grpc-status", "0")])).unwrap();
        }
    })
    .await;
    let front = front(&[&server.address], "");
    wait_for_health(&front, ServingStatus::Serving).await;
    let mut grpc = tonic::client::Grpc::new(channel(front.address()).await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = "/routeguide.RouteGuide/ListFeatures".parse().unwrap();
    let _stalled = grpc.server_streaming(tonic::Request::new(()), path, codec).await.unwrap();
    let mut before = usize::MAX;
    while sent.load(Ordering::Relaxed) != before {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(before > 0 && before < 4 << 20, "{before} bytes of an answer that nobody reads");
    let body = [framed(0, b"")];
    let whole = exchange(front.address(), asked("ListFeatures"), &body, true).await;
    assert_eq!(whole.body.len(), 1024 * (MESSAGE_BYTES + 5));
}

#[tokio::test]
async fn thousands_of_calls_given_up_half_way_leave_their_neighbour_alone() {
    let behind = start("");
    let front = front(&[behind.address()], "");
    let mut client = Client::connect(front.address()).await;
    let (sender, mut replies) = client.route_chat().await.unwrap();
    sender.send(crate::support::client::note(1, 1, "before")).await.unwrap();
    for _ in 0..10 {
        // The client's own library counts what comes for calls it gave up, and
        // closes a connection of its after a thousand.
        let mut hasty = Client::connect(front.address()).await;
        for _ in 0..300 {
            let mut some = hasty.list_features_stream(crate::support::client::world()).await.unwrap();
            some.message().await.unwrap().unwrap();
        }
    }
    sender.send(crate::support::client::note(1, 1, "after")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap().message, "before");
}
