//! Logs go to stderr by a thread of their own: a reader that stalls loses
//! lines, and never stalls a call.

use std::io::{IsTerminal as _, Write as _};

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, filter};

use crate::config::{Log, LogFormat, LogLevel};

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
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, panic = panic.payload_as_str().unwrap_or("no words"), "panic");
    }));
    Lines { writer, _guard: guard }
}
