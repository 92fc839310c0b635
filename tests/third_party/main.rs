//! A host of your own: ostler's kinds and two more.

mod greeter;
mod mirror;

fn main() -> std::process::ExitCode {
    let kinds = ostler::handlers::standard();
    ostler::host::cli::main(kinds.with(greeter::Greeter).with(mirror::Mirror))
}
