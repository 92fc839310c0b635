//! Who calls, as far as the connection tells.

use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of a call's connection. Every request carries one in its
/// extensions: `request.extensions().get::<Peer>()`.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    address: Option<SocketAddr>,
    certificates: Arc<[Vec<u8>]>,
}

impl Peer {
    pub(super) fn new(address: Option<SocketAddr>, certificates: impl IntoIterator<Item = Vec<u8>>) -> Peer {
        Peer { address, certificates: certificates.into_iter().collect() }
    }

    /// Where it calls from; `None` over a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The certificates it has shown, in DER: its own first, then those that
    /// lead to one of `tls.clients.ca`, by which it was checked before its first
    /// call. Empty where it has shown none, and where nothing is encrypted.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }
}
