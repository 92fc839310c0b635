//! The official gRPC tutorial's service, answering as any of its six reference
//! servers does.
//!
//! ```text
//! settings ── profile (how to answer) ─┐
//! features: source → index ────────────┼─▶ service: the four RPCs
//! chat: notes kept within bounds ──────┘
//! ```

mod chat;
pub(crate) mod features;
mod geo;
mod profile;
#[cfg(test)]
mod properties;
mod route;
mod service;
mod settings;

use std::future::ready;
use std::sync::Arc;

use tonic::{Request, Response};

use crate::host::{BoxError, Build, Mount, Plugin};
use crate::proto;
use crate::proto::routeguide::Point;
use crate::proto::routeguide::route_guide_server::RouteGuideServer;

pub use settings::Config;
use settings::Source;

/// A route point is some 12 bytes and a note at most a few KiB; more is a mistake.
const LARGEST_MESSAGE_BYTES: u64 = 64 << 10;

/// The plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteGuide;

impl Plugin for RouteGuide {
    const KIND: &'static str = "route_guide";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let features = features::load(&config.features, build).await?;
        let chat = chat::Chat::new(&config.chat, build);
        let service = service::Service::new(&config, features, chat);
        let own = service.clone();
        let server = RouteGuideServer::from_arc(Arc::new(service))
            .max_decoding_message_size(LARGEST_MESSAGE_BYTES as usize)
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
        let feature = move |point: Request<Point>| ready(own.feature(point.into_inner()).map(Response::new));
        Ok(Mount::compiled(server, proto::DESCRIPTORS)?
            .with_largest_message(LARGEST_MESSAGE_BYTES)
            .with_unary("GetFeature", feature))
    }
}
