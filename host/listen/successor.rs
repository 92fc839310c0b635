//! Sockets from one process to the next: a new process asks the running one,
//! serves, and only then has it go. The sockets are the same ones, queue and
//! all, so no client is refused; and a new process that fails has changed
//! nothing.
//!
//! ```text
//! new: build ─ ask ───────── adopt ─ install ─ accept ─ relieve ─▶ serve
//! old: serve ───── lend ─ send ──────────────────────── wait ────▶ drain
//! ```

use std::fs::Permissions;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use super::socket::{Socket, Stream, absolute};
use super::{ACCEPT_REST, Inherited};
use crate::config::Address;

/// How long either side waits for the other; what is left to do then is short.
const PATIENCE: Duration = Duration::from_secs(10);
/// As many as one message can carry.
const MOST: usize = 253;
/// What a successor says when it serves.
const SERVING: &[u8] = b"serving\n";

/// What is said beside the sockets, in their order.
#[derive(Deserialize, Serialize)]
struct Handed {
    sockets: Vec<String>,
}

/// Where a successor asks. The socket is handed over with the others.
#[derive(Debug)]
pub(crate) struct Succession(Arc<Socket>);

/// A successor that asks.
pub(crate) struct Successor(UnixStream);

/// The running process, waiting to hear that this one serves.
pub(crate) struct Predecessor(UnixStream);

impl Succession {
    /// Opens the socket at a path, or takes it from a predecessor.
    pub(crate) async fn open(path: &Path, base: &Path, inherited: &Inherited) -> io::Result<Succession> {
        let address = absolute(&Address::Unix(path.to_owned()), base);
        let socket = match inherited.of(&address).next() {
            Some(socket) => Socket::adopt(socket.try_clone()?)?,
            None => Socket::bind(&address).await?,
        };
        if let Address::Unix(path) = &address {
            // Who gets in before this is done is still asked for its user.
            std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        Ok(Succession(Arc::new(socket)))
    }

    /// Waits for the next to ask.
    pub(crate) async fn asked(&self) -> Successor {
        loop {
            let stream = match self.0.accept().await {
                Ok(Stream::Unix(stream)) => stream.into_std().and_then(prepared),
                Ok(Stream::Tcp(_)) => continue,
                Err(error) => Err(error),
            };
            match stream {
                Ok(stream) => return Successor(stream),
                Err(error) => {
                    tracing::warn!(%error, "a successor could not be answered");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Gives a successor these sockets and this one, and waits until it serves.
    pub(super) async fn hand_over(
        &self,
        Successor(mut stream): Successor,
        inherited: Vec<(Address, OwnedFd)>,
        open: Vec<Arc<Socket>>,
    ) -> io::Result<()> {
        let own: Vec<Arc<Socket>> = open.into_iter().chain([self.0.clone()]).collect();
        own.iter().for_each(|socket| socket.share(true));
        let lent = own.clone();
        let relieved = tokio::task::spawn_blocking(move || {
            let lent = lent.iter().map(|socket| (socket.address(), socket.as_fd()));
            let inherited = inherited.iter().map(|(address, socket)| (address, socket.as_fd()));
            send(&stream, inherited.chain(lent).unzip())?;
            let mut word = [0; SERVING.len()];
            stream.read_exact(&mut word)?;
            if word == SERVING { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
        });
        let relieved = relieved.await.map_err(io::Error::other).flatten();
        if relieved.is_err() {
            own.iter().for_each(|socket| socket.share(false));
        }
        relieved
    }

    /// The predecessor has gone: the socket's file is this process's now.
    pub(super) fn own(&self) {
        self.0.share(false);
    }
}

impl Predecessor {
    /// Asks the process that listens at a path for its sockets; none where
    /// nobody does.
    pub(crate) async fn ask(path: &Path, base: &Path) -> io::Result<Option<(Predecessor, Inherited)>> {
        let path = base.join(path);
        tokio::task::spawn_blocking(move || match UnixStream::connect(path) {
            Ok(stream) => {
                let stream = prepared(stream)?;
                let sockets = receive(&stream)?;
                Ok(Some((Predecessor(stream), Inherited::from(sockets))))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error),
        })
        .await
        .map_err(io::Error::other)
        .flatten()
    }

    /// Tells it that this process serves. One that is gone need not hear it.
    pub(crate) fn relieve(self) {
        let Predecessor(mut stream) = self;
        if let Err(error) = stream.write_all(SERVING) {
            tracing::debug!(%error, "the predecessor is gone already");
        }
    }
}

/// A stream with bounds, to a process of the same user or of root.
fn prepared(stream: UnixStream) -> io::Result<UnixStream> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    if !peer.is_root() && peer != rustix::process::geteuid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the other process is another user's"));
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn send(stream: &UnixStream, (addresses, sockets): (Vec<&Address>, Vec<BorrowedFd<'_>>)) -> io::Result<()> {
    let handed = Handed { sockets: addresses.iter().map(ToString::to_string).collect() };
    let mut words = serde_json::to_vec(&handed)?;
    words.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("there are more sockets than can be handed over"));
    }
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(&words)], &mut control, SendFlags::NOSIGNAL)?;
    let mut stream = stream;
    stream.write_all(&words[sent..])
}

fn receive(stream: &UnixStream) -> io::Result<Vec<(Address, OwnedFd)>> {
    let (mut words, mut sockets) = (Vec::new(), Vec::new());
    while words.last() != Some(&b'\n') {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let received = rustix::net::recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                sockets.extend(more);
            }
        }
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        words.extend_from_slice(&bytes[..received]);
    }
    let handed: Handed = serde_json::from_slice(&words)?;
    let addresses = handed.sockets.iter().map(|address| address.parse().map_err(io::Error::other));
    let addresses = addresses.collect::<io::Result<Vec<Address>>>()?;
    Ok(addresses.into_iter().zip(sockets).collect())
}
