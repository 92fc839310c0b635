//! ostler as a client, where no other one is installed: `list`, `describe` and
//! `call` ask any gRPC host that has server reflection.
//!
//! ```text
//! Target ──▶ Link ──▶ host/schema/reflect ──▶ Schema ──▶ a method's types
//!                               Input ──JSON──▶ call ──▶ Output
//! ```
//!
//! What a host says of itself is a stranger's: every question has a time, every
//! answer a size, and no text of it reaches a terminal as anything but text.

mod call;
mod complete;
mod describe;
mod input;
mod json;
mod output;
mod proto;
mod schema;
mod target;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures_util::FutureExt as _;

pub(super) use call::Call;
pub(super) use describe::{Describe, List};
pub(super) use target::Encryption;

use super::{complain, renderer};
use crate::config::Problem;
use crate::host::schema::{clean, reflect};

/// Wrong usage, a name nobody has, JSON that does not fit, nobody there: nothing was called.
const EXIT_NOT_CALLED: u8 = 2;
/// The host was asked, and its answer is a failure.
const EXIT_CALL_FAILED: u8 = 3;

/// Why a verb ended otherwise than well.
#[derive(Debug)]
enum Failure {
    /// Before anything was called.
    Before(Box<Problem>),
    /// What the host answered, as it is to be told.
    Answered(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Before(Box::new(problem))
    }
}

impl From<reflect::Failure> for Failure {
    fn from(failure: reflect::Failure) -> Failure {
        match failure {
            reflect::Failure::Useless(problem) => Failure::Before(problem),
            reflect::Failure::Answered(words) => Failure::Answered(words),
        }
    }
}

/// Runs a verb to its end, and tells how it ended.
async fn finish(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    // A stranger's types may contradict what the descriptor crate takes for
    // granted of them, in ways that nobody has foreseen.
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    let senseless = |_| Err(Failure::Answered("the host's schema makes no sense to this client".to_owned()));
    match ended.unwrap_or_else(senseless) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Before(problem)) => {
            complain(&problem.draw(&renderer()));
            ExitCode::from(EXIT_NOT_CALLED)
        }
        Err(Failure::Answered(words)) => {
            complain(&format!("error: {words}"));
            ExitCode::from(EXIT_CALL_FAILED)
        }
    }
}
