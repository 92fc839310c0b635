//! The words: every message and service this crate was compiled with.
//!
//! `build.rs` turns the `.proto` files beside this one into the modules below
//! and into [`DESCRIPTORS`]. Nothing here behaves; the handlers and the host
//! do.

#![allow(missing_docs, unreachable_pub)] // generated code; the .proto files are documented

/// The official tutorial's service.
pub mod routeguide {
    tonic::include_proto!("routeguide");
}

/// gRPC's health service with its `List` method, over tonic-health's messages.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// A serialized `FileDescriptorSet` of every file in this folder, comments
/// and options included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
