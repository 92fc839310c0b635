//! `ostler list` and `ostler describe`: what a host serves, by its own words.

use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::proto::text;
use super::schema::{Schema, suggest};
use super::target::Target;
use super::{Failure, clean, complete, finish};
use crate::config::Problem;
use crate::host::cli::say;

/// What to list.
#[derive(Debug, Args)]
pub(in crate::host::cli) struct List {
    /// A service, for its methods; by default the services.
    #[arg(add = ArgValueCompleter::new(complete::services))]
    service: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl List {
    pub(in crate::host::cli) async fn run(self) -> ExitCode {
        finish(self.list()).await
    }

    async fn list(self) -> Result<(), Failure> {
        let mut schema = Schema::of(&self.target, self.target.connect().await?);
        let names = match &self.service {
            None => schema.services().await?,
            Some(service) => {
                let service = schema.service(service).await?;
                service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())).collect()
            }
        };
        for name in names {
            say(&(clean(&name) + "\n"));
        }
        Ok(())
    }
}

/// What to describe.
#[derive(Debug, Args)]
pub(in crate::host::cli) struct Describe {
    /// A service, method, message or enum; by default every service.
    #[arg(add = ArgValueCompleter::new(complete::methods))]
    symbol: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Describe {
    pub(in crate::host::cli) async fn run(self) -> ExitCode {
        finish(self.describe()).await
    }

    async fn describe(self) -> Result<(), Failure> {
        let mut schema = Schema::of(&self.target, self.target.connect().await?);
        let symbols = match &self.symbol {
            Some(symbol) => vec![symbol.trim_start_matches('/').replace('/', ".")],
            None => schema.services().await?,
        };
        for (at, symbol) in symbols.iter().enumerate() {
            let known = schema.learn(symbol).await?;
            let Some(text) = known.then(|| text(schema.pool(), symbol)).flatten() else {
                let services = schema.services().await?;
                let problem = Problem::new(format!("the host describes no `{}`", clean(symbol)));
                return Err(suggest(problem, symbol, &services, "services").into());
            };
            say(&format!("{}{}", if at == 0 { "" } else { "\n" }, clean(&text)));
        }
        Ok(())
    }
}
