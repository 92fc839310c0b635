//! Hosts that describe themselves strangely: each is understood or told of, and
//! none has the client hang, crash or fill its memory.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use ostler::proto::DESCRIPTORS;
use ostler::proto::routeguide::route_guide_server::RouteGuideServer;
use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::server_reflection_server::{ServerReflection, ServerReflectionServer};
use tonic_reflection::pb::v1::{
    ErrorResponse, FileDescriptorResponse, ServerReflectionRequest, ServerReflectionResponse,
};

use super::other::{Other, serve};
use super::{call, client, failure, has};
use crate::support::{ostler, stdout};

/// The answer to a question; none keeps the client waiting.
type Answers = Arc<dyn Fn(Question) -> Option<Answer> + Send + Sync>;

struct Strange(Answers);

#[tonic::async_trait]
impl ServerReflection for Strange {
    type ServerReflectionInfoStream = Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let answers = self.0.clone();
        Ok(Response::new(Box::pin(request.into_inner().filter_map(move |request| {
            let message_response = request.ok().and_then(|request| request.message_request).and_then(&*answers);
            let answer = message_response
                .map(|answer| Ok(ServerReflectionResponse { message_response: Some(answer), ..Default::default() }));
            std::future::ready(answer)
        }))))
    }
}

/// A host that answers questions about itself like this, and is a RouteGuide.
fn strange(answers: impl Fn(Question) -> Option<Answer> + Send + Sync + 'static) -> String {
    let reflection = ServerReflectionServer::new(Strange(Arc::new(answers)));
    serve(tonic::transport::Server::builder().add_service(reflection).add_service(RouteGuideServer::new(Other)))
}

fn files(files: Vec<Vec<u8>>) -> Option<Answer> {
    Some(Answer::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto: files }))
}

fn not_found() -> Option<Answer> {
    let error_message = "who?".to_owned();
    Some(Answer::ErrorResponse(ErrorResponse { error_code: Code::NotFound.into(), error_message }))
}

/// RouteGuide's own file.
fn route_guide() -> FileDescriptorProto {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    set.file.into_iter().find(|file| file.package() == "routeguide").unwrap()
}

/// A host with one file, and what it imports by name.
fn with(file: Vec<u8>, imports: Vec<FileDescriptorProto>) -> String {
    strange(move |question| match question {
        Question::FileContainingSymbol(symbol) if symbol.starts_with("routeguide") => files(vec![file.clone()]),
        Question::FileByFilename(name) => match imports.iter().find(|import| import.name() == name) {
            Some(import) => files(vec![import.encode_to_vec()]),
            None => not_found(),
        },
        _ => not_found(),
    })
}

