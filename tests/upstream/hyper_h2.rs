//! hyper and h2: HTTP/2 as the host finds it, before a limit is set and a
//! meter put below it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::body::Body;

use super::Served;
use crate::support::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, MAX_CONCURRENT_STREAMS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, Wire, block, frame, has_setting, opened,
};

/// The windows of host/listen/connection.rs.
const STREAM_WINDOW_BYTES: u32 = 65_535;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// hyper's server, set up as `with` has it, for one connection. Its calls are
/// answered with this and never read; where there is nothing, they are stuck.
fn serve(with: impl FnOnce(&mut Builder<TokioExecutor>), answer: impl Fn() -> Option<Body> + Send + 'static) -> Served {
    let mut builder = Builder::new(TokioExecutor::new());
    with(&mut builder);
    Served::start(async move |listener| {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer();
            async move {
                let _unread = request;
                match answer {
                    Some(body) => Ok::<_, Infallible>(Response::new(body)),
                    None => std::future::pending().await,
                }
            }
        });
        // However it ends, its client sees it.
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    })
}

fn stuck() -> Option<Body> {
    None
}

/// Sends tiny DATA frames to a server of these windows whose handler never
/// reads; whether its connection survives.
async fn survives_tiny_frames(stream_window: u32, connection_window: u32) -> bool {
    const FRAMES: usize = 5_000;
    const MESSAGE: &[u8] = b"\0\0\0\0\x04\x08\x01\x10\x02";
    let windows = |builder: &mut Builder<_>| {
        builder.initial_stream_window_size(stream_window).initial_connection_window_size(connection_window);
    };
    let server = serve(windows, stuck);
    let stream = tokio::net::TcpStream::connect(&server.address).await.unwrap();
    let (client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut ping = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::post("http://x/s/m").body(()).unwrap();
    let (_response, mut sending) = client.send_request(request, false).unwrap();
    for _ in 0..FRAMES {
        sending.reserve_capacity(9);
        let capacity = std::future::poll_fn(|context| sending.poll_capacity(context));
        // A stalled handler gives no window back: what is left unsent waits, as flow control has it.
        match tokio::time::timeout(std::time::Duration::from_millis(500), capacity).await {
            Ok(Some(Ok(_))) if sending.send_data(Bytes::from_static(MESSAGE), false).is_ok() => {
                // Written as a frame of its own before the next one is there.
                tokio::task::yield_now().await;
            }
            Ok(_) => return false,
            Err(_) => break,
        }
    }
    // Answered once everything before it was taken.
    let alive = ping.ping(h2::Ping::opaque()).await.is_ok();
    connection.abort();
    alive
}

/// Hence the windows of host/listen/connection.rs, which look wrong and are not.
#[tokio::test]
async fn h2_takes_tiny_frames_to_a_stalled_handler_for_an_attack_where_the_windows_are_equal() {
    assert!(survives_tiny_frames(STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES).await, "our windows");
    assert!(
        !survives_tiny_frames(1 << 20, 1 << 20).await,
        "h2 no longer counts frames against the window: the workaround can go"
    );
}

/// Hence host/listen/connection.rs always gives a number.
#[test]
fn hyper_takes_no_number_of_calls_for_no_limit_rather_than_its_own() {
    let announced = |with: fn(&mut Builder<_>)| {
        let (.., settings) = Wire::open(&serve(with, stuck).address).next_of(SETTINGS).unwrap();
        has_setting(&settings, MAX_CONCURRENT_STREAMS)
    };
    assert!(announced(|_| ()), "unasked, there is a limit");
    let unlimited = |builder: &mut Builder<_>| _ = builder.max_concurrent_streams(None);
    assert!(!announced(unlimited), "hyper has a limit all the same: the workaround can go");
}

/// Hence host/listen/connection.rs always gives a number.
#[test]
fn hyper_takes_no_number_of_faults_for_no_limit_rather_than_its_own() {
    const CALLS: u32 = 3_000;
    // Each makes the server reset a call: a window larger than there can be.
    let faults: Vec<u8> = (0..CALLS)
        .flat_map(|turn| {
            let stream = turn * 2 + 1;
            [opened(stream, "RouteChat"), frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat()
        })
        .collect();
    let survives = |with: fn(&mut Builder<_>)| Wire::open(&serve(with, stuck).address).round(&faults).is_ok();
    assert!(!survives(|_| ()), "unasked, there is a limit");
    let unlimited = |builder: &mut Builder<_>| _ = builder.max_local_error_reset_streams(None);
    assert!(survives(unlimited), "hyper has a limit all the same: the workaround can go");
}

/// Hence host/listen/meter.rs counts calls that are reset, and those that end.
#[test]
fn h2_lets_a_peer_reset_every_call_that_it_gave_time_to_begin() {
    // At a time, as many as stay below h2's own bound.
    const CALLS: u32 = 10;
    const TURNS: u32 = 150;
    let server = serve(|builder| _ = builder.max_pending_accept_reset_streams(20), stuck);
    let mut wire = Wire::open(&server.address);
    for turn in 0..TURNS {
        let each = |with: fn(u32) -> Vec<u8>| -> Vec<u8> {
            (0..CALLS).flat_map(|call| with((turn * CALLS + call) * 2 + 1)).collect()
        };
        let taken = wire.round(&each(|stream| opened(stream, "RouteChat"))).is_ok()
            && wire.round(&each(|stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]))).is_ok();
        assert!(taken, "h2 closed after {} calls: the workaround can go", turn * CALLS);
    }
}

