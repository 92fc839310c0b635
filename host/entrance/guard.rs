//! What a request must look like before anything is looked up for it.
//!
//! Each refusal is the protocol's own: an HTTP status where the request is no
//! gRPC, a trailers-only answer where it is (gRPC over HTTP/2, and grpc-go
//! where that leaves a choice).

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};

use super::deadline::{Malformed, timeout};
use crate::host::mount::Response;

/// A request that may go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// `/package.Service/Method`, and nothing else.
    path: PathAndQuery,
    /// How long the service's name is.
    service_bytes: usize,
    /// How long the client waits.
    pub(crate) timeout: Option<Duration>,
}

impl Admitted {
    /// Full service name, and method name.
    pub(crate) fn names(&self) -> (&str, &str) {
        let path = self.path.as_str();
        (&path[1..=self.service_bytes], &path[self.service_bytes + 2..])
    }
}

/// How a request is turned away.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not gRPC at all; some of it has a gRPC status all the same.
    Http(StatusCode, Option<Code>),
    /// It is gRPC, and broken below it.
    Both(StatusCode, Status),
    /// It is gRPC, and has an answer.
    Grpc(Status),
}

impl Refusal {
    pub(super) fn into_response(self) -> Response {
        match self {
            Refusal::Grpc(status) => status.into_http(),
            Refusal::Both(code, status) => {
                let mut response: Response = status.into_http();
                *response.status_mut() = code;
                response
            }
            // Whoever sent this is no gRPC client, and is told in plain words.
            Refusal::Http(code, grpc) => {
                let mut response = http::Response::new(Body::new(http_body_util::Full::new(Bytes::from_static(WORDS))));
                *response.status_mut() = code;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                if let Some(grpc) = grpc {
                    response.headers_mut().insert("grpc-status", HeaderValue::from(grpc as i32));
                }
                response
            }
        }
    }
}

/// What one who is no gRPC client is told.
const WORDS: &[u8] = b"This host speaks gRPC: POST /package.Service/Method with content-type application/grpc.\n";

/// Looks a request's head over.
pub(crate) fn admit<B>(request: &http::Request<B>) -> Result<Admitted, Refusal> {
    let headers = request.headers();
    if request.method() != Method::POST {
        return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, Some(Code::Internal)));
    }
    if !is_grpc(headers) {
        return Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, None));
    }
    let bad = |words: &str| Refusal::Both(StatusCode::BAD_REQUEST, Status::new(Code::Internal, words));
    if has_two_authorities(request) {
        return Err(bad("the request names two authorities"));
    }
    let path = request.uri().path_and_query();
    let found = path.and_then(|path| canonical(path.as_str()).map(|(service, _)| (path.clone(), service.len())));
    let (path, service_bytes) =
        found.ok_or_else(|| Refusal::Grpc(Status::unimplemented("the path is not /package.Service/Method")))?;
    if headers.iter().any(|(name, value)| name.as_str().ends_with("-bin") && !is_base64(value)) {
        return Err(bad("binary metadata is not base64"));
    }
    let timeout = timeout(headers).map_err(|Malformed| bad("malformed grpc-timeout"))?;
    Ok(Admitted { path, service_bytes, timeout })
}

/// `application/grpc`, its proto flavour, and either with parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim_end();
    kind.eq_ignore_ascii_case("application/grpc") || kind.eq_ignore_ascii_case("application/grpc+proto")
}

fn has_two_authorities<B>(request: &http::Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (request.uri().authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => true,
        (Some(authority), Some(host), None) => host.as_bytes() != authority.as_str().as_bytes(),
        _ => false,
    }
}

/// `/package.Service/Method` and nothing else: no escapes, no query, no empty part.
pub(crate) fn canonical(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = |text: &str| !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.chars().all(word));
    (names(service) && !method.is_empty() && method.chars().all(word)).then_some((service, method))
}

/// Base64, padded or not; several values may be joined by commas.
fn is_base64(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').all(|value| {
        let value = value.trim_ascii();
        let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
        let digits = &value[..value.len() - padding];
        let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        digits.iter().all(digit)
            && digits.len() % 4 != 1
            && padding <= 2
            && (padding == 0 || value.len().is_multiple_of(4))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> http::request::Builder {
        http::Request::post(path).header(CONTENT_TYPE, "application/grpc")
    }

    /// HTTP status and gRPC status of the answer to a request.
    fn answer(request: http::request::Builder) -> Result<Admitted, (u16, Option<String>)> {
        admit(&request.body(()).unwrap()).map_err(|refusal| {
            let response = refusal.into_response();
            let grpc = response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
            (response.status().as_u16(), grpc)
        })
    }

    fn refused(http: u16, grpc: &str) -> Result<Admitted, (u16, Option<String>)> {
        Err((http, Some(grpc.to_owned())))
    }

    #[test]
    fn an_ordinary_call_is_admitted() {
        let admitted =
            answer(request("/a.b.Service/Method").header("grpc-timeout", "5S").header("x-bin", "AAA=, AAAA,AA"))
                .unwrap();
        let timeout = Some(Duration::from_secs(5));
        assert_eq!((admitted.names(), admitted.timeout), (("a.b.Service", "Method"), timeout));
        for kind in ["application/grpc+proto", "application/grpc; charset=x", "APPLICATION/GRPC"] {
            assert!(answer(http::Request::post("/s/m").header(CONTENT_TYPE, kind)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn only_post_is_a_call() {
        for method in [Method::GET, Method::PUT, Method::OPTIONS] {
            assert_eq!(answer(request("/s/m").method(method)), refused(405, "13"));
        }
    }

    #[test]
    fn a_foreign_content_type_is_not_grpc() {
        assert_eq!(answer(http::Request::post("/s/m")), Err((415, None)));
        for kind in ["application/json", "application/grpc-web", "application/grpc+json", "text/plain", ""] {
            assert_eq!(answer(http::Request::post("/s/m").header(CONTENT_TYPE, kind)), Err((415, None)), "{kind}");
        }
    }

    #[test]
    fn a_path_is_canonical_or_nothing() {
        for path in [
            "//s/m", "/s//m", "/s/m/", "/s/m?x", "/s/m?", "/s", "/", "*", "/s/../m", "/../m", "/s%2e/m", "/s/%6d",
            "/s/m.n", "/.s/m", "/s./m", "/s..t/m", "/s-t/m",
        ] {
            assert_eq!(answer(request(path)), refused(200, "12"), "{path}");
        }
    }

    #[test]
    fn two_authorities_are_one_too_many() {
        let two = |uri: &str, hosts: &[&str]| {
            answer(hosts.iter().fold(request(uri), |request, host| request.header(HOST, *host)))
        };
        assert!(two("http://a/s/m", &["a"]).is_ok());
        assert_eq!(two("http://a/s/m", &["b"]), refused(400, "13"));
        assert_eq!(two("/s/m", &["a", "a"]), refused(400, "13"));
    }

    #[test]
    fn broken_metadata_and_timeouts_are_bad_requests() {
        for value in ["A", "AA=A", "AAA", "A===", "A A", "AAAA=", "-_"] {
            let expected = if value == "AAA" { answer(request("/s/m")) } else { refused(400, "13") };
            assert_eq!(answer(request("/s/m").header("key-bin", value)), expected, "{value}");
        }
        assert_eq!(answer(request("/s/m").header("grpc-timeout", "1.5S")), refused(400, "13"));
        assert_eq!(
            answer(request("/s/m").header("grpc-timeout", "1S").header("grpc-timeout", "1S")),
            refused(400, "13")
        );
    }
}
