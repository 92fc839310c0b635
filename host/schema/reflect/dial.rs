//! The way to another host.

use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::config::units::Period;

/// A connection to `http://host:port`, `https://host:port` or `unix:/path`, or
/// why there is none. Where nothing is said of whom to trust, an encrypted
/// address is trusted by the system's authorities.
pub(in crate::host) async fn dial(
    address: &str,
    tls: Option<ClientTlsConfig>,
    limit: Period,
) -> Result<Channel, String> {
    let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| causes(&error))?;
    let tls = tls.or_else(|| address.starts_with("https:").then(|| ClientTlsConfig::new().with_enabled_roots()));
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).map_err(|error| causes(&error))?;
    }
    let connected = tokio::time::timeout(limit.0, endpoint.connect()).await;
    connected.map_err(|_| format!("no connection within {limit}"))?.map_err(|error| causes(&error))
}

/// An error with everything that led to it.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = chain.map(ToString::to_string).collect();
    // Each layer tends to repeat the one below.
    words.dedup_by(|next, words| words.contains(next.as_str()));
    words.join(": ")
}
