//! A service that another gRPC server answers, or one of several: calls are
//! sent on to it as they come.
//!
//! ```text
//! service: a call's way ─ choice ─▶ member: a server, its health, its breaker
//!            ├ retry: what may be sent again, and how often
//!            └ record: what was answered, written down as rules
//! ```

mod breaker;
mod member;
mod record;
mod retry;
mod service;
mod settings;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::host::{BoxError, Build, Mount, Plugin, ServingStatus};
use member::Member;
use service::Service;

pub use settings::Config;

/// The plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upstream;

impl Plugin for Upstream {
    const KIND: &'static str = "upstream";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let schema = build.schema()?;
        let methods = schema.service(build.service())?;
        config.times()?;
        let members = member::members(&config, build).await?;
        let recorder = config.record.as_ref().map(|record| record::recorder(record, build));
        let recorder = recorder.transpose().map_err(|problem| problem.within("record"))?;
        let health = health(&members, build);
        let service = Arc::new(Service::new(&config, build.service(), &methods, members, recorder));
        let send = move |request| service.clone().answer(request);
        Ok(Mount::forwarded(schema, build.service(), send)?.with_health(health))
    }
}

/// SERVING while calls go to one of the servers.
fn health(members: &[Arc<Member>], build: &Build) -> watch::Receiver<ServingStatus> {
    let members = members.to_vec();
    let mut changed: Vec<_> = members.iter().map(|member| member.watch()).collect();
    let (tell, health) = watch::channel(together(&members));
    build.spawn(async move {
        loop {
            let status = together(&members);
            tell.send_if_modified(|told| std::mem::replace(told, status) != status);
            let again = members.iter().filter_map(|member| member.left_alone()).min();
            tokio::select! {
                _ = select_all(changed.iter_mut().map(|member| Box::pin(member.changed()))) => {}
                () = sleep_until(again.unwrap_or_else(Instant::now).into()), if again.is_some() => {}
            }
        }
    });
    health
}

/// How a service is whose servers are so.
fn together(members: &[Arc<Member>]) -> ServingStatus {
    let all = || members.iter().map(|member| member.serves());
    if all().any(|serves| serves == Some(true)) {
        ServingStatus::Serving
    } else if all().any(|serves| serves.is_none()) {
        ServingStatus::Unknown
    } else {
        ServingStatus::NotServing
    }
}
