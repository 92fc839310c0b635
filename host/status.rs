//! A call's end in words, as people and other implementations spell them.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::schema::clean;

/// What a client that is turned away for load is asked to wait.
const PUSHBACK_MS: &str = "100";

/// RESOURCE_EXHAUSTED for a call that is turned away for load: clients that
/// try again by themselves wait 100 ms first.
pub fn overloaded(words: &str) -> Status {
    let mut status = Status::resource_exhausted(words);
    status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from_static(PUSHBACK_MS));
    status
}

/// `NOT_FOUND: no such place`.
pub(super) fn told(status: &Status) -> String {
    match status.message() {
        "" => name(status.code()).to_owned(),
        message => format!("{}: {}", name(status.code()), clean(message)),
    }
}

/// A code as the specification spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
