//! From an address to a connection that is known to speak HTTP/2.
//!
//! A peer that accepts and then says nothing would take every call and answer
//! none, so a connection counts as made when the peer has answered a PING: its
//! SETTINGS have come before that, and with them how many streams it allows.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::connection::{Connection, Driver, MOST_STREAMS, ping};
use super::heard::{Heard, Last};
use super::options::Options;
use super::tls::Tls;

/// What the server may send of one answer before its client takes some of it.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// Room for every stream's window, so that clients that do not read hold up
/// nobody else's answer.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * MOST_STREAMS as u32;
/// h2 charges a small frame 256 bytes until it is read. With its default, a
/// server that streams small messages to clients that do not read would be
/// closed as if it flooded; its streams' windows are the bound.
const SMALL_FRAMES_BUDGET_BYTES: usize = 1 << 30;
/// What is buffered of one request that the server does not take.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Cancelled calls of which more may come without a word about it.
const RESETS_REMEMBERED: usize = 1024;
/// Status details may hold some of this; more is the peer's mistake.
const LARGEST_HEADERS_BYTES: u32 = 64 << 10;

/// A connection that was made, and what drives it.
pub(super) type Dialled = (Connection, Driver);

/// Connects, or says why not, without a word of where to.
pub(super) async fn dial(address: &Address, options: &Options) -> Result<Dialled, String> {
    let within = tokio::time::timeout(options.connect, connect(address, options));
    within.await.unwrap_or_else(|_| Err(format!("no connection within {}", shown(options.connect))))
}

async fn connect(address: &Address, options: &Options) -> Result<Dialled, String> {
    match (address, &options.tls) {
        (Address::Unix(path), _) => {
            let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => "its socket is not there".to_owned(),
                _ => why(&error),
            })?;
            shake(stream, options).await
        }
        (Address::Tcp { authority, .. }, tls) => {
            let port = authority.port_u16().unwrap_or_default();
            let stream = TcpStream::connect((address.host(), port)).await.map_err(|error| why(&error))?;
            stream.set_nodelay(true).map_err(|error| why(&error))?;
            if !address.is_encrypted() {
                return shake(stream, options).await;
            }
            let tls = match tls {
                Some(tls) => tls.clone(),
                None => Tls::of_system(address.host()).map_err(|problem| problem.message().to_owned())?,
            };
            let connector = TlsConnector::from(tls.config);
            let stream = connector.connect(tls.name, stream).await.map_err(|error| why(&error))?;
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => shake(stream, options).await,
                _ => Err("it does not offer h2 in TLS".to_owned()),
            }
        }
    }
}

async fn shake<T>(stream: T, options: &Options) -> Result<Dialled, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let last = Last::new();
    let (sender, mut connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .data_frame_budget(SMALL_FRAMES_BUDGET_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(LARGEST_HEADERS_BYTES)
        // What still comes for calls that were cancelled is nobody's fault.
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .max_local_error_reset_streams(None)
        .enable_push(false)
        .handshake::<_, Bytes>(Heard::new(stream, last.clone()))
        .await
        .map_err(broken)?;
    let mut pings = connection.ping_pong().ok_or("its connection cannot be asked whether it lives")?;
    let mut connection = Box::pin(connection);
    tokio::select! {
        ended = &mut connection => match ended {
            Ok(()) => Err("it closed the connection at once".to_owned()),
            Err(error) => Err(broken(error)),
        },
        ponged = ping(&mut pings) => {
            ponged.map_err(broken)?;
            Ok(Driver::new(sender, connection, pings, last, options))
        }
    }
}

/// What went wrong with a socket; the kinds' own words name no address.
fn why(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => "its certificate is not one to be trusted".to_owned(),
        Some(_) => "TLS could not be agreed on".to_owned(),
        None if error.kind() == io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        None => error.kind().to_string(),
    }
}

fn broken(error: h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        // As TLS fails; what it said of it is lost on the way through HTTP/2.
        (Some(error), _) if error.kind() == io::ErrorKind::InvalidData => "TLS could not be agreed on".to_owned(),
        (Some(error), _) => why(error),
        (None, Some(reason)) => format!("HTTP/2 ended: {}", reason.description()),
        (None, None) => "it does not speak HTTP/2".to_owned(),
    }
}

fn shown(period: Duration) -> crate::config::units::Period {
    crate::config::units::Period(period)
}
