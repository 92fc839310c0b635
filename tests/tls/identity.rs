//! Who calls, as handlers see it: services of an author's own, in a host
//! within this process.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ostler::config::Document;
use ostler::host::listen::{Front, Inherited, Workers};
use ostler::host::{BoxError, Build, Conversation, Dynamic, Host, Mount, Peer, Plugin, Registry, Reply, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower_service::Service;

use crate::support::PATIENCE;
use crate::support::authority::{Authority, HOST, Pair};
use crate::support::client::{Client, point};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

/// Answers every call with who made it.
fn who(peer: &Peer) -> Status {
    let address = peer.address().map_or("nowhere".to_owned(), |address| address.ip().to_string());
    let certificates: Vec<usize> = peer.certificates().iter().map(Vec::len).collect();
    Status::new(Code::Aborted, format!("{address} {certificates:?}"))
}

/// A service known by its descriptor.
struct Described;

impl Plugin for Described {
    const KIND: &'static str = "described";
    type Config = Nothing;

    async fn build(&self, _: Nothing, build: &Build) -> Result<Mount, BoxError> {
        Ok(Mount::dynamic(&Schema::decode(ostler::proto::DESCRIPTORS)?, build.service(), Described)?)
    }
}

impl Dynamic for Described {
    async fn call(self: Arc<Self>, Conversation { peer, .. }: Conversation) -> Result<Reply, Status> {
        Err(who(&peer))
    }
}

/// A service compiled in, as far as requests are concerned.
#[derive(Clone)]
struct Compiled;

impl Plugin for Compiled {
    const KIND: &'static str = "compiled";
    type Config = Nothing;

    async fn build(&self, _: Nothing, _: &Build) -> Result<Mount, BoxError> {
        Ok(Mount::compiled(Compiled, ostler::proto::DESCRIPTORS)?)
    }
}

impl NamedService for Compiled {
    const NAME: &'static str = "routeguide.RouteGuide";
}

impl Service<ostler::host::Request> for Compiled {
    type Response = ostler::host::Response;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ostler::host::Request) -> Self::Future {
        let answer = request.extensions().get::<Peer>().map_or(Status::internal("nobody"), who);
        ready(Ok(answer.into_http()))
    }
}

/// What a handler says of a caller by each of these addresses.
async fn told(kind: &str, authority: &Authority, shown: Option<&Pair>) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    authority.pair(HOST, 1).write(folder.path(), "server");
    std::fs::write(folder.path().join("clients.pem"), authority.pem()).unwrap();
    let yaml = format!(
        "listen: [\"127.0.0.1:0\", {{ address: \"127.0.0.1:0\", plaintext: true }}]
tls: {{ certificate: server.pem, key: server.key, clients: {{ ca: clients.pem, require: false }} }}
services: {{ routeguide.RouteGuide: {{ handler: {kind} }} }}\n"
    );
    let host = Host::new(Registry::default().with(Described).with(Compiled)).unwrap();
    let document = Document::parse("x.yaml", &yaml, folder.path(), &|_| None).unwrap();
    let generation = host.build(document).await.unwrap();
    let shape = generation.document.shape.clone();
    let mut front = Front::new(&host, Workers::start().unwrap(), Inherited::default());
    let prepared = front.prepare(&shape, folder.path()).await.unwrap();
    host.install(generation);
    front.commit(&shape.listen, prepared);
    let [encrypted, plain] = &front.addresses()[..] else { panic!("two addresses") };
    let encrypted = Client::connect_tls(&encrypted.to_string(), authority.trusted(shown)).await.unwrap();
    let plain = Client::connect(&plain.to_string()).await;
    let mut answers = Vec::new();
    for mut client in [encrypted, plain] {
        let answer = client.get_feature(point(0, 0)).await.unwrap_err();
        assert_eq!(answer.code(), Code::Aborted, "{answer}");
        answers.push(answer.message().to_owned());
    }
    assert!(front.drain(&host, Duration::ZERO, PATIENCE).await);
    answers.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_reads_who_calls_off_the_certificate() {
    let authority = Authority::new("one");
    let shown = authority.pair("client", 7);
    for kind in ["described", "compiled"] {
        let by_certificate = format!("127.0.0.1 [{}]", shown.der().len());
        assert_eq!(told(kind, &authority, Some(&shown)).await, [&by_certificate, "127.0.0.1 []"], "{kind}");
        assert_eq!(told(kind, &authority, None).await, ["127.0.0.1 []"; 2], "{kind}");
    }
}
