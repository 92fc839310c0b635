//! Reflection, question by question, in both versions alike.

use ostler::proto;
use prost::Message as _;
use tonic::Code;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ExtensionRequest, ServerReflectionRequest};

use crate::support::client::channel;
use crate::support::walk::{Reflection, VERSIONS, health_list, walk};
use crate::support::wire::{exchange, framed};
use crate::support::{Starter, start};

const NOT_FOUND: i32 = Code::NotFound as i32;

fn symbol(name: &str) -> MessageRequest {
    MessageRequest::FileContainingSymbol(name.to_owned())
}

#[tokio::test]
async fn a_stranger_walks_from_the_list_to_every_method() {
    let host = start("health: { also: [liveness] }\n");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let services = walk(&channel, version).await;
        let expected = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "routeguide.RouteGuide",
        ];
        assert_eq!(services.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        let mut healthy: Vec<String> = health_list(&channel).await.statuses.into_keys().collect();
        healthy.sort();
        let mut names: Vec<&str> = ["", "liveness"].into_iter().chain(expected).collect();
        names.sort_unstable();
        assert_eq!(healthy, names, "health's List is the same list");
    }
}

#[tokio::test]
async fn what_is_unknown_is_answered_in_band_and_the_stream_goes_on() {
    let host = start("");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let mut reflection = Reflection::open(&channel, version).await.unwrap();
        let unknown = [
            symbol("no.such.Symbol"),
            symbol(".routeguide.RouteGuide"),
            symbol("routeguide"),
            symbol("routeguide.RouteGuide/GetFeature"),
            symbol("routeguide.RouteGuide."),
            symbol(""),
            MessageRequest::FileByFilename("no/such.proto".to_owned()),
            MessageRequest::FileByFilename(String::new()),
            MessageRequest::FileContainingExtension(ExtensionRequest {
                containing_type: "routeguide.Point".to_owned(),
                extension_number: 7,
            }),
        ];
        for question in unknown {
            assert_eq!(reflection.files(question.clone()).await, Err(NOT_FOUND), "{question:?}");
        }
        match reflection.ask(MessageRequest::AllExtensionNumbersOfType("no.such.Message".to_owned())).await {
            MessageResponse::ErrorResponse(error) => assert_eq!(error.error_code, NOT_FOUND),
            other => panic!("{other:?}"),
        }
        match reflection.ask(MessageRequest::AllExtensionNumbersOfType("routeguide.Point".to_owned())).await {
            MessageResponse::AllExtensionNumbersResponse(numbers) => assert!(numbers.extension_number.is_empty()),
            other => panic!("{other:?}"),
        }
        assert_eq!(reflection.list().await.len(), 4, "the stream goes on");
    }
}

#[tokio::test]
async fn every_kind_of_symbol_leads_to_its_file() {
    let host = start("");
    let channel = channel(host.address()).await;
    let mut reflection = Reflection::open(&channel, "v1").await.unwrap();
    let symbols = [
        ("routeguide.RouteGuide", "routeguide/route_guide.proto"),
        ("routeguide.RouteGuide.RouteChat", "routeguide/route_guide.proto"),
        ("routeguide.Point", "routeguide/route_guide.proto"),
        ("routeguide.Point.latitude", "routeguide/route_guide.proto"),
        ("grpc.health.v1.HealthListResponse.StatusesEntry", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
        // An enum's values are its siblings.
        ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflectionRequest.message_request", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto"),
    ];
    for (name, file) in symbols {
        let files = reflection.files(symbol(name)).await.unwrap();
        assert_eq!(files[0].name(), file, "{name}: the file itself comes first, however often it was sent");
    }
    let not_protobufs_scope = symbol("grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING");
    assert_eq!(reflection.files(not_protobufs_scope).await, Err(NOT_FOUND));
}

#[tokio::test]
async fn files_are_the_very_bytes_that_were_compiled() {
    let host = start("");
    let channel = channel(host.address()).await;
    let mut reflection = Reflection::open(&channel, "v1").await.unwrap();
    let answer = reflection.ask(symbol("routeguide.RouteGuide")).await;
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    let bytes = &files.file_descriptor_proto[0];
    let set = proto::DESCRIPTORS;
    assert!(set.windows(bytes.len()).any(|window| window == bytes.as_slice()));
    let file = prost_types::FileDescriptorProto::decode(bytes.as_slice()).unwrap();
    let comments: Vec<_> =
        file.source_code_info.unwrap().location.into_iter().filter_map(|location| location.leading_comments).collect();
    assert!(
        comments.iter().any(|comment| comment.contains("Takes the points of a route")),
        "comments reach the client"
    );
    let location = file.message_type[0].field[0].json_name();
    assert_eq!(location, "latitude", "clients print JSON names");
}

