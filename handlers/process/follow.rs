//! One socket, followed: whether somebody answers there, and how the service
//! is by its own health.
//!
//! A process without health serves as long as it is connected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_client::HealthClient;

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
                let peer = Peer { link: link.clone(), target: target.clone() };
                let since = Instant::now();
                let why = tokio::select! {
                    why = listen(peer, &service, &tell) => why,
                    () = link.closed() => "the connection was lost".to_owned(),
                };
                if since.elapsed() > STEADY {
                    // Servers close connections that have grown old. Who is
                    // there for a new one was never away.
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

/// Passes on how the service is until the answers end.
async fn listen(peer: Peer, service: &str, tell: &watch::Sender<Found>) -> String {
    let link = peer.link.clone();
    let say = |status, own| drop(tell.send_replace(Found::Somebody { peer: peer.clone(), status, own }));
    // Of the service itself, or else of the process as a whole.
    for (name, own) in [(service, true), ("", false)] {
        let question = HealthCheckRequest { service: name.to_owned() };
        let mut client = HealthClient::new(link.clone());
        let mut answers = match timeout(ANSWER, client.watch(question)).await {
            Ok(Ok(answers)) => answers.into_inner(),
            Ok(Err(status)) => match unanswered(&status) {
                Some(why) => return why,
                None => continue,
            },
            Err(_) => return "its health gives no answer".to_owned(),
        };
        loop {
            match answers.message().await {
                Ok(Some(answer)) if answer.status() == Wire::ServiceUnknown => break,
                Ok(Some(answer)) => say(read(answer.status()), own),
                Ok(None) => return "its health said no more".to_owned(),
                Err(status) => match unanswered(&status) {
                    Some(why) => return why,
                    None => break,
                },
            }
        }
    }
    // Nothing is said of either: it serves as long as it is there.
    say(ServingStatus::Serving, false);
    link.closed().await;
    "the connection was lost".to_owned()
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
