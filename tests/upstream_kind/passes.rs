//! What passes through, both ways, as it is.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{mpsc, oneshot};

use super::behind::{Behind, Call, asked, behind, fields, head};
use super::front;
use crate::support::wire::{Upload, exchange, framed};

/// A server that answers all as `answer` has it, and what it is asked.
async fn recorded(answer: impl Fn(Call) + Clone + Send + 'static) -> (Behind, mpsc::Receiver<(HeaderMap, Vec<u8>)>) {
    let (tell, told) = mpsc::channel(16);
    let server = behind(move |mut call: Call| {
        let (tell, answer) = (tell.clone(), answer.clone());
        async move {
            let body = call.read().await;
            tell.send((call.head.headers.clone(), body)).await.unwrap();
            answer(call);
        }
    })
    .await;
    (server, told)
}

#[tokio::test]
async fn metadata_passes_both_ways_and_the_host_s_own_address_does_not() {
    let (server, mut told) = recorded(|mut call| {
        let mut sending =
            call.respond.send_response(head(&[("x-ahead", "1"), ("x-ahead-bin", "AAEC/w")]), false).unwrap();
        sending.send_data(framed(0, b"\x0a\x01x"), false).unwrap();
        sending.send_trailers(fields(&[("grpc-status", "0"), ("x-after", "2"), ("x-after-bin", "//8")])).unwrap();
    })
    .await;
    let front = front(&[&server.address], "");
    let request = asked("GetFeature")
        .header("authorization", "Bearer of-the-client")
        .header("x-many", "a")
        .header("x-many", "b")
        .header("x-raw-bin", "AAEC/w")
        .header("user-agent", "someone/1.0")
        .header("grpc-accept-encoding", "gzip");
    let outcome = exchange(front.address(), request, &[framed(0, b"\x08\x07")], true).await;

    let (asked, body) = told.recv().await.unwrap();
    assert_eq!(body, framed(0, b"\x08\x07"));
    for (name, value) in [
        ("authorization", "Bearer of-the-client"),
        ("x-raw-bin", "AAEC/w"),
        ("user-agent", "someone/1.0"),
        ("grpc-accept-encoding", "gzip"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        assert_eq!(asked.get(name).unwrap(), value, "{name}");
    }
    assert_eq!(asked.get_all("x-many").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert!(asked.get("host").is_none(), "{asked:?}");

    assert_eq!((outcome.http, outcome.status()), (200, Some(0)));
    assert_eq!(outcome.body, framed(0, b"\x0a\x01x"));
    assert_eq!(
        (outcome.headers["x-ahead"].as_bytes(), outcome.headers["x-ahead-bin"].as_bytes()),
        (&b"1"[..], &b"AAEC/w"[..])
    );
    assert_eq!(
        (outcome.trailers["x-after"].as_bytes(), outcome.trailers["x-after-bin"].as_bytes()),
        (&b"2"[..], &b"//8"[..])
    );
}

#[tokio::test]
async fn the_details_of_a_status_pass_byte_for_byte_with_messages_and_without() {
    const DETAILS: &str = "CAUSB25vIHdheRoaCgl0eXBlLng/eRIN/wAB";
    for ahead in [true, false] {
        let (server, _told) = recorded(move |mut call| {
            let status = [
                ("grpc-status", "5"),
                ("grpc-message", "not%20here"),
                ("grpc-status-details-bin", DETAILS),
                ("x", "y"),
            ];
            if ahead {
                let mut sending = call.respond.send_response(head(&[]), false).unwrap();
                sending.send_trailers(fields(&status)).unwrap();
            } else {
                call.respond.send_response(head(&status), true).unwrap();
            }
        })
        .await;
        let front = front(&[&server.address], "");
        let outcome = exchange(front.address(), asked("GetFeature"), &[framed(0, b"")], true).await;
        assert_eq!(outcome.status(), Some(5));
        let at = if ahead { &outcome.trailers } else { &outcome.headers };
        assert_eq!(at["grpc-message"], "not%20here");
        assert_eq!(at["grpc-status-details-bin"], DETAILS);
        assert_eq!(at["x"], "y");
    }
}

#[tokio::test]
async fn compressed_messages_pass_as_they_are() {
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        framed(1, &encoder.finish().unwrap())
    };
    let answer = gzip(b"\x0a\x05hello");
    let sent = answer.clone();
    let (server, mut told) = recorded(move |mut call| {
        let mut sending = call.respond.send_response(head(&[("grpc-encoding", "gzip")]), false).unwrap();
        sending.send_data(sent.clone(), false).unwrap();
        sending.send_trailers(fields(&[("grpc-status", "0")])).unwrap();
    })
    .await;
    let front = front(&[&server.address], "");
    let question = gzip(b"\x08\x07\x10\x09");
    let request = asked("GetFeature").header("grpc-encoding", "gzip").header("grpc-accept-encoding", "gzip");
    let outcome = exchange(front.address(), request, std::slice::from_ref(&question), true).await;
    let (asked, body) = told.recv().await.unwrap();
    assert_eq!((asked["grpc-encoding"].as_bytes(), body), (&b"gzip"[..], question.to_vec()));
    assert_eq!((outcome.headers["grpc-encoding"].as_bytes(), outcome.body), (&b"gzip"[..], answer.to_vec()));
}

/// What a `grpc-timeout` says.
fn time(headers: &HeaderMap) -> Duration {
    let text = headers["grpc-timeout"].to_str().unwrap();
    let (number, unit) = text.split_at(text.len() - 1);
    let number = number.parse::<u64>().unwrap();
    match unit {
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_deadline_goes_along_and_is_never_longer_than_what_is_left() {
    let (server, mut told) = recorded(Call::answer).await;
    let to = [&*server.address];
    let capped = front(&to, "timeout: 20s");
    let hasty = super::starter().start(&format!("limits: {{ unary: 40s }}\n{}", super::yaml(&to, "timeout: 50s")));
    let front = front(&to, "");
    // What its client says, what the kind's own setting, and what the host's.
    for (front, method, timeout, most) in [
        (&front, "GetFeature", Some("30S"), Some(30)),
        (&capped, "GetFeature", Some("30S"), Some(20)),
        (&capped, "GetFeature", Some("10S"), Some(10)),
        (&capped, "GetFeature", None, Some(20)),
        (&hasty, "GetFeature", Some("30S"), Some(30)),
        (&hasty, "GetFeature", Some("45S"), Some(40)),
        (&hasty, "GetFeature", None, Some(40)),
        (&hasty, "RecordRoute", Some("45S"), Some(45)),
        (&hasty, "RecordRoute", None, None),
    ] {
        let request =
            timeout.into_iter().fold(asked(method), |request, timeout| request.header("grpc-timeout", timeout));
        assert_eq!(exchange(front.address(), request, &[framed(0, b"")], true).await.status(), Some(0));
        let headers = told.recv().await.unwrap().0;
        let Some(most) = most.map(Duration::from_secs) else {
            assert!(headers.get("grpc-timeout").is_none(), "{headers:?}");
            continue;
        };
        let left = time(&headers);
        assert!(left < most && left > most - Duration::from_secs(5), "{left:?} of {most:?}");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_deadline_passed_on_both_sides() {
    let (ended, mut end) = mpsc::channel(4);
    let server = behind(move |mut call: Call| {
        let ended = ended.clone();
        async move {
            let reset = std::future::poll_fn(|context| call.respond.poll_reset(context)).await;
            ended.send(reset.unwrap()).await.unwrap();
        }
    })
    .await;
    let capped = front(&[&server.address], "timeout: 100ms");
    let front = front(&[&server.address], "");
    for (front, request) in
        [(&capped, asked("GetFeature")), (&front, asked("GetFeature").header("grpc-timeout", "100m"))]
    {
        let outcome = exchange(front.address(), request, &[framed(0, b"")], true).await;
        assert_eq!(outcome.status(), Some(4), "{outcome:?}");
        assert_eq!(end.recv().await.unwrap(), h2::Reason::CANCEL);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_call_behind_before_and_after_the_answer_begins() {
    for begins in [false, true] {
        let (begun, mut beginning) = mpsc::channel(1);
        let (ended, end) = oneshot::channel();
        let ended = Arc::new(Mutex::new(Some(ended)));
        let server = behind(move |mut call: Call| {
            let (begun, ended) = (begun.clone(), ended.lock().unwrap().take());
            async move {
                let mut sending = begins.then(|| call.respond.send_response(head(&[]), false).unwrap());
                begun.send(()).await.unwrap();
                let reset = std::future::poll_fn(|context| match &mut sending {
                    Some(sending) => sending.poll_reset(context),
                    None => call.respond.poll_reset(context),
                });
                let _ = ended.unwrap().send(reset.await.unwrap());
            }
        })
        .await;
        let front = front(&[&server.address], "");
        let address = front.address().to_owned();
        let client =
            tokio::spawn(async move { exchange(&address, asked("RouteChat"), &[framed(0, b"")], false).await });
        beginning.recv().await.unwrap();
        client.abort();
        assert_eq!(end.await.unwrap(), h2::Reason::CANCEL, "begun: {begins}");
    }
}

#[tokio::test]
async fn when_the_server_ends_a_call_its_client_is_read_no_further() {
    let server = behind(|call: Call| async move { call.end_with(9, "enough") }).await;
    let front = front(&[&server.address], "");
    // The upload is left open; the answer comes all the same.
    let outcome = exchange(front.address(), asked("RecordRoute"), &[framed(0, b"")], false).await;
    assert_eq!(outcome.status(), Some(9), "{outcome:?}");
}

#[tokio::test]
async fn a_request_out_of_order_is_the_client_s_fault_and_the_call_behind_is_cancelled() {
    for begins in [false, true] {
        let (told, mut tell) = mpsc::channel(4);
        let server = behind(move |mut call: Call| {
            let told = told.clone();
            async move {
                let mut sending = begins.then(|| call.respond.send_response(head(&[]), false).unwrap());
                call.body.data().await.unwrap().unwrap();
                told.send(None).await.unwrap();
                let reset = std::future::poll_fn(|context| match &mut sending {
                    Some(sending) => sending.poll_reset(context),
                    None => call.respond.poll_reset(context),
                });
                told.send(Some(reset.await.unwrap())).await.unwrap();
            }
        })
        .await;
        let front = front(&[&server.address], "");
        let mut upload = Upload::open(front.address(), asked("RecordRoute")).await;
        upload.send(framed(0, b""), false);
        assert_eq!(tell.recv().await.unwrap(), None);
        upload.send(framed(2, b""), false);
        let outcome = upload.outcome().await;
        assert_eq!(outcome.status(), Some(13), "{outcome:?}");
        assert_eq!(tell.recv().await.unwrap(), Some(h2::Reason::CANCEL));
    }
}
