//! TLS: from the files an operator names to a connection that is encrypted.
//!
//! The files are read and tried while a generation is built, so a pair that
//! does not fit is a problem like any other and never replaces one that does.
//! No message quotes what a file holds.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as Pem, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::metered::{Stream, linger};
use crate::config::{Clients, Problem, Problems, Sources, Tls};

/// What gRPC is spoken in.
const H2: &[u8] = b"h2";
/// The fatal alert of one who is offered no protocol it speaks (RFC 7301), as a
/// record of its own. rustls sends it where other protocols are offered, and
/// goes on where none is.
const NO_APPLICATION_PROTOCOL: [u8; 7] = [21, 3, 3, 0, 2, 2, 120];
/// A chain of certificates is a few KiB, a bundle of authorities some hundred.
const LARGEST_BYTES: u64 = 1 << 20;

/// Reads what the settings name, and puts it together.
pub(in crate::host) fn configure(tls: &Tls, base: &Path, sources: &mut Sources) -> Result<Arc<ServerConfig>, Problems> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut files = Files { base, sources };
    let mut problems = Problems::default();
    let chain = problems.take(files.certificates(&tls.certificate).map_err(|problem| problem.within("certificate")));
    let key = problems.take(files.key(&tls.key, &provider).map_err(|problem| problem.within("key")));
    let verifier = match &tls.clients {
        Some(clients) => {
            problems.take(files.verifier(clients, &provider).map_err(|problem| problem.within("ca").within("clients")))
        }
        None => Some(WebPkiClientVerifier::no_client_auth()),
    };
    let within = |problems: Problems| problems.map(|problem| problem.within("tls"));
    let (Some(chain), Some(key), Some(verifier)) = (chain, key, verifier) else { return Err(within(problems)) };

    let pair = CertifiedKey::new(chain, key);
    fits(&pair, tls).map_err(|problem| within(problem.into()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| within(Problem::new(format!("TLS cannot be spoken: {error}")).into()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![H2.to_vec()];
    Ok(Arc::new(config))
}

/// Whether certificate and key are each other's.
fn fits(pair: &CertifiedKey, tls: &Tls) -> Result<(), Problem> {
    let (certificate, key) = (tls.certificate.display(), tls.key.display());
    match pair.keys_match() {
        // A key that cannot tell what belongs to it is taken at its word.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Problem::new(format!("the key in {key} is not that of the certificate in {certificate}"))
                .label("another certificate's key")
                .help("the host's own certificate comes first in its file; the pair is taken up once both files fit")
                .within("key"))
        }
        Err(_) => Err(Problem::new(format!("the first certificate in {certificate} is no X.509 certificate"))
            .label("cannot be used")
            .within("certificate")),
    }
}

/// Files that are remembered as they are read.
struct Files<'a> {
    base: &'a Path,
    sources: &'a mut Sources,
}

impl Files<'_> {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, Problem> {
        if path.to_string_lossy().contains("-----BEGIN") {
            let problem = Problem::new("the name of a PEM file is due here, and this is what would be in one");
            return Err(problem.private().help("put it into a file that only the host can read, and name that"));
        }
        let path = self.base.join(path);
        let read = self.sources.read(&path, LARGEST_BYTES);
        read.map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))
    }

    fn certificates(&mut self, path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let bytes = self.read(path)?;
        let found: Result<Vec<_>, Pem> = CertificateDer::pem_slice_iter(&bytes).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(lacks(path, "certificate", "CERTIFICATE")),
            Err(_) => Err(broken(path)),
        }
    }

    fn key(&mut self, path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn rustls::sign::SigningKey>, Problem> {
        let bytes = self.read(path)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            Pem::NoItemsFound if bytes.windows(9).any(|word| word == b"ENCRYPTED") => {
                Problem::new(format!("the key in {} is encrypted", path.display()))
                    .label("needs a passphrase")
                    .help("take the passphrase off: `openssl pkey -in KEY -out PLAIN`")
            }
            Pem::NoItemsFound => lacks(path, "private key", "PRIVATE KEY"),
            _ => broken(path),
        })?;
        provider.key_provider.load_private_key(key).map_err(|_| {
            Problem::new(format!("the key in {} is of no kind that can be used", path.display()))
                .label("cannot be used")
                .help("use ECDSA over P-256 or P-384, Ed25519, or RSA of 2048 bits or more")
        })
    }

    /// What clients' certificates are checked by.
    fn verifier(
        &mut self,
        clients: &Clients,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
        let unusable = || {
            Problem::new(format!("a certificate in {} cannot be an authority", clients.ca.display()))
                .label("cannot be used")
        };
        let mut roots = RootCertStore::empty();
        for authority in self.certificates(&clients.ca)? {
            roots.add(authority).map_err(|_| unusable())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = if clients.require { verifier } else { verifier.allow_unauthenticated() };
        verifier.build().map_err(|_| unusable())
    }
}

fn lacks(path: &Path, what: &str, label: &str) -> Problem {
    Problem::new(format!("there is no {what} in {}", path.display()))
        .label("cannot be used")
        .help(format!("a PEM file holds it between `-----BEGIN {label}-----` and `-----END {label}-----`"))
}

fn broken(path: &Path) -> Problem {
    Problem::new(format!("{} is not whole: it breaks off, or is not PEM throughout", path.display()))
        .label("cannot be used")
}

/// Shakes hands with a client that speaks HTTP/2; another is told why not.
pub(super) async fn accept<T: Stream>(stream: T, config: Arc<ServerConfig>) -> io::Result<TlsStream<T>> {
    let mut listening = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let hello = match (&mut listening).await {
        Ok(hello) => hello,
        Err(error) => {
            listening.take_io().into_iter().for_each(linger);
            return Err(error);
        }
    };
    let speaks_h2 = hello.client_hello().alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == H2));
    if !speaks_h2 {
        let mut io = hello.io;
        io.write_all(&NO_APPLICATION_PROTOCOL).await?;
        linger(io);
        return Err(io::Error::other("the client offers no h2"));
    }
    hello.into_stream(config).into_fallible().await.map_err(|(error, io)| {
        linger(io);
        error
    })
}

/// What the client has shown of itself.
pub(super) fn certificates<T>(stream: &TlsStream<T>) -> Vec<Vec<u8>> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap_or_default().iter().map(|certificate| certificate.to_vec()).collect()
}
