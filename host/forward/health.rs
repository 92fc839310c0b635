//! How a server says it is: health's Watch on a connection of its own, so that
//! it is known while nobody calls, and no call is needed to find out that it
//! is back.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request};
use prost::Message as _;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::connection::Connection;
use super::fault::foreign;
use super::pool::pause;
use super::target::Target;

const PATH: &str = "/grpc.health.v1.Health/Watch";
/// A status is a few bytes.
const LARGEST_MESSAGE_BYTES: usize = 1 << 10;
/// How long a server that has taken the question may leave it unanswered
/// before it counts as one that says nothing about its health.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes calls, as it says itself or as its connection shows.
    Serving,
    /// It says that it takes none.
    NotServing,
    /// It cannot be reached.
    Unreachable,
}

/// Why a Watch is over.
enum Over {
    /// The server says nothing about its health.
    Unimplemented,
    /// The connection or the stream is no more.
    Lost,
}

/// Tells how a server is for a service, now and at each change, for ever. One
/// without a health service, or whose health does not know that service, is
/// taken to serve as long as its connection lasts.
pub async fn watch(target: Arc<Target>, service: String, mut tell: impl FnMut(Health)) {
    let mut failures = 0;
    loop {
        match target.dial().await {
            Err(_) => {
                tell(Health::Unreachable);
                sleep(pause(failures)).await;
                failures = failures.saturating_add(1);
            }
            Ok((sender, driver)) => {
                let connection = Connection::new(sender, &driver);
                let mut driving = tokio::spawn(driver.run());
                let _driven = Driven(driving.abort_handle());
                let told = async {
                    match follow(&target, &connection, &service, &mut tell).await {
                        Over::Lost => {}
                        Over::Unimplemented => {
                            tell(Health::Serving);
                            std::future::pending().await
                        }
                    }
                };
                let since = tokio::time::Instant::now();
                tokio::select! {
                    () = told => {}
                    _ = &mut driving => {}
                }
                // A server that takes the connection and breaks it off at once
                // is left alone as one that takes none.
                failures = if since.elapsed() > FIRST_WORD { 0 } else { failures + 1 };
                if failures > 1 {
                    sleep(pause(failures)).await;
                }
            }
        }
    }
}

/// A driver that ends with its watch.
struct Driven(AbortHandle);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(target: &Target, connection: &Connection, service: &str, tell: &mut impl FnMut(Health)) -> Over {
    let (mut sender, _place) = connection.place();
    let (answering, mut sending) = match sender.send_request(question(target), false) {
        Ok(sent) => sent,
        Err(_) => return Over::Lost,
    };
    if sending.send_data(framed(&HealthCheckRequest { service: service.to_owned() }), true).is_err() {
        return Over::Lost;
    }
    let answer = match timeout(FIRST_WORD, answering).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => return Over::Lost,
        Err(_) => return Over::Unimplemented,
    };
    let (head, mut stream) = answer.into_parts();
    if let Some(status) = foreign(head.status, &head.headers, target.name()) {
        return if status.code() == Code::Unavailable { Over::Lost } else { Over::Unimplemented };
    }
    if let Some(over) = ended(&head.headers) {
        return over;
    }
    let mut arrived = BytesMut::new();
    while let Some(Ok(data)) = poll_fn(|context| stream.poll_data(context)).await {
        let _ = stream.flow_control().release_capacity(data.len());
        arrived.put(data);
        while let Some(message) = unframed(&mut arrived) {
            let Ok(answer) = HealthCheckResponse::decode(message) else { return Over::Unimplemented };
            tell(match answer.status() {
                ServingStatus::Serving | ServingStatus::ServiceUnknown => Health::Serving,
                ServingStatus::NotServing | ServingStatus::Unknown => Health::NotServing,
            });
        }
        if arrived.len() > LARGEST_MESSAGE_BYTES {
            return Over::Unimplemented;
        }
    }
    let trailers = poll_fn(|context| Pin::new(&mut stream).get_mut().poll_trailers(context)).await;
    trailers.ok().flatten().and_then(|trailers| ended(&trailers)).unwrap_or(Over::Lost)
}

/// How a Watch ended, where this says that it did.
fn ended(headers: &HeaderMap) -> Option<Over> {
    let status = headers.get("grpc-status")?;
    Some(match Code::from_bytes(status.as_bytes()) {
        Code::Ok | Code::Cancelled | Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Over::Lost,
        // There is no health to be had: none of this service, or not for us.
        _ => Over::Unimplemented,
    })
}

fn question(target: &Target) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    let uri = http::Uri::builder().scheme(target.address.scheme()).authority(target.address.authority());
    if let Ok(uri) = uri.path_and_query(PATH).build() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    request
}

fn framed(message: &HealthCheckRequest) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or_default());
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// The next whole message, taken out of what has arrived.
fn unframed(arrived: &mut BytesMut) -> Option<Bytes> {
    let [_, length @ ..] = *arrived.first_chunk::<5>()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if arrived.len() - 5 < length {
        return None;
    }
    arrived.advance(5);
    Some(arrived.split_to(length).freeze())
}
