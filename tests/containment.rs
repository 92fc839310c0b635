//! Containment: whatever ends a call ends its work, all of it, and soon.
//!
//! The host is embedded here, with two kinds of the test's own whose handlers
//! count themselves for as long as they live. Times are printed, and bounded
//! only so far that a loaded machine keeps them.

mod route_guide;

use std::net::Shutdown;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use ostler::config::Document;
use ostler::host::listen::{Front, Inherited, Workers};
use ostler::host::{BoxError, Build, Conversation, Dynamic, Host, Messages, Mount, Plugin, Registry, Reply, Schema};
use ostler::proto::routeguide::route_guide_server::{RouteGuide, RouteGuideServer};
use ostler::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::{Request, Response, Status, Streaming};

use crate::support::PATIENCE;
use crate::support::client::{note, point, world};
use crate::support::wire::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, RST_STREAM, Wire, block, call, exchange, frame, framed,
};

const METHODS: [&str; 4] = ["GetFeature", "ListFeatures", "RecordRoute", "RouteChat"];
const SERVICE: &str = "routeguide.RouteGuide";
const DEADLINE_EXCEEDED: u8 = 4;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
/// What no timing may pass; what they are is printed.
const LAX: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

/// How many handlers live.
#[derive(Clone)]
struct Gauge(Arc<watch::Sender<usize>>);

/// One of them, until it drops.
struct Alive(Gauge);

impl Gauge {
    fn enter(&self) -> Alive {
        self.0.send_modify(|count| *count += 1);
        Alive(self.clone())
    }

    async fn begun(&self) {
        self.0.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }

    async fn is(&self, count: usize) {
        let mut watched = self.0.subscribe();
        let reached = tokio::time::timeout(PATIENCE, watched.wait_for(|now| *now == count)).await;
        assert!(reached.is_ok(), "{} handlers live, and not {count}", *self.0.borrow());
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Compiled in: handlers that wait for their callers, each in its own way. A
/// rectangle with corners is listed without end and without a pause; the point
/// (13, 13) is where the handler panics.
struct Compiled(Gauge);

/// Known by descriptor: handlers that take one message, answer it where they
/// may, and never wake again.
struct Described(Gauge);

impl Plugin for Compiled {
    const KIND: &'static str = "compiled";
    type Config = std::collections::BTreeMap<String, String>;

    async fn build(&self, _: Self::Config, _: &Build) -> Result<Mount, BoxError> {
        let server = RouteGuideServer::new(Handlers(self.0.clone()));
        Ok(Mount::compiled(server, ostler::proto::DESCRIPTORS)?)
    }
}

impl Plugin for Described {
    const KIND: &'static str = "described";
    type Config = std::collections::BTreeMap<String, String>;

    async fn build(&self, _: Self::Config, build: &Build) -> Result<Mount, BoxError> {
        Ok(Mount::dynamic(&Schema::decode(ostler::proto::DESCRIPTORS)?, build.service(), Sleeper(self.0.clone()))?)
    }
}

struct Sleeper(Gauge);

impl Dynamic for Sleeper {
    async fn call(self: Arc<Self>, conversation: Conversation) -> Result<Reply, Status> {
        let Conversation { method, mut requests, .. } = conversation;
        let alive = self.0.enter();
        let streams = method.is_server_streaming();
        let first = stream::once(async move {
            let _alive = alive;
            let _request = requests.message().await?;
            if !streams {
                std::future::pending::<()>().await;
            }
            Ok(prost_reflect::DynamicMessage::new(method.output()))
        });
        let alive = self.0.enter();
        let messages: Messages = Box::pin(first.chain(stream::once(async move {
            let _alive = alive;
            std::future::pending().await
        })));
        Ok(messages.into())
    }
}

#[derive(Clone)]
struct Handlers(Gauge);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RouteGuide for Handlers {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let _alive = self.0.enter();
        assert_ne!(request.into_inner(), point(13, 13), "asked to panic");
        std::future::pending().await
    }

    type ListFeaturesStream = Answers<Feature>;

    /// What is spawned belongs to the answer, and ends with it.
    async fn list_features(&self, request: Request<Rectangle>) -> Result<Response<Self::ListFeaturesStream>, Status> {
        let alive = self.0.enter();
        if request.into_inner().lo.is_some() {
            let feature = Feature { name: "x".repeat(1000), location: None };
            let endless = stream::repeat(feature).map(move |feature| {
                let _alive = &alive;
                Ok(feature)
            });
            return Ok(Response::new(Box::pin(endless)));
        }
        let (sender, mut features) = mpsc::channel(1);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let _alive = alive;
            let _ = sender.send(Ok(Feature::default())).await;
            std::future::pending::<()>().await;
        });
        Ok(Response::new(Box::pin(stream::poll_fn(move |context| {
            let _work = &work;
            features.poll_recv(context)
        }))))
    }

    async fn record_route(&self, request: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        let _alive = self.0.enter();
        let mut points = request.into_inner();
        while points.message().await?.is_some() {}
        Ok(Response::new(RouteSummary::default()))
    }

    type RouteChatStream = Answers<RouteNote>;

    async fn route_chat(
        &self,
        request: Request<Streaming<RouteNote>>,
    ) -> Result<Response<Self::RouteChatStream>, Status> {
        let alive = self.0.enter();
        Ok(Response::new(Box::pin(request.into_inner().map(move |note| {
            let _alive = &alive;
            note
        }))))
    }
}

