//! What a process says of its service, by server reflection, and whether that is
//! what we say of it.

use std::sync::Arc;
use std::time::Duration;

use prost_reflect::{MethodDescriptor, ServiceDescriptor};

use crate::config::Problem;
use crate::host::Schema;
use crate::host::forward::Address;

/// How long it may take to say what it has.
const LIMIT: Duration = Duration::from_secs(5);

/// The schema of a service, as its process tells it.
pub(super) async fn ask(process: &Address, service: &str) -> Result<Arc<Schema>, Problem> {
    let told = Schema::reflected(process, service, LIMIT).await;
    told.map(Arc::new).map_err(|problem| {
        Problem::new(format!("the process does not describe `{service}`: {}", problem.message()))
            .help("say what it is by `schema`, or have it serve reflection")
    })
}

/// Holds what we say of a service against what its process says: a method that
/// it does not have would be served for nothing.
pub(super) fn compare(ours: &ServiceDescriptor, theirs: &ServiceDescriptor) -> Result<(), Problem> {
    let service = ours.full_name();
    for method in ours.methods() {
        let name = method.name();
        let Some(other) = theirs.methods().find(|other| other.name() == name) else {
            return Err(Problem::new(format!("the process has no method `{name}` of `{service}`"))
                .label("not what the schema says")
                .help("its own reflection says so; have `schema` and process agree"));
        };
        let shape = |method: &MethodDescriptor| {
            let streams = |streams| if streams { "stream " } else { "" };
            format!(
                "({}{}) returns ({}{})",
                streams(method.is_client_streaming()),
                method.input().full_name(),
                streams(method.is_server_streaming()),
                method.output().full_name()
            )
        };
        if shape(&method) != shape(&other) {
            return Err(Problem::new(format!("the process has another method `{name}` of `{service}`"))
                .label("not what the schema says")
                .help(format!("the schema: {}", shape(&method)))
                .help(format!("the process, by its reflection: {}", shape(&other))));
        }
    }
    Ok(())
}
