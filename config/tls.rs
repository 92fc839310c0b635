//! `tls:`: how connections are encrypted, and who may make them.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// What every TCP address shows that is not `plaintext`. The files are watched,
/// and a changed pair is taken up whole or not at all.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file: the host's certificate, and below it those that lead to its authority.
    pub certificate: PathBuf,
    /// A PEM file: the certificate's private key.
    #[serde(serialize_with = "named")]
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

/// Shows a key's file, and not a key that was pasted in its place: a build
/// refuses that, and `show` builds nothing.
fn named<S: Serializer>(key: &Path, to: S) -> Result<S::Ok, S::Error> {
    let name = key.to_string_lossy();
    to.serialize_str(if name.contains("-----BEGIN") { "…" } else { &name })
}
