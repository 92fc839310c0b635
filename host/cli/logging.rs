//! Logs go to stderr by a thread of their own: a reader that stalls loses
//! lines, and never stalls a call.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, filter};

use crate::config::{Log, LogFormat, LogLevel};

/// A panic that callers can bring about comes as often as they like.
const PANICS_TOLD_EVERY: Duration = Duration::from_secs(1);

/// The way to stderr; what is still held is written when this drops.
pub(super) struct Lines {
    writer: NonBlocking,
    _guard: WorkerGuard,
}

impl Lines {
    /// Says something that is no log line.
    pub(super) fn say(&self, text: &str) {
        let _ = self.writer.clone().write_all(text.as_bytes());
    }
}

/// Whether lines are meant for eyes.
pub(super) fn is_human(log: &Log) -> bool {
    match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    }
}

/// Starts logging.
pub(super) fn start(log: &Log) -> Lines {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Libraries below warn of every odd frame, and a peer can send many.
    let filter = filter::Targets::new().with_target("ostler", level).with_default(LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer.clone());
    let lines = if is_human(log) {
        lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed()
    } else {
        lines.json().flatten_event(true).with_target(false).with_current_span(false).with_span_list(false).boxed()
    };
    // A second start (tests in one process) keeps the first.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    let panics = Panics::default();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if let Some(untold) = panics.tell(&place, Instant::now()) {
            tracing::error!(place, untold, panic = panic.payload_as_str().unwrap_or("no words"), "panic");
        }
    }));
    Lines { writer, _guard: guard }
}

/// What was told of each place in the code that panics: there are only so many.
#[derive(Default)]
struct Panics(Mutex<HashMap<String, Told>>);

struct Told {
    at: Instant,
    /// How many there were since.
    untold: u64,
}

impl Panics {
    /// Whether a place may tell of its panic, and how many it kept to itself.
    fn tell(&self, place: &str, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = told.get_mut(place) else {
            told.insert(place.to_owned(), Told { at: now, untold: 0 });
            return Some(0);
        };
        if now.duration_since(last.at) < PANICS_TOLD_EVERY {
            last.untold += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_of_its_panics_once_a_second_and_how_many_there_were() {
        let (panics, start) = (Panics::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(panics.tell("a.rs:1:1", at(0)), Some(0));
        assert_eq!(panics.tell("a.rs:1:1", at(1)), None);
        assert_eq!(panics.tell("a.rs:1:1", at(999)), None);
        assert_eq!(panics.tell("b.rs:1:1", at(999)), Some(0), "another place has its own");
        assert_eq!(panics.tell("a.rs:1:1", at(1000)), Some(2));
        assert_eq!(panics.tell("a.rs:1:1", at(2000)), Some(0));
    }
}
