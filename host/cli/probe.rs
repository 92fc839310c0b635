//! `ostler probe`: a health check for images that carry no other client, with
//! the exit codes of `grpc_health_probe`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{complain, say};
use crate::config::units::Period;

/// As `grpc_health_probe` has them.
const EXIT_UNREACHABLE: u8 = 2;
const EXIT_CALL_FAILED: u8 = 3;
const EXIT_NOT_SERVING: u8 = 4;

/// What to ask, and whom.
#[derive(Debug, Args)]
pub(super) struct Probe {
    /// The host: an address and port, or unix:/path.
    #[arg(default_value = "127.0.0.1:50051")]
    address: String,
    /// The service to ask about; by default the host as a whole.
    #[arg(long, default_value = "")]
    service: String,
    /// How long connecting and asking may take, each.
    #[arg(long, default_value = "1s")]
    timeout: Period,
    /// Whether the host's address is encrypted.
    #[arg(long, requires = "ca")]
    tls: bool,
    /// The authorities to know the host by: a PEM file.
    #[arg(long, requires = "tls")]
    ca: Option<PathBuf>,
    /// The name in the host's certificate; by default the one it is reached by.
    #[arg(long, requires = "tls")]
    name: Option<String>,
    /// A certificate to show: a PEM file.
    #[arg(long, requires = "tls", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key: a PEM file.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
}

impl Probe {
    pub(super) async fn run(self) -> ExitCode {
        let limit = self.timeout.0;
        let channel = match self.connect(limit).await {
            Ok(channel) => channel,
            Err(error) => {
                complain(&format!("cannot reach {}: {error}", self.address));
                return ExitCode::from(EXIT_UNREACHABLE);
            }
        };
        let question = HealthCheckRequest { service: self.service.clone() };
        let asked = tokio::time::timeout(limit, HealthClient::new(channel).check(question)).await;
        let status = match asked {
            Ok(Ok(answer)) => answer.into_inner().status(),
            Ok(Err(status)) => {
                complain(&format!("the health check failed: {:?}: {}", status.code(), status.message()));
                return ExitCode::from(EXIT_CALL_FAILED);
            }
            Err(_) => {
                complain(&format!("the health check had no answer within {}", self.timeout));
                return ExitCode::from(EXIT_CALL_FAILED);
            }
        };
        say(&format!("status: {}\n", status.as_str_name()));
        if status == ServingStatus::Serving { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_SERVING) }
    }

    async fn connect(&self, limit: Duration) -> Result<Channel, String> {
        let bare = self.address.strip_prefix("http://").unwrap_or(&self.address);
        let uri = match self.tls {
            true => format!("https://{}", bare.strip_prefix("https://").unwrap_or(bare)),
            false if bare.starts_with("unix:") => bare.to_owned(),
            false => format!("http://{bare}"),
        };
        let mut endpoint = Endpoint::from_shared(uri).map_err(|error| causes(&error))?;
        if let Some(tls) = self.encryption()? {
            endpoint = endpoint.tls_config(tls).map_err(|error| causes(&error))?;
        }
        let connected = tokio::time::timeout(limit, endpoint.connect()).await;
        connected.map_err(|_| format!("no connection within {}", self.timeout))?.map_err(|error| causes(&error))
    }

    /// What it takes for an encrypted address.
    fn encryption(&self) -> Result<Option<ClientTlsConfig>, String> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let Some(ca) = &self.ca else { return Ok(None) };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
        if let Some(name) = &self.name {
            tls = tls.domain_name(name);
        }
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(Some(tls))
    }
}

/// An error with everything that led to it.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = chain.map(ToString::to_string).collect();
    // Each layer tends to repeat the one below.
    words.dedup_by(|next, words| words.contains(next.as_str()));
    words.join(": ")
}