#[tokio::test]
async fn a_request_that_asks_nothing_ends_the_stream() {
    let host = start("");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let mut reflection = Reflection::open(&channel, version).await.unwrap();
        let nothing = ServerReflectionRequest { host: "h".to_owned(), message_request: None };
        assert_eq!(reflection.ask_raw(nothing).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn host_and_question_come_back() {
    let host = start("");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let mut reflection = Reflection::open(&channel, version).await.unwrap();
        let question = ServerReflectionRequest { host: "here".to_owned(), message_request: Some(symbol("x")) };
        let answer = reflection.ask_raw(question.clone()).await.unwrap().unwrap();
        assert_eq!((answer.valid_host.as_str(), answer.original_request), ("here", Some(question)));
    }
}

#[tokio::test]
async fn odd_questions_are_answered_like_any_other_that_finds_nothing() {
    let host = start("");
    let channel = channel(host.address()).await;
    let odd = ["\0", "routeguide.Point\0", "routeguide.Point\n", "routeguide.Pоint", "Ω.🦀", &"a.".repeat(30_000)];
    let names = odd.iter().flat_map(|name| {
        let name = (*name).to_owned();
        [symbol(&name), MessageRequest::FileByFilename(name.clone()), MessageRequest::AllExtensionNumbersOfType(name)]
    });
    let numbers = [-1, 0, i32::MIN, i32::MAX].map(|extension_number| {
        let containing_type = "google.protobuf.MethodOptions".to_owned();
        MessageRequest::FileContainingExtension(ExtensionRequest { containing_type, extension_number })
    });
    let questions: Vec<_> = names.chain(numbers).collect();
    for version in VERSIONS {
        let mut reflection = Reflection::open(&channel, version).await.unwrap();
        for asked in &questions {
            let asked = ServerReflectionRequest { host: "Ω\0".to_owned(), message_request: Some(asked.clone()) };
            let answer = reflection.ask_raw(asked.clone()).await.unwrap().unwrap();
            assert_eq!((answer.valid_host.as_str(), answer.original_request.as_ref()), ("Ω\0", Some(&asked)));
            let Some(MessageResponse::ErrorResponse(error)) = answer.message_response else { panic!("{asked:?}") };
            assert_eq!(error.error_code, NOT_FOUND, "{asked:?}");
        }
        assert_eq!(reflection.list().await.len(), 4, "the stream goes on");
    }
}

#[tokio::test]
async fn a_question_of_megabytes_ends_its_stream_and_no_other() {
    let host = start("");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let mut other = Reflection::open(&channel, version).await.unwrap();
        let mut reflection = Reflection::open(&channel, version).await.unwrap();
        let large = ServerReflectionRequest { host: "x".repeat(4 << 20), message_request: Some(symbol("x")) };
        assert_eq!(reflection.ask_raw(large).await.unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(other.list().await.len(), 4);
    }
}

#[tokio::test]
async fn a_hundred_questions_at_once_make_the_host_hold_few_of_their_answers() {
    let large = format!("// {}\nsyntax = \"proto3\"; service Large {{}}", "x".repeat(1 << 20));
    let services = "services: { Large: { schema: large.proto, handler: { rules: {} } } }\n";
    let host = Starter::default().file("large.proto", &large).start(services);
    let question = ServerReflectionRequest { host: String::new(), message_request: Some(symbol("Large")) };
    let questions = framed(0, &question.encode_to_vec()).repeat(100).into();
    let call = http::Request::post("http://ostler/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let before = host.peak_bytes();
    let outcome = exchange(host.address(), call, &[questions], true).await;
    assert_eq!(outcome.status(), Some(0));
    let grown = host.peak_bytes() - before;
    println!("{} bytes of answers: {grown} more in memory at most", outcome.body.len());
    assert!(outcome.body.len() > 100 << 20 && grown < 50 << 20, "{grown} bytes more in memory");
}

#[tokio::test]
async fn a_host_without_services_is_walked_like_any_other() {
    let host = start("services: {}\n");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let services = walk(&channel, version).await;
        assert!(services.len() == 3 && services.iter().all(|name| name.starts_with("grpc.")), "{services:?}");
    }
}

#[tokio::test]
async fn reflection_can_be_turned_off() {
    let host = start("reflection: false\n");
    let channel = channel(host.address()).await;
    for version in VERSIONS {
        let status = match Reflection::open(&channel, version).await {
            Ok(_) => panic!("reflection answers"),
            Err(status) => status,
        };
        assert_eq!(status.code(), Code::Unimplemented);
    }
    let names: Vec<String> = health_list(&channel).await.statuses.into_keys().collect();
    assert!(names.iter().all(|name| !name.contains("reflection")), "{names:?}");
}

#[tokio::test]
async fn a_stream_keeps_its_generation_and_is_ended_when_stale_and_quiet() {
    let host = start("");
    let channel = channel(host.address()).await;
    let mut reflection = Reflection::open(&channel, "v1").await.unwrap();
    assert!(reflection.list().await.contains(&"routeguide.RouteGuide".to_owned()));
    assert!(host.reload("services: {}\n"));
    assert!(reflection.list().await.contains(&"routeguide.RouteGuide".to_owned()), "an open stream sees one world");
    assert!(reflection.files(symbol("routeguide.Point")).await.is_ok());
    assert_eq!(reflection.end().await.unwrap(), None, "and is ended cleanly once it is quiet");
    let mut reflection = Reflection::open(&channel, "v1").await.unwrap();
    assert_eq!(reflection.list().await.len(), 3, "the next one sees the new list");
}
