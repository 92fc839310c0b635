//! The command line: what an operator types, and what comes back.
//!
//! Exit codes: 0 done, 1 failed while running, 2 wrong usage, 78 the
//! configuration is at fault; `probe` has those of `grpc_health_probe`, and the
//! other clients' verbs the same: 2 where nothing was called, 3 where the call
//! failed.

mod client;
mod describe;
mod guard;
mod logging;
mod manager;
mod probe;
mod run;
mod schema;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annotate_snippets::Renderer;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::CompleteEnv;

use super::Registry;
use super::listen::Inherited;
use crate::config::{Document, Failure, Problems};

/// Threads that read files and index what they hold. Each that has ever built a
/// large generation keeps room for one, so they are few.
const BUILDERS: usize = 2;
/// sysexits' EX_CONFIG.
const EXIT_CONFIG: u8 = 78;

/// Hosts gRPC services: one YAML file in, discoverable and callable services out.
#[derive(Debug, Parser)]
#[command(name = "ostler", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: File,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve a configuration until stopped; SIGHUP or a changed file swaps it live.
    Run(File),
    /// Build a configuration without serving it, and say everything that is wrong.
    Check {
        /// Files to check; by default the one `run` would take.
        files: Vec<PathBuf>,
        /// How problems are told.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print the configuration in full: defaults filled in, where each value came from, secrets masked.
    Show(File),
    /// List the kinds of handler, or tell the settings of one.
    Kinds {
        /// A kind.
        name: Option<String>,
    },
    /// Print the JSON Schema of the configuration file, for editors and linters.
    Schema,
    /// Ask a host how it is: exit 0 if SERVING, 2 if unreachable, 3 if the call failed, 4 if not SERVING.
    Probe(probe::Probe),
    /// List a host's services, or a service's methods, by its reflection.
    List(client::List),
    /// Describe a host's service, method, message or enum, by its reflection.
    Describe(client::Describe),
    /// Call a host's method with JSON, by its reflection: exit 0 if OK, 2 if nothing was called, 3 if the call failed.
    Call(client::Call),
    /// Stand between a host and a command that it runs. For hosts, not for people.
    #[command(hide = true)]
    Guard(guard::Guard),
}

#[derive(Debug, Args)]
struct File {
    /// The configuration; by default ./ostler.yaml, then /etc/ostler/ostler.yaml, then the built-in one.
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people: each problem with its line.
    Text,
    /// One JSON object a problem.
    Json,
    /// GitHub workflow commands.
    Github,
}

/// Runs the command line over the kinds a binary was built with.
pub fn main(registry: Registry) -> ExitCode {
    // Asked by a shell, it answers and exits. A name of its own, as a host is
    // not to be kept from starting by a variable that somebody else has set.
    CompleteEnv::with_factory(Cli::command).var("OSTLER_COMPLETE").complete();
    let cli = Cli::parse();
    // Before there are threads, as it asks.
    let inherited = Inherited::from_service_manager();
    // This thread accepts, builds and waits for signals; workers of their own serve.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = match builder.enable_all().max_blocking_threads(BUILDERS).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match cli.verb.unwrap_or(Verb::Run(cli.run)) {
            Verb::Run(file) => run::run(registry, file.file, inherited).await,
            Verb::Check { files, format } => check(registry, files, format).await,
            Verb::Show(file) => describe::show(&registry, file.file.as_deref()),
            Verb::Kinds { name } => describe::kinds(&registry, name.as_deref()),
            Verb::Schema => schema::schema(&registry),
            Verb::Probe(probe) => probe.run().await,
            Verb::List(list) => list.run().await,
            Verb::Describe(describe) => describe.run().await,
            Verb::Call(call) => call.run().await,
            Verb::Guard(guard) => guard.run().await,
        }
    });
    // Whatever still runs was given its time; it does not hold the exit up.
    runtime.shutdown_background();
    code
}

/// The file to use: the one named, or the first of the usual places. A link
/// that leads nowhere is there, and opening it says so.
fn find(file: Option<PathBuf>) -> Option<PathBuf> {
    file.or_else(|| {
        ["ostler.yaml", "/etc/ostler/ostler.yaml"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.symlink_metadata().is_ok())
    })
}

/// Opens a file, or the built-in configuration where there is none.
fn open(file: Option<&Path>) -> Result<Document, Failure> {
    match file {
        Some(file) => Document::open(file),
        None => Document::built_in().map_err(|problems| Failure { problems, sources: Default::default() }),
    }
}

/// Draws for a terminal or for a file, as stderr is one or the other.
fn renderer() -> Renderer {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() }
}

/// Prints, and does not mind a reader that has seen enough.
fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The same on stderr, a line.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Builds each file as `run` would, up to but without the bind.
async fn check(registry: Registry, files: Vec<PathBuf>, format: Format) -> ExitCode {
    let files = if files.is_empty() { vec![find(None)] } else { files.into_iter().map(Some).collect() };
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let name = file.as_deref().map_or(crate::config::BUILT_IN_NAME.to_owned(), |file| file.display().to_string());
        match built(&registry, file.as_deref()).await {
            Ok(services) => {
                complain(&format!("{name}: ok, {services} service{}", if services == 1 { "" } else { "s" }))
            }
            Err(problems) => {
                report(&problems, format);
                code = ExitCode::from(EXIT_CONFIG);
            }
        }
    }
    code
}

async fn built(registry: &Registry, file: Option<&Path>) -> Result<usize, Problems> {
    let host = super::Host::new(registry.clone())?;
    let document = open(file).map_err(|failure| failure.problems)?;
    let generation = host.build(document).await.map_err(|failure| failure.problems)?;
    Ok(generation.document.services.len())
}

fn report(problems: &Problems, format: Format) {
    match format {
        Format::Text => complain(&problems.draw(&renderer())),
        Format::Json => {
            for problem in problems.iter() {
                say(&(serde_json::to_string(problem).unwrap_or_default() + "\n"));
            }
        }
        Format::Github => {
            for problem in problems.iter() {
                let place = problem.place().map_or(String::new(), |place| {
                    format!(" file={},line={},col={}", escaped(&place.file, &[',', ':']), place.line, place.column)
                });
                say(&format!("::error{place}::{}\n", escaped(&problem.words(), &[])));
            }
        }
    }
}

/// A workflow command ends at its line, and its properties at signs of their own.
fn escaped(text: &str, more: &[char]) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '%' | '\r' | '\n') || more.contains(&c) {
            escaped.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}
