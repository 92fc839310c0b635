//! Ostler hosts gRPC services: one YAML file in, discoverable and callable
//! services out.
//!
//! The crate is a house of four rooms, and its top-level folders are its
//! modules:
//!
//! | room | what lives there | imports |
//! |---|---|---|
//! | [`proto`] | the words: messages and services compiled in | nothing |
//! | [`config`] | the request: what the operator asked for | nothing |
//! | [`host`] | the house: registers, builds, serves, replaces; names no service | config, proto |
//! | [`handlers`] | the guests: one folder each, none knows another | host, config, proto |
//!
//! A host of your own is `host/main.rs` with one word changed:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     ostler::host::cli::main(ostler::handlers::standard())
//! }
//! ```

pub mod config;
pub mod handlers;
pub mod host;
pub mod proto;

#[cfg(fuzzing)]
#[path = "tests/fuzz/doors.rs"]
pub mod fuzzing;