/// A host in this process.
struct Embedded {
    host: Host,
    front: Front,
    gauge: Gauge,
}

impl Embedded {
    async fn start(kind: &str, limits: &str) -> Embedded {
        let gauge = Gauge(Arc::default());
        let kinds = Registry::default().with(Compiled(gauge.clone())).with(Described(gauge.clone()));
        let host = Host::new(kinds).unwrap();
        let yaml =
            format!("listen: 127.0.0.1:0\nlimits: {{ {limits} }}\nservices: {{ {SERVICE}: {{ handler: {kind} }} }}\n");
        let document = Document::parse("ostler.yaml", &yaml, Path::new("."), &|_| None).unwrap();
        let generation = host.build(document).await.unwrap();
        let document = generation.document.clone();
        let mut front = Front::new(&host, Workers::start().unwrap(), Inherited::default());
        let prepared = front.prepare(&document.shape, &document.base).await.unwrap();
        host.install(generation);
        front.commit(&document.shape.listen, prepared);
        Embedded { host, front, gauge }
    }

    fn address(&self) -> String {
        self.front.addresses()[0].to_string()
    }
}

/// A method's request: one message, and whether the client has said its last.
fn request(method: &str) -> (Bytes, bool) {
    let message = match method {
        "ListFeatures" => Rectangle::default().encode_to_vec(),
        "RouteChat" => note(1, 1, "a").encode_to_vec(),
        _ => point(1, 1).encode_to_vec(),
    };
    (framed(0, &message), matches!(method, "GetFeature" | "ListFeatures"))
}

/// Opens a call on a connection of its own and leaves it open.
fn begin(address: &str, method: &str, body: &[u8], ends: bool) -> Wire {
    let mut wire = Wire::open(address);
    let head = frame(HEADERS, END_HEADERS, 1, &block(&format!("/{SERVICE}/{method}")));
    let flags = if ends { END_STREAM } else { 0 };
    assert!(wire.send(&[head, frame(DATA, flags, 1, body)].concat()));
    wire
}

/// The ways a client leaves a call.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// RST_STREAM: the connection stays.
    Reset,
    /// FIN: half closed, as by a process that ends in order.
    Finish,
    /// RST: gone at once, as by one that is killed.
    Abort,
}

impl Leaves {
    const ALL: [Leaves; 3] = [Leaves::Reset, Leaves::Finish, Leaves::Abort];

