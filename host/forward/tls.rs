//! TLS towards a server: whose certificates it may show, and which one it is
//! shown in turn. No message quotes what a file holds.

use std::fmt;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::config::Problem;

/// How a server is known, and how it knows the host.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Knows a server called `name` by the authorities in `ca`, and shows it
    /// `identity`, a certificate and its key; all in PEM. A problem is within
    /// `ca`, `name`, `certificate` or `key`.
    pub fn new(ca: &[u8], name: &str, identity: Option<(&[u8], &[u8])>) -> Result<Tls, Problem> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca).ok_or_else(|| cannot("there is no certificate in this file", "ca"))? {
            roots.add(authority).map_err(|_| cannot("a certificate in this file cannot be an authority", "ca"))?;
        }
        let config = trusting(roots)?;
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let nothing = || cannot("there is no certificate in this file", "certificate");
                let chain = certificates(chain).ok_or_else(nothing)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| cannot("there is no private key without a passphrase in this file", "key"))?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| cannot("the key is not that of the certificate", "key"))?
            }
        };
        Tls::named(config, name)
    }

    /// Knows a server called `name` by the authorities that the system trusts.
    pub(super) fn of_system(name: &str) -> Result<Tls, Problem> {
        let mut roots = RootCertStore::empty();
        // Of those, what cannot be used is nobody's here to mend.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(Problem::new("the system trusts no authority"));
        }
        Tls::named(trusting(roots)?.with_no_client_auth(), name)
    }

    fn named(mut config: ClientConfig, name: &str) -> Result<Tls, Problem> {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| cannot("this is no name that a certificate could hold", "name"))?;
        Ok(Tls { config: Arc::new(config), name })
    }
}

fn cannot(what: &str, key: &'static str) -> Problem {
    Problem::new(what.to_owned()).label("cannot be used").within(key)
}

fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Problem> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::new(format!("TLS cannot be spoken: {error}")))?;
    Ok(config.with_root_certificates(roots))
}

/// Every certificate in a PEM file; `None` where there is none, or it is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}
