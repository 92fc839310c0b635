//! The raw road: calls sent on to another gRPC server as they came, and its
//! answers handed back as they are. No message is decoded on the way.
//!
//! ```text
//! Call ─▶ Target ─▶ Pool: this worker's connections ─▶ Connection ─▶ the server
//!   └ Upload: what the client still sends      Answer: what comes back ◀─┘
//!
//! health, reflection, the command line ─▶ Link: a Connection of its own ─▶ the server
//! ```
//!
//! It speaks HTTP/2 by the same crate that hyper does, one layer lower: a
//! stream is opened from the call's own task, without a queue between, its
//! fault keeps its exact code, and how many streams the peer allows is known.

mod address;
mod answer;
mod call;
mod connection;
mod dial;
mod exchange;
pub mod health;
mod heard;
mod link;
mod options;
mod pool;
mod refused;
mod target;
mod threads;
mod tls;
mod turns;
mod upload;

pub use address::Address;
pub use call::{Call, REPLAYED_BYTES};
pub use health::Health;
pub(in crate::host) use link::Link;
pub use options::{Options, Resting};
pub use refused::{Cause, Refused};
pub use target::Target;
pub use tls::Tls;
pub use turns::Turns;