const GET: &str = "routeguide.RouteGuide/GetFeature";

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_an_edition_is_lowered() {
    let mut file = route_guide();
    file.syntax = Some("editions".to_owned());
    let mut bytes = file.encode_to_vec();
    // Edition 2023: field 14, which the crate has no name for.
    bytes.extend([14 << 3, 0xe8, 0x07]);
    let address = with(bytes.clone(), Vec::new());
    assert_eq!(
        stdout(&call(&address, &[GET, "{\"latitude\": 1}", "-H", "x-name: n"])),
        "{\"name\":\"n\",\"location\":{\"latitude\":1}}\n"
    );
    has(&stdout(&client("describe", &address, &["routeguide.Point"])), &["optional int32 latitude = 1;"]);
    bytes.extend([14 << 3, 0xff, 0x0f]);
    has(&failure(2, &call(&with(bytes, Vec::new()), &[GET, "{}"])), &["is of an edition newer than 2024"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_only_the_answer_names_is_asked_for() {
    // A feature is an `Any` to the byte: its name the type, its location the value.
    let mut file = route_guide();
    file.dependency.push("google/protobuf/any.proto".to_owned());
    file.service[0].method[0].output_type = Some(".google.protobuf.Any".to_owned());
    let mut health = FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
    health.retain(|file| file.package() == "grpc.health.v1");
    let (file, health) = (file.encode_to_vec(), health.remove(0).encode_to_vec());
    let address = strange(move |question| match question {
        Question::FileContainingSymbol(symbol) if symbol.starts_with("routeguide") => files(vec![file.clone()]),
        Question::FileContainingSymbol(symbol) if symbol.starts_with("grpc.health.v1.") => files(vec![health.clone()]),
        _ => not_found(),
    });
    let any = |name: &str| stdout(&call(&address, &[GET, "{\"latitude\": 1}", "-H", &format!("x-name: a/{name}")]));
    assert_eq!(any("routeguide.Point"), "{\"@type\":\"a/routeguide.Point\",\"latitude\":1}\n");
    assert_eq!(
        any("grpc.health.v1.HealthCheckResponse"),
        "{\"@type\":\"a/grpc.health.v1.HealthCheckResponse\",\"status\":\"SERVING\"}\n"
    );
    assert_eq!(any("nobody.Knows"), "{\"@type\":\"a/nobody.Knows\"}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_any_that_holds_nothing_is_left_out() {
    let mut file = route_guide();
    file.dependency.push("google/protobuf/any.proto".to_owned());
    let feature = file.message_type.iter_mut().find(|message| message.name() == "Feature").unwrap();
    feature.field[1].type_name = Some(".google.protobuf.Any".to_owned());
    let address = with(file.encode_to_vec(), Vec::new());
    assert_eq!(stdout(&call(&address, &[GET, "{}", "-H", "x-name: n"])), "{\"name\":\"n\"}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_only_options_need_may_be_missing_and_one_that_types_need_may_not() {
    let mut file = route_guide();
    file.dependency.push("validate/validate.proto".to_owned());
    let address = with(file.encode_to_vec(), Vec::new());
    has(&stdout(&call(&address, &[GET, "{}"])), &["\"location\":{}"]);
    file.service[0].method[0].output_type = Some(".validate.Rules".to_owned());
    let words = failure(2, &call(&with(file.encode_to_vec(), Vec::new()), &[GET, "{}"]));
    has(&words, &["the host's schema cannot be used", "does not have the files validate/validate.proto"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_imports_are_followed_to_their_end_and_in_circles() {
    let file = |name: &str, import: &str| FileDescriptorProto {
        name: Some(name.to_owned()),
        dependency: vec![import.to_owned()],
        public_dependency: vec![0],
        ..Default::default()
    };
    let mut service = route_guide();
    let types = FileDescriptorProto {
        message_type: std::mem::take(&mut service.message_type),
        name: Some("types.proto".to_owned()),
        ..service.clone()
    };
    let mut types = FileDescriptorProto { service: Vec::new(), ..types };
    types.dependency = vec!["a.proto".to_owned()];
    types.public_dependency = vec![0];
    service.dependency = vec!["a.proto".to_owned()];
    let imports = vec![file("a.proto", "b.proto"), file("b.proto", "c.proto"), file("c.proto", "types.proto"), types];
    let address = with(service.encode_to_vec(), imports);
    has(&stdout(&call(&address, &[GET, "{}"])), &["\"location\":{}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_an_error() {
    let own = "the host's schema cannot be used";
    let mut file = route_guide();
    file.syntax = Some("proto9".to_owned());
    has(&failure(2, &call(&with(file.encode_to_vec(), Vec::new()), &[GET, "{}"])), &["has the syntax `proto9`"]);
    has(&failure(2, &call(&with(vec![0xff], Vec::new()), &[GET, "{}"])), &["cannot be decoded"]);
    let mut file = route_guide();
    file.message_type.push(file.message_type[0].clone());
    has(&failure(2, &call(&with(file.encode_to_vec(), Vec::new()), &[GET, "{}"])), &[own]);
    let mut file = route_guide();
    file.message_type[0].field[0].type_name = Some(".no.Where".to_owned());
    file.message_type[0].field[0].r#type = None;
    has(&failure(2, &call(&with(file.encode_to_vec(), Vec::new()), &[GET, "{}"])), &[own]);
    let angry = strange(|_| {
        let error_message = "not for you".to_owned();
        Some(Answer::ErrorResponse(ErrorResponse { error_code: Code::PermissionDenied.into(), error_message }))
    });
    has(&failure(3, &call(&angry, &[GET, "{}"])), &["PERMISSION_DENIED: not for you"]);
    let beside = strange(|_| files(Vec::new()));
    has(&failure(3, &client("list", &beside, &[])), &["answers something else"]);
    let mute = strange(|_| None);
    let output = ostler(&["list", "--address", &mute, "--timeout", "300ms"]);
    has(&failure(3, &output), &["DEADLINE_EXCEEDED: the host did not describe itself within 300ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn well_known_types_that_are_not_as_known_are_an_error() {
    let field = |name: &str, kind: i32| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(1),
        r#type: Some(kind),
        ..Default::default()
    };
    for (name, field) in [
        ("Struct", field("fields", 12)),
        ("Value", field("odd", 9)),
        ("ListValue", field("values", 9)),
        ("Timestamp", field("seconds", 9)),
        ("BoolValue", field("other", 9)),
        ("Any", field("value", 9)),
    ] {
        let mut file = route_guide();
        file.dependency.push("known.proto".to_owned());
        file.service[0].method[0].output_type = Some(format!(".google.protobuf.{name}"));
        let message = DescriptorProto { name: Some(name.to_owned()), field: vec![field], ..Default::default() };
        let known = FileDescriptorProto {
            name: Some("known.proto".to_owned()),
            package: Some("google.protobuf".to_owned()),
            message_type: vec![message],
            ..Default::default()
        };
        let address = with(file.encode_to_vec(), vec![known]);
        let output = call(&address, &[GET, "{\"latitude\": 1}", "-H", "x-name: n"]);
        has(&failure(3, &output), &["error: "]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_end_is_given_up() {
    // Each file imports the next.
    let address = strange(|question| {
        let at = match question {
            Question::FileByFilename(name) => name.parse::<u32>().unwrap(),
            _ => 0,
        };
        let dependency = vec![(at + 1).to_string()];
        files(vec![
            FileDescriptorProto { name: Some(at.to_string()), dependency, ..Default::default() }.encode_to_vec(),
        ])
    });
    has(&failure(2, &call(&address, &[GET, "{}"])), &["goes on beyond 4096 files"]);
}
