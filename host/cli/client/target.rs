//! Whom a client's verb asks, and the way there: one set of flags and one
//! connection for `probe`, `list`, `describe` and `call`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;

use crate::config::Problem;
use crate::config::units::Period;
use crate::host::forward::{Address, Link, Options, Tls};

/// How an address is encrypted, and who the caller is there.
#[derive(Debug, Args)]
pub(in crate::host::cli) struct Encryption {
    /// Whether the host's address is encrypted.
    #[arg(long, requires = "ca")]
    tls: bool,
    /// The authorities to know the host by: a PEM file.
    #[arg(long, requires = "tls")]
    ca: Option<PathBuf>,
    /// The name in the host's certificate; by default the one it is reached by.
    #[arg(long, visible_alias = "authority", requires = "tls")]
    name: Option<String>,
    /// A certificate to show: a PEM file.
    #[arg(long, visible_alias = "cert", requires = "tls", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key: a PEM file.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
}

impl Encryption {
    /// A connection to `ADDRESS:PORT` or `unix:/path`, or why there is none.
    pub(in crate::host::cli) async fn connect(&self, address: &str, limit: Period) -> Result<Link, String> {
        let bare = address.strip_prefix("http://").unwrap_or(address);
        let uri = match self.tls {
            true => format!("https://{}", bare.strip_prefix("https://").unwrap_or(bare)),
            false if bare.starts_with("unix:") => bare.to_owned(),
            false => format!("http://{bare}"),
        };
        let there: Address = uri.parse()?;
        let options = Options { connect: limit.0, tls: self.known_by(&there)?, ..Options::new(address) };
        Link::open(there, &options).await
    }

    /// What it takes for an encrypted address.
    fn known_by(&self, there: &Address) -> Result<Option<Tls>, String> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let Some(ca) = &self.ca else { return Ok(None) };
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            _ => None,
        };
        let identity = identity.as_ref().map(|(certificate, key)| (certificate.as_slice(), key.as_slice()));
        let name = self.name.as_deref().unwrap_or(there.host());
        Tls::new(&read(ca)?, name, identity).map(Some).map_err(|problem| problem.words())
    }
}

/// The host that is asked, and what is said to it with every call.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The host: an address and port, or unix:/path.
    #[arg(long, short, env = "OSTLER_ADDRESS", default_value = "127.0.0.1:50051")]
    address: String,
    /// Metadata, as 'name: value'; the value of a name in -bin is base64. May be given several times.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    sent: Vec<Header>,
    /// How long connecting may take, and learning what the host serves.
    #[arg(long, default_value = "10s")]
    pub(super) timeout: Period,
    #[command(flatten)]
    encryption: Encryption,
}

impl Target {
    pub(super) async fn connect(&self) -> Result<Link, Problem> {
        let connected = self.encryption.connect(&self.address, self.timeout).await;
        connected.map_err(|why| Problem::new(format!("cannot reach {}: {why}", self.address)))
    }

    pub(super) fn metadata(&self) -> MetadataMap {
        let headers = self.sent.iter().map(|Header(name, value)| (name.clone(), value.clone()));
        MetadataMap::from_headers(headers.collect::<HeaderMap>())
    }
}

/// One piece of metadata.
#[derive(Clone, Debug)]
struct Header(HeaderName, HeaderValue);

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Header, String> {
        let (name, value) = text.split_once(':').ok_or("write it as 'name: value'")?;
        let (name, value) = (name.trim(), value.trim());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name for metadata"))?;
        // The library below would drop these without a word.
        if name.as_str().starts_with("grpc-") || ["te", "content-type", "user-agent"].contains(&name.as_str()) {
            return Err(format!("`{name}` is the protocol's own"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| {
            format!("the value of `{name}` is not ASCII; a name that ends in -bin takes any bytes, as base64")
        })?;
        let one = MetadataMap::from_headers(HeaderMap::from_iter([(name.clone(), value.clone())]));
        if one.get_bin(name.as_str()).is_some_and(|value| value.to_bytes().is_err()) {
            return Err(format!("the value of `{name}` is not base64, as that of every name in -bin has to be"));
        }
        Ok(Header(name, value))
    }
}
