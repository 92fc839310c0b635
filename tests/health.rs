//! Health, answer by answer: derived from the generation that serves now.

use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::client::channel;
use crate::support::start;

async fn client(address: &str) -> HealthClient<tonic::transport::Channel> {
    HealthClient::new(channel(address).await)
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn check(address: &str, service: &str) -> Result<ServingStatus, Code> {
    let answer = client(address).await.check(about(service)).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

pub async fn watch(address: &str, service: &str) -> Streaming<HealthCheckResponse> {
    client(address).await.watch(about(service)).await.unwrap().into_inner()
}

pub async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus, Status> {
    stream.message().await.map(|answer| answer.expect("the stream goes on").status())
}

#[tokio::test]
async fn check_knows_every_service_the_host_and_the_names_added() {
    let host = start("health: { also: [liveness] }\n");
    for name in
        ["", "liveness", "routeguide.RouteGuide", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]
    {
        assert_eq!(check(host.address(), name).await, Ok(ServingStatus::Serving), "{name}");
    }
    for name in ["no.such.Service", "readiness", "routeguide", "routeguide.RouteGuide/GetFeature"] {
        assert_eq!(check(host.address(), name).await, Err(Code::NotFound), "{name}");
    }
    assert_eq!(check(host.address(), &"x".repeat(10_000)).await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn watch_of_an_unknown_name_stays_and_learns_of_its_coming_and_going() {
    let host = start("services: {}\n");
    let mut stream = watch(host.address(), "routeguide.RouteGuide").await;
    assert_eq!(next(&mut stream).await.unwrap(), ServingStatus::ServiceUnknown);
    assert!(host.reload(""), "the service comes");
    assert_eq!(next(&mut stream).await.unwrap(), ServingStatus::Serving);
    assert!(host.reload("log: { level: info }\n"), "a swap that changes nothing is not told");
    assert!(host.reload("services: {}\n"), "the service goes");
    assert_eq!(next(&mut stream).await.unwrap(), ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn stopping_says_not_serving_first_and_then_ends_the_watch() {
    let host = start("shutdown: { lame_duck: 1s }\n");
    let address = host.address().to_owned();
    let mut service = watch(&address, "routeguide.RouteGuide").await;
    let mut whole = watch(&address, "").await;
    let mut unknown = watch(&address, "no.such.Service").await;
    assert_eq!(next(&mut service).await.unwrap(), ServingStatus::Serving);
    assert_eq!(next(&mut whole).await.unwrap(), ServingStatus::Serving);
    assert_eq!(next(&mut unknown).await.unwrap(), ServingStatus::ServiceUnknown);
    host.signal("TERM");
    assert_eq!(next(&mut service).await.unwrap(), ServingStatus::NotServing);
    assert_eq!(next(&mut whole).await.unwrap(), ServingStatus::NotServing);
    assert_eq!(check(&address, "").await, Ok(ServingStatus::NotServing), "and still answers while it is a lame duck");
    for stream in [&mut service, &mut whole, &mut unknown] {
        assert_eq!(next(stream).await.unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(host.exit().code(), Some(0));
}
