//! HTTP/2 by hand: requests no client library would send, and bare frames.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

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
    match Upload::begin(address, request, ends && body.is_empty()).await {
        Ok(mut upload) => {
            for (at, piece) in body.iter().enumerate() {
                upload.send(piece.clone(), ends && at + 1 == body.len());
            }
            upload.outcome().await
        }
        Err(error) => Outcome::ended_by(&error),
    }
}

/// A call whose request is sent piece by piece.
pub struct Upload {
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
    answer: h2::client::ResponseFuture,
    sending: h2::SendStream<Bytes>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Upload {
    /// One on a connection of its own, all of its body still to come.
    pub async fn open(address: &str, request: http::request::Builder) -> Upload {
        Upload::begin(address, request, false).await.unwrap()
    }

    async fn begin(address: &str, request: http::request::Builder, ends: bool) -> Result<Upload, h2::Error> {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let (answer, sending) = client.send_request(request.body(()).unwrap(), ends)?;
        Ok(Upload { connection, answer, sending })
    }

    /// Sends a piece; a host that has answered already may refuse it.
    pub fn send(&mut self, piece: Bytes, last: bool) {
        let _ = self.sending.send_data(piece, last);
    }

    /// All of the answer.
    pub async fn outcome(mut self) -> Outcome {
        tokio::time::timeout(PATIENCE, self.answered()).await.expect("an answer")
    }

    async fn answered(&mut self) -> Outcome {
        let response = match (&mut self.answer).await {
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
    }
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
pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;

/// Why a stream or a connection ended, as the frame has it.
pub const REFUSED_STREAM: u32 = 7;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Kind, flags, stream, payload.
pub type Frame = (u8, u8, u32, Vec<u8>);

/// What a RST_STREAM or a GOAWAY gives as its reason.
pub fn reason((kind, .., payload): &Frame) -> u32 {
    let at = if *kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(payload[at..at + 4].try_into().unwrap())
}

/// How many streams may be open, as SETTINGS has it.
pub const MAX_CONCURRENT_STREAMS: u8 = 3;

/// Whether a SETTINGS frame sets this.
pub fn has_setting(payload: &[u8], number: u8) -> bool {
    payload.chunks(6).any(|setting| setting[..2] == [0, number])
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((payload.len() as u32) << 8 | u32::from(kind)).to_be_bytes().to_vec();
    bytes.push(flags);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a call of a RouteGuide method; its body is still to come.
pub fn opened(stream: u32, method: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&format!("/routeguide.RouteGuide/{method}")))
}

/// A header block in HPACK's plainest form: literals, nothing indexed.
pub fn block(path: &str) -> Vec<u8> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "ostler"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    .iter()
    .flat_map(|(name, value)| literal(0, name, value))
    .collect()
}

/// HPACK's first bits of a field that is also to be remembered.
pub const REMEMBERED: u8 = 0x40;
/// The field remembered last, in a byte.
pub const LAST_REMEMBERED: u8 = 0x80 | 62;

/// One header field, its words as they are.
pub fn literal(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![first];
    for word in [name, value] {
        // HPACK's integers: seven bits at first, then seven a byte, the least first.
        match word.len().checked_sub(127) {
            None => bytes.push(word.len() as u8),
            Some(mut rest) => {
                bytes.push(127);
                while rest >= 128 {
                    bytes.push(0x80 | (rest % 128) as u8);
                    rest /= 128;
                }
                bytes.push(rest as u8);
            }
        }
        bytes.extend(word.bytes());
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
        stream.set_nodelay(true).unwrap();
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

    /// The next frame; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Frame> {
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
                assert!(!is_patience(&error), "the host neither answers nor closes");
                None
            }
        }
    }

    /// The next frame of this kind, whatever comes before it.
    pub fn next_of(&mut self, kind: u8) -> Option<Frame> {
        std::iter::from_fn(|| self.next()).find(|frame| frame.0 == kind)
    }

    /// Reads until the host closes the connection; the frames that came before.
    pub fn closed(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Sends these bytes and waits until the host has taken every frame of them:
    /// a ping behind them is answered. What came meanwhile, or, where the host
    /// closed the connection instead, came before that.
    pub fn round(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Vec<Frame>> {
        const BEHIND: &[u8; 8] = b"all here";
        let mut came = Vec::new();
        self.send(&[bytes, &frame(PING, 0, 0, BEHIND)].concat());
        loop {
            match self.next() {
                None => return Err(came),
                Some((PING, ACK, 0, payload)) if payload == BEHIND => return Ok(came),
                Some(frame) => came.push(frame),
            }
        }
    }

    /// Sends what `flood` makes, one after another, and reads nothing, until the
    /// host closes; how many went out, much of which the host never saw.
    pub fn blast(&mut self, flood: impl Fn(u32) -> Vec<u8>) -> u32 {
        const MOST_BYTES: usize = 256 << 20;
        let (mut turn, mut sent) = (0, 0);
        while sent < MOST_BYTES {
            let mut burst = Vec::new();
            while burst.len() < 32 << 10 {
                burst.extend(flood(turn));
                turn += 1;
            }
            if let Err(error) = self.0.write_all(&burst) {
                assert!(!is_patience(&error), "the host neither takes what it is sent nor closes");
                return turn;
            }
            sent += burst.len();
        }
        panic!("the host takes it for ever");
    }
}

fn is_patience(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
