//! How a server is, followed: whether somebody answers there, and what its
//! health says of a service. It has a connection of its own, so that it is
//! known while nobody calls, and no call is needed to find out that it is back.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::address::Address;
use super::connection::Alive;
use super::link::Link;
use super::target::Target;
use crate::host::status::told;

/// After so long without a word it is asked whether it lives, unless the target
/// wants that sooner.
const QUIET: Duration = Duration::from_secs(5);
/// How long a server that lives may leave the question after its health
/// unanswered before it is taken for one that says nothing about it.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// A connection that lasted so long ended for no fault that would come again at once.
const STEADY: Duration = Duration::from_secs(1);
/// A status is a few bytes.
const LARGEST_MESSAGE_BYTES: usize = 1 << 10;

/// How a server is for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody answers; why, without a word of where.
    Nobody(Arc<str>),
    /// Somebody does.
    Somebody {
        /// What they say of the service, or else of themselves as a whole; who
        /// says neither serves as long as the connection lasts.
        status: ServingStatus,
        /// Whether it is said of the service by its name.
        own: bool,
    },
}

impl Health {
    /// Whether it takes calls.
    pub fn is_serving(&self) -> bool {
        matches!(self, Health::Somebody { status: ServingStatus::Serving, .. })
    }
}

/// Why a connection is over.
enum Over {
    /// It was lost, or its server would say no more, for this reason.
    Lost(String),
    /// The server does not say that it lives.
    Silent,
}

/// Tells how a server is for a service, at first and at each change, for ever.
///
/// One that hangs is found out when it has not said a word for five seconds
/// (less where the target's `keepalive` is), and then for the target's
/// `keepalive_answer` not that it lives. Calls to a socket in the file system
/// end then as well: one process is behind it.
pub async fn follow(target: Arc<Target>, service: String, mut tell: impl FnMut(Health)) -> Infallible {
    let mut failures = 0;
    loop {
        let why = match Link::made(target.address.clone(), &target.options).await {
            Ok((link, driver)) => {
                target.pool.reached();
                let quiet = target.options.keepalive.min(QUIET);
                let mut telling = Telling { link: link.clone(), tell: &mut tell, said: None };
                let over = tokio::select! {
                    Err(why) = telling.told(&service) => Over::Lost(why),
                    silent = driver.run(|alive| silent(alive, link, &service, quiet)) => match silent {
                        true => Over::Silent,
                        false => Over::Lost("the connection was lost".to_owned()),
                    }
                };
                let steady = telling.said.is_some_and(|since| since.elapsed() > STEADY);
                failures = if steady { 0 } else { failures };
                match over {
                    // Servers close connections that have grown old. Who has
                    // an answer on a new one was never away.
                    Over::Lost(_) if steady => continue,
                    Over::Lost(why) => why,
                    Over::Silent => {
                        if matches!(target.address, Address::Unix(_)) {
                            target.hang_up();
                        }
                        "it says nothing any more".to_owned()
                    }
                }
            }
            Err(why) => why,
        };
        tell(Health::Nobody(why.into()));
        sleep(target.address.rest().after(failures)).await;
        failures = failures.saturating_add(1);
    }
}

/// Ready when a server does not say that it lives.
async fn silent(mut alive: Alive, link: Link, service: &str, quiet: Duration) {
    loop {
        alive.silence(quiet).await;
        if !alive.answers().await {
            return;
        }
        // Servers take it amiss to be asked again and again, unless they have
        // had something to answer meanwhile.
        let _ = timeout(quiet, client(link.clone()).check(question(service))).await;
    }
}

/// What one connection has to say.
struct Telling<'a, T> {
    link: Link,
    tell: &'a mut T,
    /// Since when it has said anything.
    said: Option<Instant>,
}

impl<T: FnMut(Health)> Telling<'_, T> {
    fn say(&mut self, status: ServingStatus, own: bool) {
        self.said.get_or_insert_with(Instant::now);
        (self.tell)(Health::Somebody { status, own });
    }

    /// Says how the service is until there is no more to be heard, and why not.
    ///
    /// That is what the server says of the service itself, or as long as it does
    /// not know it, of the whole: some name their services when they have long
    /// begun to listen.
    async fn told(&mut self, service: &str) -> Result<Infallible, String> {
        let mut own = watch(self.link.clone(), service);
        let mut whole = nothing();
        let mut first_word = pin!(sleep(FIRST_WORD));
        loop {
            tokio::select! {
                Some(word) = own.next() => match word? {
                    Some(status) => {
                        whole = nothing();
                        self.say(status, true);
                    }
                    None => whole = watch(self.link.clone(), ""),
                },
                Some(word) = whole.next() => self.say(word?.unwrap_or(ServingStatus::Serving), false),
                () = &mut first_word, if self.said.is_none() => self.say(ServingStatus::Serving, false),
                else => return std::future::pending().await,
            }
        }
    }
}

/// What a health says of a name, `None` where it has nothing to say of it; or
/// why there is no more to be heard. It ends where nothing more can come.
type Words = stream::BoxStream<'static, Result<Option<ServingStatus>, String>>;

fn nothing() -> Words {
    stream::empty().boxed()
}

fn watch(link: Link, name: &str) -> Words {
    let question = question(name);
    let answers = async move { client(link).watch(question).await.map(Response::into_inner) };
    let ended = async { Err(Status::unavailable("it says no more")) };
    let answers = stream::once(answers).try_flatten().chain(stream::once(ended));
    let words = answers.scan(false, |over, answer| {
        let before = std::mem::replace(over, answer.is_err());
        std::future::ready((!before).then(|| word(answer)))
    });
    words.boxed()
}

fn word(answer: Result<HealthCheckResponse, Status>) -> Result<Option<ServingStatus>, String> {
    match answer.map(|answer| answer.status()) {
        Ok(Wire::Serving) => Ok(Some(ServingStatus::Serving)),
        Ok(Wire::NotServing) => Ok(Some(ServingStatus::NotServing)),
        Ok(Wire::Unknown) => Ok(Some(ServingStatus::Unknown)),
        Ok(Wire::ServiceUnknown) => Ok(None),
        Err(status) => match status.code() {
            Code::Ok | Code::Cancelled | Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => {
                Err(format!("its health failed: {}", told(&status)))
            }
            // There is no health to be had: none at all, none of that name, or not for us.
            _ => Ok(None),
        },
    }
}

fn client(link: Link) -> HealthClient<Link> {
    HealthClient::new(link).max_decoding_message_size(LARGEST_MESSAGE_BYTES)
}

fn question(name: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: name.to_owned() }
}
