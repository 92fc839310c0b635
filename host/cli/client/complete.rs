//! Names for a shell to complete: those of the very host that the line so far
//! would ask, with all the line says of how to reach it.

use std::ffi::OsStr;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use clap_complete::CompletionCandidate;

use super::Failure;
use super::schema::Schema;
use super::target::Target;
use crate::host::cli::Cli;

/// Whoever presses a key waits no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The host's services.
pub(super) fn services(current: &OsStr) -> Vec<CompletionCandidate> {
    ask(current, async |schema, _| schema.services().await)
}

/// Methods, once it is plain of which service; services until then.
pub(super) fn methods(current: &OsStr) -> Vec<CompletionCandidate> {
    ask(current, async |schema, current| {
        let mut services = schema.services().await?;
        let named = current.split_once('/').map_or(current, |(service, _)| service);
        services.retain(|service| service.starts_with(named));
        if current.contains('/') {
            services.retain(|service| service == named);
        }
        let [service] = services.as_slice() else {
            return Ok(services.into_iter().map(|service| service + "/").collect());
        };
        let service = schema.service(service).await?;
        Ok(service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())).collect())
    })
}

/// What a host says to a question, as far as it begins like what is typed.
/// Whatever goes wrong, there is nothing to complete.
fn ask(
    current: &OsStr,
    question: impl AsyncFnOnce(&mut Schema, &str) -> Result<Vec<String>, Failure>,
) -> Vec<CompletionCandidate> {
    let (Some(current), Some(target)) = (current.to_str(), target()) else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let asked = async {
        let mut schema = Schema::of(&target, target.connect().await?);
        question(&mut schema, current).await
    };
    let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    // A look-up of a name that hangs does not hold the shell up.
    runtime.shutdown_background();
    let names = asked.into_iter().flatten().flatten();
    // These go into a shell's line: nothing does that is no name.
    let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "._/".contains(c));
    names.filter(is_name).filter(|name| name.starts_with(current)).map(CompletionCandidate::new).collect()
}

/// The host that the words behind `--` would ask.
fn target() -> Option<Target> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let lenient = Cli::command().ignore_errors(true).mut_subcommands(|verb| verb.ignore_errors(true));
    let matches = lenient.try_get_matches_from(words).ok()?;
    let (_, verb): (_, &ArgMatches) = matches.subcommand()?;
    Target::from_arg_matches(verb).ok()
}
