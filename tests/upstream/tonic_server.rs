//! tonic's own server, before which the host has put an entrance and below
//! which a listener of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use ostler::proto::routeguide::route_guide_server::{RouteGuide, RouteGuideServer};
use ostler::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::Served;
use crate::support::client::{note, point};
use crate::support::wire::{
    END_STREAM, GOAWAY, HEADERS, MAX_CONCURRENT_STREAMS, Outcome, SETTINGS, Wire, call, exchange, framed, has_setting,
    opened,
};

const OK: u8 = 0;
const CANCELLED: u8 = 1;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;

/// Points at which something happens.
const STUCK: i32 = 1;
const BROKEN: i32 = 2;

/// How long an echo takes: longer than the deadlines it is to outlast.
const ECHO: Duration = Duration::from_millis(50);

/// Handlers that do what is asked of them.
#[derive(Clone, Default)]
struct Guide {
    /// Told of every call that is stuck from now on.
    stuck: Arc<Notify>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RouteGuide for Guide {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        match request.into_inner().latitude {
            STUCK => {
                self.stuck.notify_one();
                std::future::pending().await
            }
            BROKEN => panic!("as it was asked to"),
            _ => Ok(Response::new(Feature::default())),
        }
    }

    type ListFeaturesStream = Answers<Feature>;

    /// Panics once its answer has begun.
    async fn list_features(&self, _: Request<Rectangle>) -> Result<Response<Answers<Feature>>, Status> {
        Ok(Response::new(Box::pin(stream::once(async { panic!("as it was asked to") }))))
    }

