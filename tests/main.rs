//! The whole suite in one binary: a file per subject, real tools in front of a
//! real process on a port of the system's choosing.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod support;

mod call;
mod clients;
mod config;
mod containment;
mod embedded;
mod entrance;
mod examples;
mod frames;
mod health;
mod manager;
mod process;
mod process_kind;
mod readme;
mod reflection;
mod restart;
mod rooms;
mod route_guide;
mod rules;
mod swap;
mod third_party;
mod tls;
mod upstream;
mod upstream_kind;
