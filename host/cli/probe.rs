//! `ostler probe`: a health check for images that carry no other client, with
//! the exit codes of `grpc_health_probe`.

use std::process::ExitCode;

use clap::Args;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::Encryption;
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
    #[command(flatten)]
    encryption: Encryption,
}

impl Probe {
    pub(super) async fn run(self) -> ExitCode {
        let limit = self.timeout.0;
        let link = match self.encryption.connect(&self.address, self.timeout).await {
            Ok(link) => link,
            Err(error) => {
                complain(&format!("cannot reach {}: {error}", self.address));
                return ExitCode::from(EXIT_UNREACHABLE);
            }
        };
        let question = HealthCheckRequest { service: self.service.clone() };
        let asked = tokio::time::timeout(limit, HealthClient::new(link).check(question)).await;
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
}