    async fn record_route(&self, _: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    type RouteChatStream = Answers<RouteNote>;

    /// Begins its answer at once, and says what it hears a while later.
    async fn route_chat(&self, heard: Request<Streaming<RouteNote>>) -> Result<Response<Answers<RouteNote>>, Status> {
        Ok(Response::new(Box::pin(heard.into_inner().then(async |note| {
            tokio::time::sleep(ECHO).await;
            note
        }))))
    }
}

/// The stock server, set up as `with` has it.
fn serve(guide: Guide, with: impl FnOnce(Server) -> Server) -> Served {
    let router = with(Server::builder()).add_service(RouteGuideServer::new(guide));
    Served::start(async |listener| router.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap())
}

fn stock() -> Served {
    serve(Guide::default(), |server| server)
}

/// A message about a point of this latitude.
fn at(latitude: i32) -> Bytes {
    framed(0, &point(latitude, 0).encode_to_vec())
}

fn said() -> Bytes {
    framed(0, &note(0, 0, "a note").encode_to_vec())
}

async fn unary(server: &Served, request: http::request::Builder) -> Outcome {
    exchange(&server.address, request, &[at(0)], true).await
}

/// Hence host/entrance/guard.rs looks at a request before any service does.
#[tokio::test]
async fn tonic_runs_what_is_no_call() {
    let server = stock();
    let uri = "http://ostler/routeguide.RouteGuide/GetFeature";
    for (what, request) in [
        ("a GET", call("GetFeature").method("GET")),
        ("a PUT", call("GetFeature").method("PUT")),
        ("a foreign content type", http::Request::post(uri).header("content-type", "text/plain")),
        ("no content type", http::Request::post(uri)),
        ("a query", call("GetFeature").uri(format!("{uri}?x=1"))),
        ("two authorities", call("GetFeature").header("host", "other")),
        ("binary metadata that is no base64", call("GetFeature").header("x-bin", "!")),
    ] {
        let status = unary(&server, request).await.status();
        assert_eq!(status, Some(OK), "tonic turns away {what}: the workaround can go");
    }
}

/// Hence host/entrance/mod.rs has the words for it.
#[tokio::test]
async fn tonic_does_not_say_whether_a_service_is_unknown_or_its_method() {
    let server = stock();
    for path in ["/no.such.Service/Method", "/routeguide.RouteGuide/NoSuch"] {
        let outcome = unary(&server, call("").uri(format!("http://ostler{path}"))).await;
        assert_eq!(outcome.head(), (200, Some(UNIMPLEMENTED)));
        let words = outcome.headers.get("grpc-message");
        assert_eq!(words, None, "tonic says which: the workaround can go");
    }
}

/// Hence host/entrance/framing.rs counts a request's messages.
#[tokio::test]
async fn tonic_runs_a_unary_call_with_two_messages() {
    let outcome = exchange(&stock().address, call("GetFeature"), &[at(0), at(0)], true).await;
    assert_eq!(outcome.status(), Some(OK), "tonic takes one message as one: the workaround can go");
}

/// Hence host/entrance/framing.rs counts a request's messages.
#[tokio::test]
async fn tonic_calls_a_missing_message_an_error_of_its_own() {
    let outcome = exchange(&stock().address, call("GetFeature"), &[], true).await;
    assert_eq!(outcome.status(), Some(INTERNAL), "tonic answers as gRPC has it, UNIMPLEMENTED: the workaround can go");
}

/// Hence host/entrance/mod.rs and host/entrance/answer.rs catch what a service
/// throws.
#[tokio::test]
async fn tonic_resets_a_call_whose_handler_panics_and_says_nothing() {
    let server = stock();
    let nowhere = framed(0, &[]);
    for (when, method, message, http) in
        [("before", "GetFeature", at(BROKEN), 0), ("after", "ListFeatures", nowhere, 200)]
    {
        let outcome = exchange(&server.address, call(method), &[message], true).await;
        assert_eq!(
            (outcome.http, outcome.status(), outcome.reset),
            (http, None, Some(h2::Reason::CANCEL)),
            "tonic has a word on a panic {when} the answer's head: the workaround can go"
        );
    }
}

/// Hence host/entrance/answer.rs holds calls to their deadlines.
#[tokio::test]
async fn tonic_calls_a_deadline_that_has_passed_cancelled() {
    let request = call("GetFeature").header("grpc-timeout", "1m");
    let outcome = exchange(&stock().address, request, &[at(STUCK)], true).await;
    assert_eq!(outcome.head(), (200, Some(CANCELLED)), "tonic says DEADLINE_EXCEEDED: the workaround can go");
}

/// Hence host/entrance/mod.rs asks no service where the deadline is no time at all.
#[tokio::test]
async fn tonic_runs_a_call_whose_deadline_has_passed_when_it_comes() {
    let request = call("RouteChat").header("grpc-timeout", "0n");
    let outcome = exchange(&stock().address, request, &[], true).await;
    assert_eq!(outcome.status(), Some(OK), "tonic does not run it: the workaround can go");
}

/// Hence host/entrance/deadline.rs reads the header itself, and strictly.
#[tokio::test]
async fn tonic_takes_a_malformed_deadline_for_none() {
    let server = stock();
    for timeout in ["", "S", "1", "-1S", "1 S", "1.5S", "123456789S"] {
        let outcome = unary(&server, call("GetFeature").header("grpc-timeout", timeout)).await;
        assert_eq!(outcome.status(), Some(OK), "tonic refuses {timeout:?}: the workaround can go");
    }
}

/// Hence host/entrance/answer.rs holds a call to its deadline until its last byte.
#[tokio::test]
async fn tonic_forgets_the_deadline_once_an_answer_has_begun() {
    let request = call("RouteChat").header("grpc-timeout", "1m");
    let outcome = exchange(&stock().address, request, &[said()], true).await;
    assert_eq!(outcome.status(), Some(OK), "tonic holds a stream to its deadline: the workaround can go");
    assert_eq!(outcome.body, said(), "which came {ECHO:?} later");
}

/// Hence host/entrance/mod.rs has a call's time run from when it came.
#[tokio::test]
async fn tonic_counts_no_time_that_a_call_waits_for_its_turn() {
    let guide = Guide::default();
    let server = serve(guide.clone(), |server| server.concurrency_limit_per_connection(1));
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let begin = |method: &str, timeout: &str| call(method).header("grpc-timeout", timeout).body(()).unwrap();

    let (first, mut body) = client.send_request(begin("GetFeature", "100m"), false).unwrap();
    body.send_data(at(STUCK), true).unwrap();
    guide.stuck.notified().await;
    let (second, _body) = client.send_request(begin("RouteChat", "1m"), true).unwrap();

    let Either::Left((first, second)) = select(first, second).await else {
        panic!("tonic does not have a call wait beyond its deadline: the workaround can go")
    };
    assert_eq!(first.unwrap().headers()["grpc-status"], "1", "the first has its turn until its deadline");
    // A status in the head would be the whole answer.
    let status = second.await.unwrap().headers().get("grpc-status").cloned();
    assert_eq!(status, None, "tonic did not run what was late before its turn came: the workaround can go");
    connection.abort();
}

/// Hence host/entrance/answer.rs holds a call's place until its last byte.
#[test]
fn tonic_gives_a_calls_place_away_once_its_answer_has_begun() {
    let server = serve(Guide::default(), |server| server.concurrency_limit_per_connection(1).load_shed(true));
    let mut wire = Wire::open(&server.address);
    for stream in [1, 3] {
        assert!(wire.send(&opened(stream, "RouteChat")));
        let (_, flags, of, _) = wire.next_of(HEADERS).expect("an answer");
        // Turned away for load, it would end with its head.
        assert_eq!((of, flags & END_STREAM), (stream, 0), "tonic counts open streams: the workaround can go");
    }
}

/// Hence host/listen/connection.rs says GOAWAY to connections that have grown old.
#[test]
fn tonic_closes_an_old_connection_without_a_goaway_where_there_is_grace() {
    let told = |grace: Option<Duration>| {
        let server = serve(Guide::default(), |server| {
            let server = server.max_connection_age(Duration::from_millis(1));
            match grace {
                Some(grace) => server.max_connection_age_grace(grace),
                None => server,
            }
        });
        Wire::open(&server.address).next_of(GOAWAY).is_some()
    };
    assert!(told(None), "one whose calls have all the time there is");
    let grace = Duration::from_millis(300);
    assert!(!told(Some(grace)), "tonic says GOAWAY when the grace begins: the workaround can go");
}

/// Hence host/listen/connection.rs sets up HTTP/2 itself.
#[test]
fn tonic_sets_no_limit_on_the_calls_of_a_connection() {
    let (.., settings) = Wire::open(&stock().address).next_of(SETTINGS).unwrap();
    assert!(!has_setting(&settings, MAX_CONCURRENT_STREAMS), "tonic sets one: the workaround can go");
}

/// Hence host/listen/accept.rs rests when a connection cannot be accepted.
#[tokio::test]
async fn tonic_asks_again_at_once_when_there_are_no_descriptors_left() {
    const ERRORS: usize = 1_000;
    const EMFILE: i32 = 24;
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = asked.clone();
    let incoming = stream::repeat_with(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        Err::<TcpStream, _>(std::io::Error::from_raw_os_error(EMFILE))
    });
    let incoming = incoming.take(ERRORS).chain(stream::pending());
    let router = Server::builder().add_service(RouteGuideServer::new(Guide::default()));
    assert!(router.serve_with_incoming(incoming).now_or_never().is_none());
    assert_eq!(asked.load(Ordering::Relaxed), ERRORS, "tonic rests between two errors: the workaround can go");
}
