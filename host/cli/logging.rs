//! Logs go to stderr by a thread of their own: a reader that stalls loses
//! lines, and never stalls a call.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, filter};

use crate::config::{Log, LogFormat, LogLevel};

/// Whether lines are meant for eyes.
pub(super) fn is_human(log: &Log) -> bool {
    match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    }
}

/// Starts logging; lines still held are written when the guard drops.
pub(super) fn start(log: &Log) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Libraries below warn of every odd frame, and a peer can send many.
    let filter = filter::Targets::new().with_target("ostler", level).with_default(LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
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
    guard
}
