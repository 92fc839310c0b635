//! `ostler run`: serve, swap when asked, stop in order.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::{self, Lines};
use super::manager::Manager;
use super::{EXIT_CONFIG, complain, find, open, renderer};
use crate::config::units::Period;
use crate::config::{Address, BUILT_IN_NAME, Document, Problem, Problems, Serves, Tls};
use crate::host::listen::{Front, Inherited, Predecessor, Succession, Successor, Workers};
use crate::host::reload::{self, Reloader};
use crate::host::{Host, Registry};

/// A signal that comes this soon after the first is the first again.
const ECHO: Duration = Duration::from_millis(100);
/// How long health says NOT_SERVING before the sockets close, where endpoints
/// are taken out of rotation by someone else.
const LAME_DUCK_UNDER_KUBERNETES: Duration = Duration::from_secs(5);

/// How long processes that behave for services may take to end, beside what
/// calls have left of the drain.
const ENDING: Duration = Duration::from_secs(5);
/// What they have of that when calls took all of it and more.
const ENDING_AT_LEAST: Duration = Duration::from_secs(2);

/// The signals that matter.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Asked to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Asked for anything.
    async fn any(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::Reload("SIGHUP"),
        }
    }
}

/// What the serving loop wakes up for.
enum Wake {
    Stop,
    Reload(&'static str),
    HandOver(Successor),
}

pub(super) async fn run(registry: Registry, file: Option<PathBuf>, inherited: Inherited) -> ExitCode {
    // Before anything else, so that no signal finds the process unprepared.
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("error: cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let manager = Manager::from_env();
    tokio::spawn(Manager::from_env().beat());
    let file = find(file);
    let started = tokio::select! {
        started = start(registry, file.as_deref(), inherited) => started,
        () = signals.stop() => return ExitCode::SUCCESS,
    };
    let (host, mut front, succession, lines) = match started {
        Ok(started) => started,
        Err(problems) => {
            let words = problems.draw(&renderer());
            // Told whole, but not to a reader that stalls until somebody has had enough.
            let told = tokio::task::spawn_blocking(move || complain(&words));
            tokio::select! {
                _ = told => {}
                () = signals.stop() => {}
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let current = host.current();
    let log = current.document.shape.log.clone();
    announce(&current.document, &front, logging::is_human(&log).then_some(&lines));
    let mut reloader = file.map(|file| Reloader::new(&file, &current.document, current.sources().clone()));
    drop(current);
    manager.ready(&status(&host, &front));

    let mut succeeded = false;
    loop {
        let wake = tokio::select! {
            wake = signals.any() => wake,
            () = changed(reloader.as_ref()) => Wake::Reload("changed file"),
            successor = asked(succession.as_ref()) => Wake::HandOver(successor),
        };
        let why = match (wake, &succession) {
            (Wake::Reload(why), _) => why,
            (Wake::HandOver(successor), Some(succession)) => {
                let handed = tokio::select! {
                    handed = front.hand_over(succession, successor) => handed,
                    () = signals.stop() => break,
                };
                match handed {
                    Ok(()) => {
                        tracing::info!("a successor serves");
                        succeeded = true;
                        break;
                    }
                    Err(error) => tracing::warn!(%error, "a successor did not come to serve; this process goes on"),
                }
                continue;
            }
            _ => break,
        };
        manager.reloading();
        match &mut reloader {
            None => tracing::warn!(why, "nothing to reload: the built-in configuration is served"),
            Some(reloader) => {
                let reloaded = tokio::select! {
                    reloaded = reloader.reload(&host, &mut front) => reloaded,
                    () = signals.stop() => break,
                };
                tell(reloaded, why, &host, &front);
                if host.current().document.shape.log != log {
                    tracing::warn!("`log` has changed, and waits for the next start");
                }
            }
        }
        manager.ready(&status(&host, &front));
    }
    stop(&host, front, signals, &manager, succeeded).await
}

async fn changed(reloader: Option<&Reloader>) {
    match reloader {
        Some(reloader) => reloader.changed().await,
        None => std::future::pending().await,
    }
}

async fn asked(succession: Option<&Succession>) -> Successor {
    match succession {
        Some(succession) => succession.asked().await,
        None => std::future::pending().await,
    }
}

/// The road from nothing to serving. A predecessor serves until its end.
async fn start(
    registry: Registry,
    file: Option<&Path>,
    mut inherited: Inherited,
) -> Result<(Host, Front, Option<Succession>, Lines), Problems> {
    let host = Host::new(registry)?;
    let document = match file {
        Some(file) => reload::open(file).await,
        None => open(None),
    };
    let document = document.map_err(|failure| failure.problems)?;
    // What is built may have something to say.
    let lines = logging::start(&document.shape.log);
    let generation = host.build(document).await.map_err(|failure| failure.problems)?;
    let document = generation.document.clone();
    let shutdown = &document.shape.shutdown;
    let refused = |error: std::io::Error| {
        let problem = Problem::new(format!("the sockets cannot be handed over here: {error}"))
            .help("stop the process that is asked there, or choose another path");
        Problems::from(document.problem(problem.within("hand_over").within("shutdown")))
    };
    let mut predecessor = None;
    if let Some(path) = &shutdown.hand_over
        && let Some((process, sockets)) = Predecessor::ask(path, &document.base).await.map_err(refused)?
    {
        predecessor = Some(process);
        inherited.extend(sockets);
    }
    let workers = Workers::start().map_err(|error| Problem::new(format!("no threads to serve with: {error}")))?;
    let mut front = Front::new(&host, workers, inherited);
    let prepared = front
        .prepare(&document.shape, &document.base)
        .await
        .map_err(|problems| problems.map(|problem| document.problem(problem)))?;
    let succession = match &shutdown.hand_over {
        Some(path) => Some(Succession::open(path, &document.base, front.inherited()).await.map_err(refused)?),
        None => None,
    };
    host.install(generation);
    front.commit(&document.shape.listen, prepared);
    if let Some(predecessor) = predecessor {
        predecessor.relieve();
        front.own(succession.as_ref());
    }
    Ok((host, front, succession, lines))
}

/// Says what is served and where: in a few lines for people, in one for machines.
fn announce(document: &Document, front: &Front, people: Option<&Lines>) {
    let addresses: Vec<String> = front.addresses().iter().map(ToString::to_string).collect();
    let services: Vec<String> =
        document.services.iter().map(|entry| format!("{} ({})", entry.name, entry.kind)).collect();
    let Some(people) = people else {
        tracing::info!(file = document.file, addresses = addresses.join(" "), services = services.join(" "), "serving");
        return;
    };
    let from = if document.file == BUILT_IN_NAME { "the built-in configuration" } else { &document.file };
    let mut told = format!("ostler {} serves {from}\n", env!("CARGO_PKG_VERSION"));
    let shape = &document.shape;
    for (address, listener) in front.listeners(&shape.listen) {
        let encrypted = shape.tls.is_some() && listener.is_encrypted(address);
        let health = listener.serves == Serves::Health;
        let _ = writeln!(
            told,
            "  on  {address}{}{}",
            if encrypted { ", TLS" } else { "" },
            if health { ", health only" } else { "" }
        );
    }
    for service in &services {
        let _ = writeln!(told, "  has {service}");
    }
    if let Some((address, listener)) = front.listeners(&shape.listen).find(|(_, at)| at.serves == Serves::All) {
        let flags = match &shape.tls {
            Some(Tls { clients: Some(clients), .. }) if listener.is_encrypted(address) && clients.require => {
                "-cacert CA.pem -cert YOU.pem -key YOU.key"
            }
            Some(_) if listener.is_encrypted(address) => "-cacert CA.pem",
            _ => "-plaintext",
        };
        let (unix, address) = match address {
            Address::Tcp(address) => ("", address.to_string()),
            Address::Unix(path) => ("-unix ", path.display().to_string()),
            // Where a socket is bound is one of the two.
            other @ Address::Systemd(_) => ("", other.to_string()),
        };
        let _ = writeln!(told, "  try grpcurl {flags} {unix}{address} list");
    }
    people.say(&told);
}

/// What serves, in a line.
fn status(host: &Host, front: &Front) -> String {
    let generation = host.current();
    let addresses: Vec<String> = front.addresses().iter().map(ToString::to_string).collect();
    let services = generation.document.services.len();
    let plural = if services == 1 { "" } else { "s" };
    format!("serving {services} service{plural} on {}, generation {}", addresses.join(" "), generation.number)
}

/// Says how a reload went.
fn tell(reloaded: Result<(), Problems>, why: &str, host: &Host, front: &Front) {
    match reloaded {
        Ok(()) => {
            let generation = host.current();
            let addresses: Vec<String> = front.addresses().iter().map(ToString::to_string).collect();
            tracing::info!(
                why,
                generation = generation.number,
                addresses = addresses.join(" "),
                services = generation.document.services.len(),
                "reloaded"
            );
        }
        Err(problems) => {
            tracing::error!(
                why,
                generation = host.current().number,
                "the new configuration is refused; the running one stays"
            );
            for problem in problems.iter() {
                tracing::error!("{problem}");
            }
        }
    }
}

/// A second signal. Tools that stop a process and its group send one signal
/// twice, which is no change of mind.
async fn second(signals: &mut Signals) {
    let started = tokio::time::Instant::now();
    loop {
        signals.stop().await;
        if started.elapsed() >= ECHO {
            return;
        }
    }
}

/// Stops in order; a second signal stops at once.
async fn stop(host: &Host, front: Front, mut signals: Signals, manager: &Manager, succeeded: bool) -> ExitCode {
    let shutdown = host.current().document.shape.shutdown.clone();
    let under_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let lame_duck = match shutdown.lame_duck {
        // Whoever asks next is answered by the successor.
        _ if succeeded => Duration::ZERO,
        Some(lame_duck) => lame_duck.0,
        None if under_kubernetes => LAME_DUCK_UNDER_KUBERNETES,
        None => Duration::ZERO,
    };
    tracing::info!(lame_duck = %Period(lame_duck), drain = %shutdown.drain, "stopping");
    manager.stopping(&format!("calls in flight have {} to end", shutdown.drain));
    let drained = async {
        let until = tokio::time::Instant::now() + lame_duck + shutdown.drain.0 + ENDING;
        let whole = front.drain(host, lame_duck, shutdown.drain.0).await;
        // Processes that behave for services go when no call needs them. What
        // is still there when this one exits is ended by its guard.
        let until = until.max(tokio::time::Instant::now() + ENDING_AT_LEAST);
        let ended = tokio::time::timeout_at(until, host.end()).await.is_ok();
        (whole, ended)
    };
    tokio::select! {
        (whole, ended) = drained => {
            if whole && ended {
                tracing::info!("stopped");
            } else if whole {
                tracing::warn!("stopped while processes were still ending");
            } else {
                tracing::warn!("stopped with calls cut off: the drain took too long");
            }
            ExitCode::SUCCESS
        }
        () = second(&mut signals) => {
            tracing::warn!("stopped at once by a second signal");
            ExitCode::FAILURE
        }
    }
}
