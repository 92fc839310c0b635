//! A call on its way to a server: its head, what there is of its body, and how
//! long it may take.

use std::any::Any;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, uri};
use http_body::Body as _;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::address::Address;
use crate::host::entrance::Deadline;
use crate::host::mount::Request;

/// What is kept of a request so that it can be sent again.
pub const REPLAYED_BYTES: usize = 64 << 10;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// One call.
#[derive(Debug)]
pub struct Call {
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    pub(super) payload: Payload,
    /// When it must be over, as the entrance has it.
    due: Option<Instant>,
    /// When it is ended here.
    pub(super) limit: Option<Instant>,
    /// What lasts as long as it.
    pub(super) kept: Option<Arc<dyn Any + Send + Sync>>,
}

/// A request's body.
#[derive(Debug)]
pub(super) enum Payload {
    /// All of it, short enough to be sent more than once.
    Whole(Bytes),
    /// What came first, and the rest as it comes.
    Open(Ahead, Body),
    /// It was sent, and cannot be again.
    Sent,
}

/// What has come of a request, in the pieces it came in.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub(super) pieces: Vec<Bytes>,
    bytes: usize,
}

impl Ahead {
    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }

    /// Whether it is more than is kept to be sent again.
    pub(super) fn is_long(&self) -> bool {
        self.bytes > REPLAYED_BYTES
    }

    /// All of it in one piece.
    pub(super) fn join(self) -> Bytes {
        match <[Bytes; 1]>::try_from(self.pieces) {
            Ok([one]) => one,
            Err(pieces) => pieces.concat().into(),
        }
    }
}

impl Call {
    /// A call that has just come.
    pub fn new(request: Request) -> Call {
        let (head, body) = request.into_parts();
        let mut headers = head.headers;
        headers.remove(HOST);
        let due = head.extensions.get().map(|Deadline(due)| *due);
        headers.entry(TE).or_insert(HeaderValue::from_static("trailers"));
        let path = head.uri.into_parts().path_and_query;
        Call { path, headers, payload: Payload::Open(Ahead::default(), body), due, limit: None, kept: None }
    }

    /// The method called, without its service.
    pub fn method(&self) -> &str {
        self.path.as_ref().and_then(|path| path.path().rsplit('/').next()).unwrap_or_default()
    }

    /// The same call, ended here with DEADLINE_EXCEEDED if its answer is not
    /// whole by then.
    pub fn by(mut self, limit: Instant) -> Call {
        self.limit = Some(limit);
        self
    }

    /// The same call, which keeps this until its answer's last byte.
    pub fn keeping(mut self, kept: Arc<dyn Any + Send + Sync>) -> Call {
        self.kept = Some(kept);
        self
    }

    /// Marks it as one that servers have had so often before.
    pub fn mark(&mut self, before: u32) {
        self.headers.insert(ATTEMPTS, HeaderValue::from(before));
    }

    /// Whether all of it is still here to be sent.
    pub fn is_whole(&self) -> bool {
        !matches!(self.payload, Payload::Sent)
    }

    /// Waits for the request to be whole, or too long to be sent twice.
    pub async fn gather(&mut self) -> Result<(), Status> {
        poll_fn(|context| self.payload.poll_whole(context)).await
    }

    /// Takes what has come of the request, and waits for nothing.
    pub(super) async fn look(&mut self) -> Result<(), Status> {
        poll_fn(|context| match self.payload.poll_whole(context) {
            Poll::Pending => Poll::Ready(Ok(())),
            looked => looked,
        })
        .await
    }

    /// What a server at `address` is to be asked; `None` where the time is up.
    pub(super) fn head(&self, address: &Address) -> Option<http::Request<()>> {
        let mut headers = self.headers.clone();
        if let Some(until) = self.due.into_iter().chain(self.limit).min() {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            headers.insert(GRPC_TIMEOUT, told(left));
        }
        let mut parts = uri::Parts::default();
        parts.scheme = Some(address.scheme());
        parts.authority = Some(address.authority());
        parts.path_and_query = self.path.clone();
        let mut request = http::Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.headers_mut() = headers;
        Some(request)
    }
}

impl Payload {
    /// What is to be sent now; what is short enough stays here as well.
    pub(super) fn take(&mut self) -> Payload {
        match self {
            Payload::Whole(bytes) => Payload::Whole(bytes.clone()),
            _ => std::mem::replace(self, Payload::Sent),
        }
    }

    /// Ready when this is whole, or will not be: what is too long goes on as it comes.
    fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            let Payload::Open(ahead, body) = self else { return Poll::Ready(Ok(())) };
            if ahead.is_long() {
                return Poll::Ready(Ok(()));
            }
            match std::task::ready!(Pin::new(body).poll_frame(context)) {
                None => *self = Payload::Whole(std::mem::take(ahead).join()),
                Some(Err(status)) => return Poll::Ready(Err(status)),
                // gRPC's requests have no trailers, and say nothing in them.
                Some(Ok(frame)) => frame.into_data().map_or((), |data| ahead.push(data)),
            }
        }
    }
}

/// A time as `grpc-timeout` has it: at most eight digits, and never more than
/// there is.
fn told(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')];
    let (number, unit) = units.into_iter().find(|(number, _)| *number <= MOST).unwrap_or((MOST, 'S'));
    HeaderValue::try_from(format!("{number}{unit}")).unwrap_or(HeaderValue::from_static("1m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_eight_digits_and_never_longer_than_it_is() {
        for (left, expected) in [
            (Duration::from_nanos(1_500), "1u"),
            (Duration::from_secs(2), "2000000u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_micros(100_000_001), "100000m"),
            (Duration::from_millis(100_000_000), "100000S"),
            (Duration::from_secs(100_000_000), "99999999S"),
        ] {
            assert_eq!(told(left), expected, "{left:?}");
        }
    }
}
