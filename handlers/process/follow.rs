//! One socket, followed: whether somebody answers there, and how the service
//! is by its own health.
//!
//! A process without health serves as long as it is connected.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, Streaming};
use tonic_health::ServingStatus;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::link::Link;
use crate::host::forward::{Address, Options, Target};

/// How long to wait until the next look at a socket that is not there: at first, and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// How long somebody who listens may take to say how it is.
const ANSWER: Duration = Duration::from_secs(5);
/// A connection that lasted so long ended for no fault that would come again at once.
const STEADY: Duration = Duration::from_secs(1);

/// Somebody who answers on a socket.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// For what is asked of it.
    pub(super) link: Link,
    /// For calls.
    pub(super) target: Arc<Target>,
}

/// How a socket was found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Nobody answers; why.
    Nobody(String),
    /// Somebody does.
    Somebody {
        peer: Peer,
        status: ServingStatus,
        /// Whether the status is the service's own, and not the process's.
        own: bool,
    },
}

/// Follows a socket for as long as anybody looks on.
pub(super) async fn follow(socket: PathBuf, service: String, tell: watch::Sender<Found>) {
    let mut rest = LOOK.0;
    // As long as somebody answers it is the same one, whose calls go on.
    let mut known: Option<Arc<Target>> = None;
    loop {
        match Link::open(&socket).await {
            Ok(link) => {
                let target = known
                    .get_or_insert_with(|| Target::new(Address::Unix(socket.clone()), Options::new(service.clone())));
                let mut telling = Telling { peer: Peer { link, target: target.clone() }, tell: &tell, said: None };
                let why = telling.listen(&service).await;
                if telling.said.is_some_and(|since| since.elapsed() > STEADY) {
                    // Servers close connections that have grown old. Who has
                    // an answer on a new one was never away.
                    rest = LOOK.0;
                    continue;
                }
                tell.send_replace(Found::Nobody(why));
            }
            Err(why) => {
                known = None;
                tell.send_replace(Found::Nobody(why));
            }
        }
        tokio::select! {
            () = sleep(rest) => {}
            () = tell.closed() => return,
        }
        rest = (rest * 2).min(LOOK.1);
    }
}

/// What one connection has to say.
struct Telling<'a> {
    peer: Peer,
    tell: &'a watch::Sender<Found>,
    /// Since when it has said anything.
    said: Option<Instant>,
}

type Answers = Streaming<HealthCheckResponse>;

impl Telling<'_> {
    fn say(&mut self, status: ServingStatus, own: bool) {
        self.said.get_or_insert_with(Instant::now);
        self.tell.send_replace(Found::Somebody { peer: self.peer.clone(), status, own });
    }

    /// Passes on how the service is until the connection ends, and why it did.
    async fn listen(&mut self, service: &str) -> String {
        let link = self.peer.link.clone();
        tokio::select! {
            told = self.told(service) => match told {
                Ok(never) => match never {},
                Err(why) => why,
            },
            () = link.closed() => "the connection was lost".to_owned(),
        }
    }

    /// Of the service itself, or as long as that is not known of the process as
    /// a whole: some name their services when they have long begun to listen.
    async fn told(&mut self, service: &str) -> Result<Infallible, String> {
        let (mut own, mut whole) = (self.watch(service).await?, None);
        loop {
            tokio::select! {
                answer = next(&mut own), if own.is_some() => match answer? {
                    Some(Wire::ServiceUnknown) => whole = self.whole().await?,
                    Some(status) => {
                        whole = None;
                        self.say(read(status), true);
                    }
                    None => own = None,
                },
                answer = next(&mut whole), if whole.is_some() => match answer? {
                    Some(Wire::ServiceUnknown) => self.say(ServingStatus::Serving, false),
                    Some(status) => self.say(read(status), false),
                    None => {
                        whole = None;
                        self.say(ServingStatus::Serving, false);
                    }
                },
                else => match self.said {
                    None => whole = self.whole().await?,
                    Some(_) => return std::future::pending().await,
                },
            }
        }
    }

    /// Answers about the whole; without any it serves as long as it is there.
    async fn whole(&mut self) -> Result<Option<Answers>, String> {
        let answers = self.watch("").await?;
        if answers.is_none() {
            self.say(ServingStatus::Serving, false);
        }
        Ok(answers)
    }

    /// Answers about a name; none where health, or the name, is not there.
    async fn watch(&self, name: &str) -> Result<Option<Answers>, String> {
        let question = HealthCheckRequest { service: name.to_owned() };
        let mut client = HealthClient::new(self.peer.link.clone());
        match timeout(ANSWER, client.watch(question)).await {
            Ok(Ok(answers)) => Ok(Some(answers.into_inner())),
            Ok(Err(status)) => unanswered(&status).map_or(Ok(None), Err),
            Err(_) => Err("its health gives no answer".to_owned()),
        }
    }
}

/// The next answer; none where health, or the name, turns out not to be there.
async fn next(answers: &mut Option<Answers>) -> Result<Option<Wire>, String> {
    let Some(answers) = answers else { return Ok(None) };
    match answers.message().await {
        Ok(Some(answer)) => Ok(Some(answer.status())),
        Ok(None) => Err("its health said no more".to_owned()),
        Err(status) => unanswered(&status).map_or(Ok(None), Err),
    }
}

/// Why there is no answer; nothing where health, or the name, is not there.
fn unanswered(status: &Status) -> Option<String> {
    let absent = matches!(status.code(), Code::Unimplemented | Code::NotFound);
    (!absent).then(|| format!("its health failed: {:?}: {}", status.code(), status.message()))
}

fn read(status: Wire) -> ServingStatus {
    match status {
        Wire::Serving => ServingStatus::Serving,
        Wire::NotServing => ServingStatus::NotServing,
        Wire::Unknown | Wire::ServiceUnknown => ServingStatus::Unknown,
    }
}
