//! One of the servers: the way there, how it is, and whether it is left alone.
//! It is kept from generation to generation while the file still names it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::breaker::Breaker;
use super::service::MOST_SERVERS;
use super::settings::{self, Config};
use crate::config::{Problem, Problems};
use crate::host::Build;
use crate::host::forward::{Address, Health, Options, Target, Tls, health};

/// Files of certificates and keys.
const LARGEST_PEM_BYTES: u64 = 1 << 20;

/// A server.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) target: Arc<Target>,
    known: Arc<Shared>,
    following: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// Whether it is known to take no calls: what every call reads.
    down: AtomicBool,
    breaker: Breaker,
    /// How it is; `None` before that is known. Also marked as changed when the
    /// breaker has.
    health: watch::Sender<Option<Health>>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Member {
    fn new(address: Address, options: Options, breaker: &settings::Breaker) -> Member {
        let service = options.name.clone();
        let target = Target::new(address, options);
        let breaker = Breaker::new(breaker.failures.get(), breaker.open.0);
        let known = Arc::new(Shared { down: AtomicBool::new(false), breaker, health: watch::Sender::new(None) });
        let (shared, server, named) = (known.clone(), target.clone(), service.clone());
        let tell = move |health| shared.tell(health, &named, server.address());
        let followed = health::follow(target.clone(), service, tell);
        let following = tokio::spawn(async { match followed.await {} }).abort_handle();
        Member { target, known, following }
    }

    /// Whether a call may go there now, as far as is known; it is to be sent, then.
    pub(super) fn takes_call(&self) -> bool {
        !self.known.down.load(Ordering::Relaxed) && self.known.breaker.lets_through()
    }

    /// It has answered a call.
    pub(super) fn succeeded(&self) {
        self.known.succeeded();
    }

    /// It has failed a call.
    pub(super) fn failed(&self, service: &str) {
        if self.known.breaker.failed() {
            tracing::warn!(service, server = %self.target.address(), "a server fails, and is left alone");
        }
        // By the call that tried it again, too.
        if self.left_alone().is_some() {
            self.known.health.send_modify(|_| {});
        }
    }

    /// Whether calls go there; `None` where that is not known yet.
    pub(super) fn serves(&self) -> Option<bool> {
        let serves = self.known.health.borrow().as_ref().map(Health::is_serving);
        if self.left_alone().is_some() { Some(false) } else { serves }
    }

    /// Until when it is left alone, if it is.
    pub(super) fn left_alone(&self) -> Option<Instant> {
        self.known.breaker.open_until()
    }

    /// Changes when that does, but for the time that passes.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Health>> {
        self.known.health.subscribe()
    }
}

impl Shared {
    fn tell(&self, health: Health, service: &str, server: &Address) {
        let serves = health.is_serving();
        if self.down.swap(!serves, Ordering::Relaxed) && serves {
            // It is not what it was when it failed.
            self.succeeded();
        }
        let was_there = !matches!(&*self.health.borrow(), Some(Health::Nobody(_)));
        match &health {
            Health::Nobody(why) if was_there => tracing::warn!(service, %server, %why, "a server cannot be reached"),
            Health::Somebody { .. } if !was_there => tracing::info!(service, %server, "a server can be reached again"),
            _ => {}
        }
        self.health.send_if_modified(|told| told.replace(health.clone()) != Some(health));
    }

    fn succeeded(&self) {
        if self.breaker.succeeded() {
            self.health.send_modify(|_| {});
        }
    }
}

/// The servers that the settings name; those that are there already stay.
pub(super) async fn members(config: &Config, build: &Build) -> Result<Vec<Arc<Member>>, Problems> {
    if config.to.is_empty() {
        return Err(Problem::new("there is no server to send calls to").label("empty").within("to").into());
    }
    if config.to.len() > MOST_SERVERS {
        let problem = Problem::new(format!("there are more than {MOST_SERVERS} servers")).label("too many");
        return Err(problem.within("to").into());
    }
    let files = match &config.tls {
        Some(tls) => Some(Files::read(tls, build).await.map_err(|problem| Problems::from(problem.within("tls")))?),
        None => None,
    };
    let mut members = Vec::new();
    for (at, settings::Server(address)) in config.to.iter().enumerate() {
        let mut options = Options::new(build.service());
        options.connect = config.connect.0;
        options.keepalive = config.keepalive.0;
        if address.is_encrypted() {
            let Some(files) = &files else {
                let problem = Problem::new(format!("`{address}` is encrypted, and nothing says whom to trust"))
                    .help("name its authority: `tls: { ca: ca.pem }`");
                return Err(problem.within(at).within("to").into());
            };
            options.tls = Some(files.tls(address).map_err(|problem| problem.within("tls"))?);
        }
        // What makes another server of it: anything that is part of the way there.
        let key = format!("{address} {} {} {:?} {:?}", config.connect, config.keepalive, config.breaker, files);
        members.push(build.keep(&key, || Member::new(address.clone(), options, &config.breaker)));
    }
    Ok(members)
}

/// What the settings' files hold.
struct Files {
    ca: Vec<u8>,
    name: Option<String>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Tells one content from another, and shows none of it.
impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::hash::BuildHasher as _;
        let hash = rustc_hash::FxBuildHasher.hash_one((&self.ca, &self.name, &self.identity));
        write!(f, "{hash:x}")
    }
}

impl Files {
    async fn read(tls: &settings::Tls, build: &Build) -> Result<Files, Problem> {
        let read = async |path, key: &'static str| {
            build.read(path, LARGEST_PEM_BYTES).await.map_err(|problem| problem.within(key))
        };
        let identity = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => Some((read(certificate, "certificate").await?, read(key, "key").await?)),
            (None, None) => None,
            _ => return Err(Problem::new("a certificate and its key are shown together, or not at all")),
        };
        Ok(Files { ca: read(&tls.ca, "ca").await?, name: tls.name.clone(), identity })
    }

    fn tls(&self, address: &Address) -> Result<Tls, Problem> {
        let name = self.name.as_deref().unwrap_or(address.host());
        let identity = self.identity.as_ref().map(|(certificate, key)| (certificate.as_slice(), key.as_slice()));
        Tls::new(&self.ca, name, identity)
    }
}
