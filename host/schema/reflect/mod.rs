//! What another host says of itself, by its server reflection: a schema for a
//! service of ours, and all that the command line's client knows.
//!
//! A host is a stranger: every look-up has a time, every answer a size, and no
//! text of it reaches anybody as anything but text.
//!
//! ```text
//! Link ── Talk (questions, v1 or v1alpha) ── Gather (files and all they import) ──▶ Files
//! ```

mod gather;
mod refresh;
mod talk;

use std::time::Duration;

use tonic::metadata::MetadataMap;

use super::{Files, Schema, clean, first};
use crate::config::Problem;
use crate::config::units::Period;
use crate::host::forward::{Address, Link, Options};

pub(in crate::host) use gather::Gather;
pub(super) use refresh::refresh;

/// Why a host did not tell what it was asked for.
#[derive(Debug)]
pub(in crate::host) enum Failure {
    /// It cannot, or what it tells is of no use.
    Useless(Box<Problem>),
    /// It failed, in these words.
    Answered(String),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Useless(Box::new(problem))
    }
}

impl Schema {
    /// What another host's reflection says of a service: its file and all that
    /// imports, as the bytes they are.
    ///
    /// An encrypted address is trusted by the system's authorities. Connecting may
    /// take as long as the limit, and so may all the answers.
    pub async fn reflected(address: &Address, service: &str, limit: Duration) -> Result<Schema, Problem> {
        let files = ask(address, service, limit).await?;
        let failed = |error| Problem::new(format!("the schema cannot be read: {error}"));
        tokio::task::spawn_blocking(|| Schema::of(files)).await.map_err(failed)?.map_err(first)
    }
}

/// The files of a service, from the host at an address.
pub(super) async fn ask(address: &Address, service: &str, limit: Duration) -> Result<Files, Problem> {
    let cannot = |why: &str| {
        Problem::new(format!("what `{service}` is cannot be learnt from {}: {why}", clean(&address.to_string())))
    };
    let unreachable = |why: String| cannot(&why).help("the server has to be there when the configuration is built");
    let options = Options { connect: limit, ..Options::new(service) };
    let link = Link::open(address.clone(), &options).await.map_err(unreachable)?;
    let mut gather = Gather::new(link, MetadataMap::new(), Period(limit));
    let told = |failure: Failure| match failure {
        Failure::Useless(problem) => {
            problem.helps().iter().fold(cannot(problem.message()), |told, help| told.help(help.as_str()))
        }
        Failure::Answered(words) => cannot(&words),
    };
    if gather.learn(service).await.map_err(told)? {
        return Ok(gather.into_files());
    }
    let problem = cannot("it has no such service");
    let Ok(services) = gather.services().await else { return Err(problem) };
    let problem = problem.meant(service, services.iter().map(String::as_str));
    Err(problem.help(format!("it has: {}", services.join(", "))))
}
