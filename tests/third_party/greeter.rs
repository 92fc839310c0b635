//! A compiled-in service: typed settings, a counter that outlives a swap, and
//! a health of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{Stream, stream};
use ostler::config::Problem;
use ostler::config::units::Period;
use ostler::host::{BoxError, Build, Mount, Plugin, ServingStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use words::greeter_server::GreeterServer;
use words::{GuestsRequest, HelloReply, HelloRequest};

/// What `build.rs` generated.
mod words {
    tonic::include_proto!("hello");
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// Greets people in a word of your choice.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The word of greeting.
    greeting: String,
    /// Whom GreetGuests greets.
    guests: Vec<String>,
    /// How long health says NOT_SERVING first.
    warm_up: Period,
    /// A name at which the handler panics, to see what its caller learns.
    panics_at: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            greeting: "Hello".to_owned(),
            guests: Vec::new(),
            warm_up: Period(std::time::Duration::ZERO),
            panics_at: None,
        }
    }
}

/// The plugin.
pub struct Greeter;

impl Plugin for Greeter {
    const KIND: &'static str = "greeter";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        if config.greeting.is_empty() {
            return Err(Problem::new("a greeting says something").within("greeting").into());
        }
        let health = warm_up(config.warm_up, build);
        // The same counter for every generation that asks for it.
        let given = build.keep("given", AtomicU64::default);
        let service = GreeterServer::new(Service { config, given });
        Ok(Mount::compiled(service, words::DESCRIPTORS)?.with_health(health))
    }
}

/// A status that turns to SERVING after a while; the task ends with the generation.
fn warm_up(period: Period, build: &Build) -> watch::Receiver<ServingStatus> {
    if period.0.is_zero() {
        return watch::channel(ServingStatus::Serving).1;
    }
    let (status, health) = watch::channel(ServingStatus::NotServing);
    build.spawn(async move {
        tokio::time::sleep(period.0).await;
        let _ = status.send(ServingStatus::Serving);
    });
    health
}

/// One configuration's service.
struct Service {
    config: Config,
    given: Arc<AtomicU64>,
}

impl Service {
    fn greet(&self, name: &str) -> HelloReply {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        HelloReply { message: format!("{}, {name}!", self.config.greeting), number }
    }
}

#[tonic::async_trait]
impl words::greeter_server::Greeter for Service {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("name must not be empty"));
        }
        assert_ne!(self.config.panics_at.as_ref(), Some(&name), "asked to panic");
        Ok(Response::new(self.greet(&name)))
    }

    type GreetGuestsStream = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

    async fn greet_guests(&self, _: Request<GuestsRequest>) -> Result<Response<Self::GreetGuestsStream>, Status> {
        let greetings: Vec<_> = self.config.guests.iter().map(|guest| Ok(self.greet(guest))).collect();
        Ok(Response::new(Box::pin(stream::iter(greetings))))
    }
}