/// Hence host/listen/meter.rs counts frames that carry no call.
#[test]
fn h2_takes_any_number_of_frames_that_carry_no_call() {
    const FRAMES: usize = 5_000;
    for (what, part) in [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("WINDOW_UPDATE of a call", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("an unknown kind", frame(0xbe, 0, 0, b"?")),
    ] {
        let server = serve(|_| (), stuck);
        let mut wire = Wire::open(&server.address);
        let survives = wire.round(&[opened(1, "RecordRoute"), part.repeat(FRAMES)].concat()).is_ok();
        assert!(survives, "h2 closes at a flood of {what}: the workaround can go");
    }
}

/// Ends a connection as h2 does, as soon as it is there; how many calls are met
/// of what its peer then says, in answer to the ping behind the first GOAWAY.
fn met(says: impl FnOnce(Vec<u8>, Vec<u8>) -> [Vec<u8>; 2]) -> usize {
    let (told, met) = std::sync::mpsc::channel();
    let server = Served::start(async move |listener| {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        connection.graceful_shutdown();
        let mut met = 0;
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            met += 1;
            answer.send_response(Response::new(()), true).unwrap();
        }
        told.send(met).unwrap();
    });
    let mut wire = Wire::open(&server.address);
    let (.., asked) = wire.next_of(PING).expect("a ping behind the GOAWAY");
    let answer = frame(PING, ACK, 0, &asked);
    let call = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block("/routeguide.RouteGuide/GetFeature"));
    assert!(wire.send(&says(answer, call).concat()));
    wire.closed();
    met.recv().unwrap()
}

/// Hence host/listen/metered.rs says a GOAWAY of its own some time before h2's.
#[test]
fn h2_meets_no_call_that_comes_right_behind_the_answer_to_its_ping() {
    assert_eq!(met(|answer, call| [call, answer]), 1);
    let met = met(|answer, call| [answer, call]);
    assert_eq!(met, 0, "h2 meets what its peer sent before it had the second GOAWAY: the workaround can go");
}

/// Ten bytes at a time, and a count of how often it was asked for them.
struct Asked(Arc<AtomicUsize>);

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready((before < 3).then(|| Ok(Frame::data(Bytes::from_static(b"ten bytes!")))))
    }
}

/// Hence host/listen/connection.rs watches answers that nobody takes: asked for
/// nothing, an answer cannot see its own deadline pass.
#[test]
fn hyper_asks_an_answer_for_nothing_while_its_peer_takes_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = serve(|_| (), move || Some(Body::new(Asked(counted.clone()))));
    let mut wire = Wire::connect(&server.address);
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    assert!(wire.send(&[PREFACE, &no_window, &opened(1, "RouteChat")].concat()));
    assert!(wire.next_of(HEADERS).is_some() && wire.round(&[]).is_ok());
    assert_eq!(asked.load(Ordering::Relaxed), 1, "hyper goes on asking: the workaround can go");
    assert!(wire.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100])));
    while wire.next_of(DATA).expect("the answer goes on").1 & END_STREAM == 0 {}
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}
