//! One socket, followed: whether somebody answers there, and how the service
//! is by its own health.
//!
//! A process without health serves as long as it is connected.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_client::HealthClient;

use super::link::Link;

/// How long to wait until the next look at a socket that is not there: at first, and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// How long somebody who listens may take to say how it is.
const ANSWER: Duration = Duration::from_secs(5);

/// How a socket was found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Nobody answers; why.
    Nobody(String),
    /// Somebody does.
    Somebody {
        link: Link,
        status: ServingStatus,
        /// Whether the status is the service's own, and not the process's.
        own: bool,
    },
}

/// Follows a socket for as long as anybody looks on.
pub(super) async fn follow(socket: PathBuf, service: String, tell: watch::Sender<Found>) {
    let mut rest = LOOK.0;
    loop {
        match Link::open(&socket).await {
            Ok(link) => {
                rest = LOOK.0;
                let why = tokio::select! {
                    why = listen(&link, &service, &tell) => why,
                    () = link.closed() => "the connection was lost".to_owned(),
                };
                tell.send_replace(Found::Nobody(why));
            }
            Err(why) => drop(tell.send_replace(Found::Nobody(why))),
        }
        tokio::select! {
            () = sleep(rest) => {}
            () = tell.closed() => return,
        }
        rest = (rest * 2).min(LOOK.1);
    }
}

/// Passes on how the service is until the answers end.
async fn listen(link: &Link, service: &str, tell: &watch::Sender<Found>) -> String {
    let say = |status, own| drop(tell.send_replace(Found::Somebody { link: link.clone(), status, own }));
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
