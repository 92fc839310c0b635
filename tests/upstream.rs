//! What the libraries below us do that we work around: one test each, named
//! for it, that fails when upstream mends it and the workaround can go.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ostler::proto::routeguide::Point;
use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::codec::Codec as _;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::support::wire::framed;

/// A body of these frames.
struct Frames(Vec<Result<Bytes, Status>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
        Poll::Ready(next.map(|frame| frame.map(Frame::data)))
    }
}

fn decoded(frames: Vec<Result<Bytes, Status>>, largest: Option<usize>) -> Streaming<Point> {
    let mut codec = ProstCodec::<Point, Point>::default();
    Streaming::new_request(codec.decoder(), Frames(frames), None, largest)
}

/// Hence host/entrance/incoming.rs ends a broken upload with another status.
#[tokio::test]
async fn tonic_reads_a_cancelled_upload_as_a_clean_end() {
    let message = framed(0, &Point { latitude: 1, longitude: 2 }.encode_to_vec());
    let mut upload = decoded(vec![Ok(message.clone()), Err(Status::cancelled("reset by the peer"))], None);
    assert!(upload.message().await.unwrap().is_some());
    assert_eq!(
        upload.message().await.expect("tonic tells a broken upload from a whole one: the workaround can go"),
        None
    );
    let mut upload = decoded(vec![Ok(message), Err(Status::aborted("reset by the peer"))], None);
    assert!(upload.message().await.unwrap().is_some());
    assert_eq!(upload.message().await.unwrap_err().code(), Code::Aborted);
}

/// Hence host/entrance/framing.rs looks at every prefix itself.
#[tokio::test]
async fn tonic_answers_a_message_over_its_bound_with_out_of_range() {
    let mut stream = decoded(vec![Ok(framed(0, &[0; 100]))], Some(10));
    assert_eq!(stream.message().await.unwrap_err().code(), Code::OutOfRange);
}

/// Hence a plugin's panic while it builds is caught, and schemas loaded at run
/// time will be looked over before a pool sees them.
#[test]
fn prost_reflect_panics_on_a_file_with_editions() {
    let file = FileDescriptorProto {
        name: Some("editions.proto".to_owned()),
        syntax: Some("editions".to_owned()),
        ..Default::default()
    };
    let set = FileDescriptorSet { file: vec![file] };
    let pool = std::panic::catch_unwind(|| prost_reflect::DescriptorPool::from_file_descriptor_set(set));
    assert!(pool.is_err(), "prost-reflect has an answer for editions: {pool:?}");
}

/// Hence host/health.rs has an engine of its own.
/// Where they go in a circle it follows them for ever, which no test can show
/// and live. Hence `flat` of host/cli/client/schema.rs.
#[test]
fn prost_reflect_follows_public_imports_one_step() {
    let file = |name: &str, import: &[&str]| FileDescriptorProto {
        name: Some(name.to_owned()),
        dependency: import.iter().map(|import| (*import).to_owned()).collect(),
        public_dependency: if import.is_empty() { Vec::new() } else { vec![0] },
        ..Default::default()
    };
    let message = |name: &str| DescriptorProto { name: Some(name.to_owned()), ..Default::default() };
    let field = FieldDescriptorProto {
        name: Some("m".to_owned()),
        number: Some(1),
        type_name: Some(".M".to_owned()),
        r#type: Some(11),
        ..Default::default()
    };
    let last = FileDescriptorProto { message_type: vec![message("M")], ..file("d", &[]) };
    let user = DescriptorProto { field: vec![field], ..message("User") };
    let first = FileDescriptorProto { message_type: vec![user], ..file("a", &["b"]) };
    let set = FileDescriptorSet { file: vec![first, file("b", &["c"]), file("c", &["d"]), last] };
    let pool = prost_reflect::DescriptorPool::from_file_descriptor_set(set);
    assert!(pool.is_err(), "prost-reflect follows public imports: the workaround can go");
}

#[tokio::test]
async fn tonic_health_refuses_to_watch_a_name_it_does_not_know() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_server::Health as _;
    let (reporter, _server) = tonic_health::server::health_reporter();
    let service = tonic_health::server::HealthService::from_health_reporter(reporter);
    let watched = service.watch(tonic::Request::new(HealthCheckRequest { service: "no.such".to_owned() })).await;
    assert_eq!(watched.err().map(|status| status.code()), Some(Code::NotFound));
}

/// Sends tiny DATA frames to a server of these windows whose handler never
/// reads; whether its connection survives.
async fn survives_tiny_frames(stream_window: u32, connection_window: u32) -> bool {
    const FRAMES: usize = 5_000;
    const MESSAGE: &[u8] = b"\0\0\0\0\x04\x08\x01\x10\x02";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stalled = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let _unread = request;
            std::future::pending::<Result<http::Response<tonic::body::Body>, Infallible>>().await
        });
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .serve_connection(TokioIo::new(stream), stalled)
            .await
    });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut ping = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post("http://x/s/m").body(()).unwrap();
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
    alive && !server.is_finished()
}

/// Hence the windows of host/listen/connection.rs, which look wrong and are not.
#[tokio::test]
async fn h2_takes_tiny_frames_to_a_stalled_handler_for_an_attack_where_the_windows_are_equal() {
    assert!(survives_tiny_frames(65_535, 16 << 20).await, "our windows");
    assert!(
        !survives_tiny_frames(1 << 20, 1 << 20).await,
        "h2 no longer counts frames against the window: the workaround can go"
    );
}
