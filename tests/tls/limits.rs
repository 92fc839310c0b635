//! What is bounded on a connection that is encrypted: that nobody has spoken
//! HTTP/2 on it yet, or that its bytes are not what they seem, changes nothing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use super::{TLS, answers, certified, host};
use crate::frames::{greedy, large};
use crate::support::PATIENCE;
use crate::support::authority::Authority;
use crate::support::client::{Client, point};

/// How a connection ends on which these bytes are sent, and when.
pub(super) fn silent(address: &str, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    (rest, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deadline_is_on_the_handshake_and_what_follows_it() {
    let authority = Authority::new("one");
    let host = host(&authority, &format!("{TLS}limits: {{ handshake: 700ms }}\n"));
    let due = Duration::from_millis(700)..Duration::from_secs(10);
    // Nothing at all, and the beginning of a ClientHello.
    for bytes in [&b""[..], &[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]] {
        let (told, after) = silent(host.address(), bytes);
        assert!(told.is_empty() && due.contains(&after), "{after:?}: {told:?}");
    }
    // A whole handshake, late, and then nothing: no second helping of time.
    let begun = Instant::now();
    let mut shaken = authority.shake(host.address(), &[b"h2"]).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut shaken, &mut rest);
    let _ = tokio::time::timeout(PATIENCE, ended).await.expect("it is closed");
    assert!(due.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    answers(&authority, host.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_counted_among_the_connections() {
    let authority = Authority::new("one");
    let host = host(&authority, &format!("{TLS}limits: {{ connections: 1, handshake: 2s }}\n"));
    let _silent = TcpStream::connect(host.address()).unwrap();
    let (told, after) = silent(host.address(), b"");
    assert!(told.is_empty() && after < Duration::from_secs(2), "one more is closed at once: {after:?}");
    let deadline = Instant::now() + PATIENCE;
    while Client::connect_tls(host.address(), authority.trusted(None)).await.is_err() {
        assert!(Instant::now() < deadline, "its place is given back");
    }
}

#[test]
fn a_silent_client_does_not_hold_the_end_up() {
    let host = host(&Authority::new("one"), &format!("{TLS}limits: {{ handshake: 1h }}\nshutdown: {{ drain: 1h }}\n"));
    let mut silent = TcpStream::connect(host.address()).unwrap();
    silent.write_all(&[22, 3, 1, 1]).unwrap();
    assert_eq!(host.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_of_its_answers_is_closed() {
    let authority = Authority::new("one");
    let host = large(certified(&authority), &format!("{TLS}limits: {{ write_stall: 300ms }}\n"));
    let mut client = Client::connect_tls(host.address(), authority.trusted(None)).await.unwrap();
    client.get_feature(point(0, 0)).await.unwrap();
    let before = host.sockets();
    let mut deaf = authority.shake(host.address(), &[b"h2"]).await.unwrap();
    deaf.write_all(&greedy()).await.unwrap();
    deaf.flush().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while host.sockets() > before {
        client.get_feature(point(0, 0)).await.unwrap();
        assert!(Instant::now() < deadline, "the connection that reads nothing is not closed");
    }
}
