//! Calls without an answer: what went wrong below gRPC, as the code that gRPC
//! over HTTP/2 gives it, and whether the call may be sent again.

use h2::Reason;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use tonic::{Code, Status};

/// A call that has no answer. Where all of it is still there, the call can be
/// sent again.
#[derive(Debug)]
pub struct Refused {
    /// What its client is told, unless somebody else answers.
    pub status: Status,
    /// How it came to that.
    pub cause: Cause,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no connection: the server has not heard of it.
    Unsent,
    /// The server says that it has not looked at it: sending it once more, here
    /// or elsewhere, is as good as sending it once.
    Unprocessed,
    /// The server broke it off, or the connection was lost.
    Broken,
    /// The server did not answer in the time that the call gives it.
    Overdue,
    /// The request is not in order, or its time was up.
    Request,
}

impl Refused {
    /// What an error on a stream means for its call; `name` is the service's.
    pub(super) fn by(error: &h2::Error, name: &str) -> Refused {
        if error.is_reset()
            && error.is_remote()
            && let Some(reason) = error.reason()
        {
            let words = format!("the server of {name} broke the call off: {}", reason.description());
            let cause = if reason == Reason::REFUSED_STREAM { Cause::Unprocessed } else { Cause::Broken };
            return Refused { status: Status::new(code(reason), words), cause };
        }
        // A stream is told of a GOAWAY only where that says it was not looked at.
        if error.is_go_away() && error.is_remote() {
            let status = Status::unavailable(format!("the server of {name} takes no more calls"));
            return Refused { status, cause: Cause::Unprocessed };
        }
        if error.is_library() {
            let status = Status::internal(format!("the server of {name} does not keep to HTTP/2"));
            return Refused { status, cause: Cause::Broken };
        }
        Refused { status: lost(name), cause: Cause::Broken }
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
