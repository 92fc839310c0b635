//! HTTP/2 by hand: requests no client library would send, and bare frames.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};

use super::PATIENCE;

/// What became of one request.
#[derive(Debug)]
pub struct Outcome {
    pub http: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
    pub reset: Option<h2::Reason>,
}

impl Outcome {
    fn ended_by(error: &h2::Error) -> Outcome {
        let reset = Some(error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR));
        Outcome { http: 0, headers: HeaderMap::new(), body: Vec::new(), trailers: HeaderMap::new(), reset }
    }

    /// The gRPC status, wherever it was sent.
    pub fn status(&self) -> Option<u8> {
        let status = self.trailers.get("grpc-status").or(self.headers.get("grpc-status"));
        status.map(|status| status.to_str().unwrap().parse().unwrap())
    }

    /// HTTP status and gRPC status of an answer without messages.
    pub fn head(&self) -> (u16, Option<u8>) {
        let plain = self.headers.get("content-type").is_some_and(|kind| kind == "text/plain");
        assert!((plain || self.body.is_empty()) && self.trailers.is_empty(), "a trailers-only answer: {self:?}");
        (self.http, self.status())
    }
}

/// A request that is a call of a RouteGuide method.
pub fn call(method: &str) -> http::request::Builder {
    Request::post(format!("http://ostler/routeguide.RouteGuide/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// One gRPC message with its prefix.
pub fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut bytes = vec![flag];
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend(message);
    bytes.into()
}

/// Sends one request, its body in these pieces, ended or left open, and waits for all of its answer.
pub async fn exchange(address: &str, request: http::request::Builder, body: &[Bytes], ends: bool) -> Outcome {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let outcome = async {
        let (response, mut sending) = match client.send_request(request.body(()).unwrap(), ends && body.is_empty()) {
            Ok(sent) => sent,
            Err(error) => return Outcome::ended_by(&error),
        };
        for (at, piece) in body.iter().enumerate() {
            // A host that has answered already may refuse the rest.
            let _ = sending.send_data(piece.clone(), ends && at + 1 == body.len());
        }
        let response = match response.await {
            Ok(response) => response,
            Err(error) => return Outcome::ended_by(&error),
        };
        let (head, mut receiving) = response.into_parts();
        let mut outcome = Outcome {
            http: head.status.as_u16(),
            headers: head.headers,
            body: Vec::new(),
            trailers: HeaderMap::new(),
            reset: None,
        };
        while let Some(data) = receiving.data().await {
            match data {
                Ok(data) => {
                    let _ = receiving.flow_control().release_capacity(data.len());
                    outcome.body.extend(data);
                }
                Err(error) => {
                    outcome.reset = error.reason();
                    return outcome;
                }
            }
        }
        if let Ok(Some(trailers)) = receiving.trailers().await {
            outcome.trailers = trailers;
        }
        outcome
    };
    let outcome = tokio::time::timeout(PATIENCE, outcome).await.expect("an answer");
    connection.abort();
    outcome
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((payload.len() as u32) << 8 | u32::from(kind)).to_be_bytes().to_vec();
    bytes.push(flags);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block in HPACK's plainest form: literals, nothing indexed.
pub fn block(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "ostler"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        bytes.extend([0, name.len() as u8]);
        bytes.extend(name.bytes());
        bytes.push(value.len() as u8);
        bytes.extend(value.bytes());
    }
    bytes
}

/// A bare connection.
pub struct Wire(pub TcpStream);

impl Wire {
    /// Connected, nothing said.
    pub fn connect(address: &str) -> Wire {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Wire(stream)
    }

    /// Connected, preface and settings sent.
    pub fn open(address: &str) -> Wire {
        let mut wire = Wire::connect(address);
        assert!(wire.send(PREFACE) && wire.send(&frame(SETTINGS, 0, 0, &[])));
        wire
    }

    /// Whether the bytes could be sent.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame: kind, flags, stream, payload; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        Some((head[3], head[4], stream, payload))
    }

    fn read(&mut self, into: &mut [u8]) -> Option<()> {
        match self.0.read_exact(into) {
            Ok(()) => Some(()),
            Err(error) => {
                let patience = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!patience, "the host neither answers nor closes");
                None
            }
        }
    }

    /// Reads until the host closes the connection; the frames that came before.
    pub fn closed(&mut self) -> Vec<(u8, u8, u32, Vec<u8>)> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Sends the same bytes until the host closes; fails if it never does.
    pub fn flood(&mut self, bytes: &[u8], most: usize) {
        self.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut rest = [0; 64 * 1024];
        let burst = bytes.repeat(50);
        for _ in 0..most / 50 {
            if !self.send(&burst) || matches!(self.0.read(&mut rest), Ok(0)) {
                return;
            }
        }
        panic!("the host took {most} of them");
    }
}
