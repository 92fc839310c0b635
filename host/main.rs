//! The `ostler` binary. Copy it to make a host with plugins of your own:
//! `standard().with(Yours)`.

fn main() -> std::process::ExitCode {
    ostler::host::cli::main(ostler::handlers::standard())
}
