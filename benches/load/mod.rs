//! A client that costs next to nothing: unary calls as ready-made frames, so
//! that on two cores the server is what is measured and not its client.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// As much as answers may ever take: nothing has to be said of it again.
const WINDOW: u32 = (1 << 31) - 1;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a message.
    Answered,
    /// With a status alone.
    Refused,
}

/// One connection that makes the same call again and again.
pub struct Load {
    stream: TcpStream,
    received: Vec<u8>,
    sent: Vec<u8>,
    /// The frames of one call: its headers by their numbers in the table that
    /// the first call filled, and its message.
    first: Vec<u8>,
    again: Vec<u8>,
    data: Vec<u8>,
    next: u32,
    /// Whether each open call has had a message, by stream from `oldest`.
    open: VecDeque<Option<bool>>,
    oldest: u32,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

impl Load {
    pub async fn connect(address: &str, path: &str, message: &[u8]) -> Load {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let headers = [
            (":path", path),
            (":authority", address),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "load"),
        ];
        // `:method: POST` and `:scheme: http` have numbers of their own.
        let (mut first, mut again) = (vec![0x83, 0x86], vec![0x83, 0x86]);
        for (at, (name, value)) in headers.iter().enumerate() {
            first.push(0x40);
            for text in [name, value] {
                assert!(text.len() < 127, "one byte of length");
                first.push(text.len() as u8);
                first.extend(text.bytes());
            }
            again.push(0x80 | (62 + headers.len() - 1 - at) as u8);
        }
        let mut data = vec![0];
        data.extend((message.len() as u32).to_be_bytes());
        data.extend(message);
        let mut sent = PREFACE.to_vec();
        // The largest window a call may have.
        sent.extend(frame(SETTINGS, 0, 0, &[&[0, 4][..], &WINDOW.to_be_bytes()].concat()));
        sent.extend(frame(0x8, 0, 0, &(WINDOW - 65_535).to_be_bytes()));
        let (received, open) = (Vec::with_capacity(1 << 18), VecDeque::new());
        Load { stream, received, sent, first, again, data, next: 1, open, oldest: 1 }
    }

    /// How many calls are open.
    pub fn open(&self) -> usize {
        self.open.iter().filter(|call| call.is_some()).count()
    }

    /// Opens a call, to be sent with the next [`turn`](Self::turn); returns its number.
    pub fn call(&mut self) -> u32 {
        let stream = self.next;
        let headers = if stream == 1 { &self.first } else { &self.again };
        self.sent.extend(frame(HEADERS, END_HEADERS, stream, headers));
        self.sent.extend(frame(DATA, END_STREAM, stream, &self.data));
        self.open.push_back(Some(false));
        self.next += 2;
        stream
    }

    /// Sends what is to be sent, and tells of calls that ended; waits for
    /// nothing longer than until then.
    pub async fn turn(&mut self, until: Instant, mut ended: impl FnMut(u32, Ended)) {
        if !self.sent.is_empty() {
            self.stream.write_all(&self.sent).await.expect("sent");
            self.sent.clear();
        }
        let reading = self.stream.read_buf(&mut self.received);
        match tokio::time::timeout_at(until.into(), reading).await {
            Ok(read) => assert!(read.expect("received") > 0, "the server closed the connection"),
            Err(_) => return,
        }
        let mut at = 0;
        while let Some(head) = self.received.get(at..at + 9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let Some(payload) = self.received.get(at + 9..at + 9 + length) else { break };
            match kind {
                DATA => self.open[((stream - self.oldest) / 2) as usize] = Some(true),
                HEADERS if flags & END_STREAM != 0 => {
                    let call = self.open[((stream - self.oldest) / 2) as usize].take();
                    ended(stream, if call == Some(true) { Ended::Answered } else { Ended::Refused });
                }
                SETTINGS | PING if flags & ACK == 0 => {
                    let payload = if kind == PING { payload } else { &[] };
                    self.sent.extend(frame(kind, ACK, 0, payload));
                }
                RST_STREAM | GOAWAY => panic!("the server gave up: {payload:?}"),
                _ => {}
            }
            at += 9 + length;
        }
        self.received.drain(..at);
        while self.open.front().is_some_and(Option::is_none) {
            self.open.pop_front();
            self.oldest += 2;
        }
    }
}

/// Keeps so many calls open on each of so many connections, and counts those answered.
pub async fn closed(loads: &mut [Load], streams: usize, span: Duration) -> u64 {
    let until = Instant::now() + span;
    let each = loads.iter_mut().map(|load| async move {
        let mut answered = 0;
        let mut open = load.open();
        while Instant::now() < until {
            while open < streams {
                load.call();
                open += 1;
            }
            load.turn(until, |_, how| {
                assert_eq!(how, Ended::Answered);
                open -= 1;
                answered += 1;
            })
            .await;
        }
        answered
    });
    futures_util::future::join_all(each).await.into_iter().sum()
}
