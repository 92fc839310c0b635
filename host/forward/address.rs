//! Where a server is: an address as operators write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

use super::options::Resting;

/// `http://host:port`, `https://host:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address.
    Tcp {
        /// Its host and port, as calls name it.
        authority: Authority,
        /// Whether it is encrypted.
        encrypted: bool,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// What calls say the server is called. A socket has no name, so it is
    /// called what every client calls it.
    pub(super) fn authority(&self) -> Authority {
        match self {
            Address::Tcp { authority, .. } => authority.clone(),
            Address::Unix(_) => Authority::from_static("localhost"),
        }
    }

    pub(super) fn scheme(&self) -> Scheme {
        if self.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// How soon a server there is tried again. To look for a socket in the file
    /// system costs next to nothing, and who starts up there is waited for.
    pub(super) fn rest(&self) -> Resting {
        let (first, longest) = match self {
            Address::Tcp { .. } => (50, 1_000),
            Address::Unix(_) => (10, 250),
        };
        Resting { first: Duration::from_millis(first), longest: Duration::from_millis(longest) }
    }

    /// Whether it is spoken to in TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Address::Tcp { encrypted: true, .. })
    }

    /// The host's name or number, without brackets; `localhost` for a socket.
    pub fn host(&self) -> &str {
        match self {
            Address::Tcp { authority, .. } => authority.host().trim_matches(['[', ']']),
            Address::Unix(_) => "localhost",
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        const EXAMPLES: &str = "write it as `http://host:port`, `https://host:port` or `unix:/path`";
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.is_empty() {
                true => Err(format!("`{text}` names no socket\n{EXAMPLES}")),
                false => Ok(Address::Unix(path.into())),
            };
        }
        let with = format!("http://{text}");
        let wrong = || match with.parse::<Uri>() {
            // All that is missing is how it is spoken to.
            Ok(uri) if uri.port_u16().is_some() && uri.path() == "/" && !text.contains(['/', '@']) => {
                format!(
                    "`{text}` does not say how it is spoken to\nwrite `{with}`, or `https://{text}` if it is encrypted"
                )
            }
            _ => format!("`{text}` is no address of a server\n{EXAMPLES}"),
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(format!("a server's address holds no user and no password\n{EXAMPLES}"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(format!(
                "`{text}` has more than a host and a port: methods have paths of their own\n{EXAMPLES}"
            ));
        }
        let port = authority.as_str().rsplit_once(':').map_or("", |(_, port)| port);
        if !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_err() {
            return Err(format!("the port of `{text}` is too large: the largest is 65535\n{EXAMPLES}"));
        }
        if authority.port_u16().is_none() {
            return Err(format!("`{text}` has no port\n{EXAMPLES}"));
        }
        Ok(Address::Tcp { authority: authority.clone(), encrypted })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { authority, .. } => write!(f, "{}://{authority}", self.scheme()),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_writes_the_same() {
        for text in ["http://127.0.0.1:6000", "https://api.test:443", "http://[::1]:80", "unix:/run/x.sock", "unix:x"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("http://[::1]:80".parse::<Address>().unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_address_is_told_what_is() {
        for text in ["", "127.0.0.1:80", "http://", "http://a", "ftp://a:1", "http://a:1/x", "http://u:p@a:1", "unix:"]
        {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("http://"), "{text}: {error}");
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
