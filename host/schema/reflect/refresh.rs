//! Asking another host again, for as long as a generation lives by what it said.

use std::sync::Arc;
use std::time::Duration;

use super::ask;
use crate::config::News;
use crate::host::forward::Address;

/// Asks every so often. What is new makes the configuration be built anew,
/// which asks once more; a server that is away is told of once, and what it
/// said last holds.
pub(in crate::host::schema) async fn refresh(
    address: Address,
    service: String,
    every: Duration,
    limit: Duration,
    news: Arc<News>,
) {
    let mut away = false;
    loop {
        tokio::time::sleep(every).await;
        match ask(&address, &service, limit).await {
            Ok(files) => {
                if std::mem::take(&mut away) {
                    tracing::info!(%address, service, "the schema can be learnt there again");
                }
                news.tell(&files);
            }
            Err(problem) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%address, service, "the schema stays as it was: {problem}");
                }
            }
        }
    }
}
