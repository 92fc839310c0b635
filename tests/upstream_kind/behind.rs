//! A server that does exactly as a test tells it, frame by frame.

use std::future::Future;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::wire::framed;

/// One call as it came.
pub struct Call {
    pub head: http::request::Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
}

/// A server, gone when dropped.
pub struct Behind {
    pub address: String,
    accepting: JoinHandle<()>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Has every call but those of health answered by `answer`; there is no health.
pub async fn behind<F, W>(answer: F) -> Behind
where
    F: Fn(Call) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    behind_with(h2::server::Builder::new(), answer).await
}

/// The same, with HTTP/2 settings of its own.
pub async fn behind_with<F, W>(builder: h2::server::Builder, answer: F) -> Behind
where
    F: Fn(Call) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    serve(builder, answer, |call| call.end_with(12, "no health")).await
}

/// A health's answers, as the wire has them.
pub const SERVING: u8 = 1;
pub const NOT_SERVING: u8 = 2;
pub const SERVICE_UNKNOWN: u8 = 3;
/// No answer, but an end: no such service.
pub const NOT_FOUND: u8 = 0;

/// The same, whose health says this.
pub async fn behind_saying<F, W>(health: watch::Receiver<u8>, answer: F) -> Behind
where
    F: Fn(Call) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    behind_naming(health.clone(), health, answer).await
}

/// The same, whose health says this of a service, and that of the whole.
pub async fn behind_naming<F, W>(own: watch::Receiver<u8>, whole: watch::Receiver<u8>, answer: F) -> Behind
where
    F: Fn(Call) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let say = move |mut call: Call| {
        let (own, whole) = (own.clone(), whole.clone());
        tokio::spawn(async move {
            let is_named = call.read().await.len() > framed(0, b"").len();
            let mut health = if is_named { own } else { whole };
            if *health.borrow() == NOT_FOUND {
                return call.end_with(5, "who?");
            }
            let mut sending = call.respond.send_response(head(&[]), false).unwrap();
            loop {
                let status = *health.borrow_and_update();
                let _ = sending.send_data(framed(0, &[8, status]), false);
                if health.changed().await.is_err() {
                    return;
                }
            }
        });
    };
    serve(h2::server::Builder::new(), answer, say).await
}

async fn serve<F, W>(builder: h2::server::Builder, answer: F, health: impl Fn(Call) + Clone + Send + 'static) -> Behind
where
    F: Fn(Call) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (builder, answer, health) = (builder.clone(), answer.clone(), health.clone());
            connections.spawn(async move {
                let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let (head, body) = request.into_parts();
                    let call = Call { head, body, respond };
                    if call.head.uri.path().starts_with("/grpc.health.v1.Health/") {
                        health(call);
                    } else {
                        tokio::spawn(answer(call));
                    }
                }
            });
        }
    });
    Behind { address, accepting }
}

/// Metadata by name and value.
pub fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// The head of an answer.
pub fn head(metadata: &[(&'static str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.headers_mut() = fields(metadata);
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

impl Call {
    /// Reads the request to its end.
    pub async fn read(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(Ok(data)) = self.body.data().await {
            let _ = self.body.flow_control().release_capacity(data.len());
            read.extend(data);
        }
        read
    }

    /// An answer that is a status and nothing else.
    pub fn end_with(mut self, code: u8, words: &str) {
        let response = head(&[("grpc-status", &code.to_string()), ("grpc-message", words)]);
        let _ = self.respond.send_response(response, true);
    }

    /// An answer of one empty message.
    pub fn answer(mut self) {
        let mut sending = self.respond.send_response(head(&[]), false).unwrap();
        let _ = sending.send_data(framed(0, &[]), false);
        let _ = sending.send_trailers(fields(&[("grpc-status", "0")]));
    }
}

/// A call of a method, as its client would write it.
pub fn asked(method: &str) -> http::request::Builder {
    Request::post(format!("http://front/routeguide.RouteGuide/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}
