//! What went wrong below gRPC, as the code that gRPC over HTTP/2 gives it.

use h2::Reason;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tonic::{Code, Status};

/// A stream that ended with an error, and whether its server is known to have
/// done nothing about the request.
pub(super) struct Fault {
    pub(super) status: Status,
    pub(super) unprocessed: bool,
}

impl Fault {
    /// What an error on a stream means; `name` is the service's.
    pub(super) fn of(error: &h2::Error, name: &str) -> Fault {
        if error.is_reset()
            && error.is_remote()
            && let Some(reason) = error.reason()
        {
            let words = format!("the server of {name} broke the call off: {}", reason.description());
            return Fault { status: Status::new(code(reason), words), unprocessed: reason == Reason::REFUSED_STREAM };
        }
        // A stream is told of a GOAWAY only where that says it was not looked at.
        if error.is_go_away() && error.is_remote() {
            let status = Status::unavailable(format!("the server of {name} takes no more calls"));
            return Fault { status, unprocessed: true };
        }
        if error.is_library() {
            let status = Status::internal(format!("the server of {name} does not keep to HTTP/2"));
            return Fault { status, unprocessed: false };
        }
        Fault { status: lost(name), unprocessed: false }
    }
}

/// The connection is no more.
pub(super) fn lost(name: &str) -> Status {
    Status::unavailable(format!("the connection to the server of {name} was lost"))
}

/// The specification's table; what it leaves out is a fault of the server's.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::REFUSED_STREAM => Code::Unavailable,
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Internal,
    }
}

/// What an answer's head means that is no gRPC; `None` where it is.
pub(super) fn foreign(status: StatusCode, headers: &HeaderMap, name: &str) -> Option<Status> {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let is_grpc = kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web");
    if is_grpc && (status == StatusCode::OK || headers.contains_key("grpc-status")) {
        return None;
    }
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    let words = match status {
        StatusCode::OK => format!("the server of {name} does not answer in gRPC"),
        _ => format!("the server of {name} answers HTTP {}", status.as_u16()),
    };
    Some(Status::new(code, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_the_code_of_the_specification() {
        for (reason, expected) in [
            (Reason::NO_ERROR, Code::Internal),
            (Reason::PROTOCOL_ERROR, Code::Internal),
            (Reason::FLOW_CONTROL_ERROR, Code::Internal),
            (Reason::REFUSED_STREAM, Code::Unavailable),
            (Reason::CANCEL, Code::Cancelled),
            (Reason::COMPRESSION_ERROR, Code::Internal),
            (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
            (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        ] {
            assert_eq!(code(reason), expected, "{reason:?}");
        }
    }

    #[test]
    fn an_answer_that_is_no_grpc_has_the_code_of_its_http_status() {
        let verdict = |status: u16, kind: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            foreign(StatusCode::from_u16(status).unwrap(), &headers, "a.B").map(|status| status.code())
        };
        assert_eq!(verdict(200, "application/grpc"), None);
        assert_eq!(verdict(200, "application/grpc+proto"), None);
        for (status, kind, expected) in [
            (200, "text/html", Code::Unknown),
            (200, "application/grpc-web", Code::Unknown),
            (400, "text/plain", Code::Internal),
            (401, "text/plain", Code::Unauthenticated),
            (403, "text/plain", Code::PermissionDenied),
            (404, "text/plain", Code::Unimplemented),
            (429, "text/plain", Code::Unavailable),
            (500, "text/plain", Code::Unknown),
            (502, "text/plain", Code::Unavailable),
            (503, "application/grpc", Code::Unavailable),
            (504, "text/plain", Code::Unavailable),
        ] {
            assert_eq!(verdict(status, kind), Some(expected), "{status} {kind}");
        }
    }
}
