//! `tls:`: how connections are encrypted, and who may make them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every TCP address shows that is not `plaintext`. The files are watched,
/// and a changed pair is taken up whole or not at all.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file: the host's certificate, and below it those that lead to its authority.
    pub certificate: PathBuf,
    /// A PEM file: the certificate's private key.
    pub key: PathBuf,
    /// Who may connect; without it, anyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
}

/// Whose certificates clients may show.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// A PEM file: the authorities that clients' certificates lead to.
    pub ca: PathBuf,
    /// Whether a client without a certificate is refused.
    #[serde(default = "yes")]
    pub require: bool,
}

fn yes() -> bool {
    true
}