    /// Leaves; what is returned keeps a connection that is to stay.
    fn leave(self, mut wire: Wire) -> Option<Wire> {
        match self {
            Leaves::Reset => assert!(wire.send(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]))),
            Leaves::Finish => wire.0.shutdown(Shutdown::Write).unwrap(),
            Leaves::Abort => {
                rustix::net::sockopt::set_socket_linger(&wire.0, Some(Duration::ZERO)).unwrap();
                return None;
            }
        }
        Some(wire)
    }
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{what}: median {:.2} ms, most {:.2} ms of {}", ms(median), ms(most), took.len());
    assert!(most < LAX, "{what}: {most:?}");
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Waits for an answer's first bytes.
fn answered(wire: &mut Wire) {
    let data = std::iter::from_fn(|| wire.next()).find(|(kind, _, stream, _)| (*kind, *stream) == (DATA, 1));
    data.expect("an answer begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_work_with_it() {
    for kind in ["compiled", "described"] {
        // Were a place not given back, there would soon be none.
        let host = Embedded::start(kind, "calls: 4").await;
        for method in METHODS {
            let (body, ends) = request(method);
            for leaves in Leaves::ALL {
                let mut took = Vec::new();
                for _ in 0..ROUNDS {
                    let mut wire = begin(&host.address(), method, &body, ends);
                    host.gauge.begun().await;
                    if matches!(method, "ListFeatures" | "RouteChat") {
                        answered(&mut wire);
                    }
                    let since = Instant::now();
                    let _stays = leaves.leave(wire);
                    host.gauge.is(0).await;
                    took.push(since.elapsed());
                }
                tell(&format!("{kind} {method} {leaves:?}"), took);
            }
        }
    }
}

/// Makes a call that is left open and waits for its end, by a deadline or the host.
async fn ended(address: &str, method: &str, timeout: Option<&str>) -> Outcome {
    let (body, ends) = request(method);
    let call = timeout.into_iter().fold(call(method), |call, timeout| call.header("grpc-timeout", timeout));
    exchange(address, call, &[body], ends).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_ends_the_work() {
    for kind in ["compiled", "described"] {
        let host = Embedded::start(kind, "calls: 4").await;
        for method in METHODS {
            let (mut told, mut dropped) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let due = Instant::now() + Duration::from_millis(100);
                let outcome = async {
                    let outcome = ended(&host.address(), method, Some("100m")).await;
                    told.push(due.elapsed());
                    outcome
                };
                let gone = async {
                    host.gauge.begun().await;
                    host.gauge.is(0).await;
                    due.elapsed()
                };
                let (outcome, gone) = tokio::join!(outcome, gone);
                assert_eq!(outcome.status(), Some(DEADLINE_EXCEEDED), "{kind} {method}: {outcome:?}");
                dropped.push(gone);
            }
            tell(&format!("{kind} {method}, status past the deadline"), told);
            tell(&format!("{kind} {method}, handler past the deadline"), dropped);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_drain_ends_the_work() {
    const DRAIN: Duration = Duration::from_millis(100);
    for kind in ["compiled", "described"] {
        for method in METHODS {
            let Embedded { host, front, gauge } = Embedded::start(kind, "").await;
            let address = front.addresses()[0].to_string();
            let draining = async {
                gauge.begun().await;
                let due = Instant::now() + DRAIN;
                let gone = async {
                    gauge.is(0).await;
                    due.elapsed()
                };
                tokio::join!(front.drain(&host, Duration::ZERO, DRAIN), gone)
            };
            let (outcome, (whole, gone)) = tokio::join!(ended(&address, method, None), draining);
            assert_eq!((outcome.status(), whole), (Some(UNAVAILABLE), false), "{kind} {method}: {outcome:?}");
            tell(&format!("{kind} {method}, handler past the drain"), vec![gone]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_old_connection_ends_the_work() {
    for method in METHODS {
        let host = Embedded::start("compiled", "age: 100ms, age_grace: 100ms").await;
        let (body, ends) = request(method);
        let mut wire = begin(&host.address(), method, &body, ends);
        wire.closed();
        let since = Instant::now();
        host.gauge.is(0).await;
        tell(&format!("{method}, handler past its connection's age"), vec![since.elapsed()]);
    }
}

fn endless() -> Bytes {
    framed(0, &world().encode_to_vec())
}

/// An answer that is always ready is one body that never waits: what ends
/// others while they wait has to find this one too.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_pauses_ends_all_the_same() {
    let host = Embedded::start("compiled", "").await;
    for leaves in Leaves::ALL {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let mut wire = begin(&host.address(), "ListFeatures", &endless(), true);
            answered(&mut wire);
            let since = Instant::now();
            let _stays = leaves.leave(wire);
            host.gauge.is(0).await;
            took.push(since.elapsed());
        }
        tell(&format!("endless, {leaves:?}"), took);
    }

    let mut turns = 0;
    let (outcome, due) = loop {
        let due = Instant::now() + Duration::from_millis(100);
        let listing = call("ListFeatures").header("grpc-timeout", "100m");
        let outcome = exchange(&host.address(), listing, &[endless()], true).await;
        // A reader that this machine keeps from reading does not read as fast as it comes.
        if outcome.reset.is_none() || turns == 20 {
            break (outcome, due);
        }
        turns += 1;
    };
    assert_eq!(outcome.status(), Some(DEADLINE_EXCEEDED), "read as fast as it comes");
    assert!(!outcome.body.is_empty());
    host.gauge.is(0).await;
    tell("endless and read, past the deadline", vec![due.elapsed()]);

    // Nor does a peer that reads nothing keep the handler past its deadline.
    let mut wire = Wire::open(&host.address());
    let mut head = block(&format!("/{SERVICE}/ListFeatures"));
    head.extend(b"\x00\x0cgrpc-timeout\x04100m");
    let due = Instant::now() + Duration::from_millis(100);
    assert!(wire.send(&[frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, &endless())].concat()));
    host.gauge.begun().await;
    host.gauge.is(0).await;
    tell("endless and not read, past the deadline", vec![due.elapsed()]);

    let Embedded { host, front, gauge } = host;
    let address = front.addresses()[0].to_string();
    let draining = async {
        gauge.begun().await;
        front.drain(&host, Duration::ZERO, Duration::from_millis(100)).await
    };
    let body = [endless()];
    let (outcome, _) = tokio::join!(exchange(&address, call("ListFeatures"), &body, true), draining);
    assert_eq!(outcome.status(), Some(UNAVAILABLE), "read as fast as it comes, at the drain's end");
    gauge.is(0).await;
}

/// A peer that takes nothing, of a call without a deadline.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_nobody_takes_ends_its_work() {
    let host = Embedded::start("compiled", "write_stall: 200ms").await;
    let mut wire = begin(&host.address(), "ListFeatures", &endless(), true);
    answered(&mut wire);
    let due = Instant::now() + Duration::from_millis(200);
    host.gauge.is(0).await;
    tell("endless and not read, past the stall", vec![due.elapsed()]);

    // It cannot be told that the host stops; the time for last words is its last.
    let Embedded { host, front, gauge } = Embedded::start("compiled", "").await;
    let mut wire = begin(&front.addresses()[0].to_string(), "ListFeatures", &endless(), true);
    answered(&mut wire);
    let since = Instant::now();
    assert!(!front.drain(&host, Duration::ZERO, Duration::from_millis(100)).await);
    gauge.is(0).await;
    println!("endless and not read, a drain of 100 ms: {:.0} ms", ms(since.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_broken_inside_and_panics_end_their_call_alone() {
    let deep = [vec![0x1b; 150], vec![0x1c; 150]].concat();
    for kind in ["compiled", "described"] {
        let host = Embedded::start(kind, "calls: 4").await;
        for (what, message) in [
            ("a bad varint", vec![0x08, 0xff]),
            ("a wrong wire type", vec![0x0a, 0x01, 0x00]),
            ("groups within groups", deep.clone()),
        ] {
            for method in ["GetFeature", "RecordRoute"] {
                let outcome = exchange(&host.address(), call(method), &[framed(0, &message)], true).await;
                assert_eq!(outcome.status(), Some(INTERNAL), "{kind} {method}: {what}: {outcome:?}");
                host.gauge.is(0).await;
            }
        }
        let text = framed(0, &[0x12, 0x02, 0xff, 0xfe]);
        let outcome = exchange(&host.address(), call("RouteChat"), &[text], true).await;
        assert_eq!(outcome.status(), Some(INTERNAL), "{kind}: text that is no UTF-8: {outcome:?}");
        host.gauge.is(0).await;
    }

    let host = Embedded::start("compiled", "calls: 4").await;
    let stays = begin(&host.address(), "RouteChat", &request("RouteChat").0, false);
    host.gauge.is(1).await;
    for _ in 0..3 {
        let panics = framed(0, &point(13, 13).encode_to_vec());
        let outcome = exchange(&host.address(), call("GetFeature"), &[panics], true).await;
        assert_eq!(outcome.head(), (200, Some(INTERNAL)));
        assert_eq!(outcome.headers["grpc-message"], "internal%20error");
    }
    host.gauge.is(1).await;
    drop(stays);
    host.gauge.is(0).await;
}
