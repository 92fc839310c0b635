//! tonic-health, tonic-reflection, and the crates for schemas: beside them the
//! host has engines of its own.

use futures_util::{FutureExt as _, StreamExt as _};
use ostler::proto;
use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodOptions};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_server::Health as _;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse};

use super::Served;
use crate::support::client::channel;
use crate::support::walk::Reflection;

/// Hence a plugin's panic while it builds is caught, and host/schema/check looks
/// schemas over before a pool sees them.
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

/// Where they go in a circle it follows them for ever, which no test can show
/// and live. Hence `flat` of host/schema/pool.rs.
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

/// Hence build.rs and host/reflection/index.rs hand schemas on as the bytes they are.
#[test]
fn prost_types_loses_options_that_it_does_not_know() {
    // Field 50001, the text "admin".
    let options = [0x8a, 0xb5, 0x18, 5, b'a', b'd', b'm', b'i', b'n'];
    let known = MethodOptions::decode(&options[..]).unwrap();
    assert!(known.encode_to_vec().is_empty(), "prost-types keeps them: the workaround can go");
}

/// Hence host/reflection/details.rs gives them the names that everybody imports them by.
#[test]
fn tonic_types_calls_google_s_files_by_bare_names() {
    let set = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap();
    let mut names: Vec<_> =
        set.file.iter().filter(|file| file.package() == "google.rpc").map(|file| file.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["error_details.proto", "status.proto"], "they have other names: the workaround can go");
}

fn watch(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: service.to_owned() })
}

/// Hence host/health.rs has an engine of its own.
#[tokio::test]
async fn tonic_health_refuses_to_watch_a_name_it_does_not_know() {
    let service = HealthService::from_health_reporter(HealthReporter::new());
    let code = service.watch(watch("no.such")).await.err().map(|status| status.code());
    assert_eq!(code, Some(Code::NotFound), "tonic-health watches for it: the workaround can go");
}

/// Hence host/health.rs remembers what a watcher was told last.
#[tokio::test]
async fn tonic_health_tells_a_status_again_that_has_not_changed() {
    let reporter = HealthReporter::new();
    let service = HealthService::from_health_reporter(reporter.clone());
    let mut updates = service.watch(watch("")).await.unwrap().into_inner();
    let first = updates.next().await.unwrap().unwrap();
    reporter.set_service_status("", ServingStatus::Serving).await;
    let again = updates.next().now_or_never().expect("tonic-health tells changes alone: the workaround can go");
    assert_eq!(again.unwrap().unwrap(), first);
}

/// Hence host/health.rs has a Watch go on when its name comes and goes.
#[tokio::test]
async fn tonic_health_ends_a_watch_when_its_name_goes() {
    let mut reporter = HealthReporter::new();
    reporter.set_service_status("a.guest", ServingStatus::Serving).await;
    let service = HealthService::from_health_reporter(reporter.clone());
    let mut updates = service.watch(watch("a.guest")).await.unwrap().into_inner();
    assert!(updates.next().await.is_some());
    reporter.clear_service_status("a.guest").await;
    let end = updates.next().now_or_never();
    assert!(matches!(end, Some(None)), "tonic-health watches on: the workaround can go: {end:?}");
}

/// Hence build.rs makes health's server from the protocol's own file.
#[test]
fn tonic_health_has_no_list() {
    let set = FileDescriptorSet::decode(tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap();
    let methods: Vec<&str> = set.file[0].service[0].method.iter().map(|method| method.name()).collect();
    assert_eq!(methods, ["Check", "Watch"], "tonic-health has more: the workaround can go");
}

/// A file with one message, and what it imports.
fn file(name: &str, message: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("files".to_owned()),
        message_type: vec![DescriptorProto { name: Some(message.to_owned()), ..Default::default() }],
        dependency: imports.iter().map(|&import| import.to_owned()).collect(),
        ..Default::default()
    }
}

/// Hence host/reflection/index.rs refuses a file that another contradicts.
#[test]
fn tonic_reflection_keeps_the_first_of_two_files_of_one_name_and_says_nothing() {
    let twice = FileDescriptorSet { file: vec![file("one.proto", "One", &[]), file("one.proto", "Other", &[])] };
    let built = tonic_reflection::server::Builder::configure().register_file_descriptor_set(twice).build_v1();
    assert!(built.is_ok(), "tonic-reflection refuses the other: the workaround can go");
}

/// tonic-reflection over our own schemas and two files of which one imports the other.
async fn reflection() -> (Served, Reflection) {
    let files =
        FileDescriptorSet { file: vec![file("leaf.proto", "Leaf", &[]), file("root.proto", "Root", &["leaf.proto"])] };
    let service = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_file_descriptor_set(files)
        .build_v1()
        .unwrap();
    let router = Server::builder().add_service(service);
    let server = Served::start(async |listener| router.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap());
    let reflection = Reflection::open(&channel(&server.address).await, "v1").await.unwrap();
    (server, reflection)
}

async fn ask(question: MessageRequest) -> Result<ServerReflectionResponse, Status> {
    let (_server, mut reflection) = reflection().await;
    let question = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    Ok(reflection.ask_raw(question).await?.expect("an answer or a status"))
}

fn symbol(name: &str) -> MessageRequest {
    MessageRequest::FileContainingSymbol(name.to_owned())
}

/// Hence host/reflection has an engine of its own.
#[tokio::test]
async fn tonic_reflection_ends_its_stream_at_a_miss() {
    for missed in [symbol("no.such.Symbol"), MessageRequest::FileByFilename("no_such.proto".to_owned())] {
        let code = ask(missed).await.err().map(|status| status.code());
        assert_eq!(code, Some(Code::NotFound), "tonic-reflection answers in band: the workaround can go");
    }
}

/// Hence host/reflection/index.rs knows extensions by their numbers.
#[tokio::test]
async fn tonic_reflection_looks_no_extension_up() {
    let asked = ExtensionRequest { containing_type: "google.protobuf.MethodOptions".to_owned(), extension_number: 1 };
    let status = ask(MessageRequest::FileContainingExtension(asked)).await.unwrap_err();
    assert_eq!(status.message(), "extensions are not supported", "now they are: the workaround can go");
}

/// Hence host/reflection/index.rs sends a file with all that it imports.
#[tokio::test]
async fn tonic_reflection_sends_a_file_without_its_imports() {
    let answer = ask(symbol("files.Root")).await.unwrap().message_response.unwrap();
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    assert_eq!(files.file_descriptor_proto.len(), 1, "tonic-reflection sends imports too: the workaround can go");
}

/// Hence host/reflection/index.rs names an enum's values as protobuf does, as
/// its siblings.
#[tokio::test]
async fn tonic_reflection_takes_an_enums_values_for_its_children() {
    let value = |of: &str| symbol(&format!("grpc.health.v1.HealthCheckResponse.{of}"));
    assert!(ask(value("ServingStatus.SERVING")).await.is_ok());
    let code = ask(value("SERVING")).await.err().map(|status| status.code());
    assert_eq!(code, Some(Code::NotFound), "tonic-reflection knows protobuf's scopes: the workaround can go");
}

/// Hence host/reflection lists what is mounted, read off the generation.
#[tokio::test]
async fn tonic_reflection_lists_services_that_are_not_there() {
    let (_server, mut reflection) = reflection().await;
    let listed = reflection.list().await;
    let absent = "routeguide.RouteGuide".to_owned();
    assert!(listed.contains(&absent), "tonic-reflection lists what is served: the workaround can go: {listed:?}");
}
