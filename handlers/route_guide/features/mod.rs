//! The feature database: where it comes from, and what it can be asked.
//!
//! Every source ends in the same [`Features`]; a new one (a database, say) is a
//! word in the settings and a way to the same entries.

mod index;
pub(crate) mod json;

use std::sync::Arc;

use super::Source;
use crate::config::FEATURES;
use crate::host::{BoxError, Build};

pub(super) use index::{AtPoint, Features};
pub(super) use json::Entry;

/// Larger databases belong in a database.
const LARGEST_FILE_BYTES: u64 = 4 << 30;

/// Reads a source and indexes it, away from the workers that serve calls.
pub(super) async fn load(source: &Source, build: &Build) -> Result<Arc<Features>, BoxError> {
    let index = match source {
        Source::Embedded => indexed(|| json::parse("features.json", FEATURES)).await?,
        Source::File(path) => {
            let bytes = build
                .read(path, LARGEST_FILE_BYTES)
                .await
                .map_err(|problem| problem.within("file").within("features"))?;
            let shown = build.path(path).display().to_string();
            indexed(move || json::parse(&shown, &bytes)).await?
        }
        Source::Inline(entries) => {
            let entries = entries.clone();
            indexed(move || Ok(entries)).await?
        }
    };
    Ok(Arc::new(index))
}

async fn indexed(
    read: impl FnOnce() -> Result<Vec<Entry>, crate::config::Problems> + Send + 'static,
) -> Result<Features, BoxError> {
    let index = move || -> Result<Features, BoxError> { Ok(Features::new(read()?)?) };
    tokio::task::spawn_blocking(index).await?
}
