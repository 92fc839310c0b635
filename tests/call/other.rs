//! Calls to hosts that are not ours: tonic's own server, with tonic's own
//! reflection, which knows v1alpha alone here and tells one file an answer; and
//! Python's, with its own.

use std::io::{BufRead as _, BufReader};
use std::pin::Pin;
use std::process::Stdio;

use futures_util::Stream;
use ostler::proto::DESCRIPTORS;
use ostler::proto::routeguide::route_guide_server::{RouteGuide, RouteGuideServer};
use ostler::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use prost::Message as _;
use prost_types::Any;
use tonic::metadata::MetadataMap;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{LONDON, call, client, failure, has};
use crate::support::tools::{script, tool};
use crate::support::{stdout, wait};

/// Says what it was told in metadata, and fails where that says so.
pub struct Other;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RouteGuide for Other {
    type ListFeaturesStream = Answers<Feature>;
    type RouteChatStream = Answers<RouteNote>;

    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let metadata = request.metadata();
        let said = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        if metadata.contains_key("x-fail") {
            return Err(failed());
        }
        let notes: Vec<_> = metadata.get_all("x-note").iter().filter_map(|note| note.to_str().ok()).collect();
        let bytes = metadata.get_bin("x-bytes-bin").map(|value| value.to_bytes().unwrap().to_vec());
        let name = match said("x-name") {
            name if name.is_empty() => format!("{notes:?} {bytes:?}"),
            name => name,
        };
        let mut response = Response::new(Feature { name, location: Some(request.into_inner()) });
        response.metadata_mut().insert("x-answer", "42".parse().unwrap());
        Ok(response)
    }

    async fn list_features(&self, _: Request<Rectangle>) -> Result<Response<Self::ListFeaturesStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn record_route(&self, _: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn route_chat(&self, _: Request<Streaming<RouteNote>>) -> Result<Response<Self::RouteChatStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A failure with a detail of each sort: everybody's, the host's own, nobody's.
fn failed() -> Status {
    let any = |name: &str, value: Vec<u8>| Any { type_url: format!("type.googleapis.com/{name}"), value };
    let info = tonic_types::pb::ErrorInfo { reason: "BUSY".to_owned(), ..Default::default() };
    let rich = tonic_types::Status {
        code: Code::Unavailable.into(),
        message: "come \u{1b}[31mback".to_owned(),
        details: vec![
            any("google.rpc.ErrorInfo", info.encode_to_vec()),
            any("grpc.health.v1.HealthCheckRequest", b"\n\x01s".to_vec()),
            any("no.such.Detail", vec![1, 2, 3]),
        ],
    };
    let mut metadata = MetadataMap::new();
    metadata.insert("x-trailer", "43".parse().unwrap());
    let details = rich.encode_to_vec().into();
    Status::with_details_and_metadata(Code::Unavailable, rich.message, details, metadata)
}

/// Serves on a port of the system's choosing for as long as the test's runtime runs.
pub fn serve(router: Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
    tokio::spawn(router.serve_with_incoming(incoming));
    address
}

fn other() -> String {
    let reflection = tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    let reflection = reflection.build_v1alpha().unwrap();
    serve(tonic::transport::Server::builder().add_service(reflection).add_service(RouteGuideServer::new(Other)))
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_goes_and_comes() {
    let address = other();
    let sent = ["-H", "x-note: one", "--header", "X-Note:two: three ", "-H", "x-bytes-bin: AP8="];
    let output = call(&address, &[&["routeguide.RouteGuide/GetFeature", LONDON, "--headers"], &sent[..]].concat());
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["name"], "[\"one\", \"two: three\"] Some([0, 255])");
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    has(&shown, &["header x-answer: 42\n", "trailer grpc-status: 0\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_v1alpha_with_one_file_an_answer_is_understood() {
    let address = other();
    has(&stdout(&client("list", &address, &[])), &["routeguide.RouteGuide\n"]);
    has(
        &stdout(&client("describe", &address, &["routeguide.Feature"])),
        &["message Feature {", "routeguide.Point location = 2;"],
    );
    let words = failure(3, &call(&address, &["routeguide.RouteGuide/RouteChat", "{}"]));
    assert_eq!(words, "error: UNIMPLEMENTED: not here\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn details_are_told_by_the_types_that_somebody_knows() {
    let output = call(&other(), &["routeguide.RouteGuide/GetFeature", "{}", "-H", "x-fail: yes", "--headers"]);
    let words = failure(3, &output);
    has(&words, &["trailer x-trailer: 43\n"]);
    let (_, told) = words.split_once("error: ").unwrap();
    let expected = "UNAVAILABLE: come \\u{1b}[31mback\n\
                    google.rpc.ErrorInfo: {\"reason\":\"BUSY\"}\n\
                    grpc.health.v1.HealthCheckRequest: {\"service\":\"s\"}\n\
                    no.such.Detail: 3 bytes of a type that the host does not describe\n";
    assert_eq!(told, expected);
}

#[test]
fn python_s_server_is_understood() {
    let Some(python) = tool("PYTHON") else { return };
    let mut server =
        script(python, "python/serve.py", &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim();
    has(&stdout(&client("list", address, &[])), &["grpc.health.v1.Health\n"]);
    has(
        &stdout(&client("describe", address, &["grpc.health.v1.Health"])),
        &["rpc Check(grpc.health.v1.HealthCheckRequest)"],
    );
    let check =
        |service: &str| call(address, &["grpc.health.v1.Health/Check", &format!("{{\"service\": \"{service}\"}}")]);
    assert_eq!(stdout(&check("known")), "{\"status\":\"SERVING\"}\n");
    has(&failure(3, &check("unknown")), &["error: NOT_FOUND"]);
    drop(server.stdin.take());
    assert!(wait(&mut server).success());
}
