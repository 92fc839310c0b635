//! One listening socket, TCP or Unix.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketFlags};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::Address;

/// A bound socket. What is queued on it, and a Unix socket's file, go with it,
/// unless another process has it too.
#[derive(Debug)]
pub(super) struct Socket {
    listener: Listener,
    address: Address,
    shared: AtomicBool,
    /// A Unix socket's file as it was when it was bound.
    file: Option<(u64, u64)>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection as it was accepted.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// The peer's address, where it has one.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Leaves the runtime that accepted it, for another.
    pub(super) fn leave(self) -> io::Result<Leaving> {
        Ok(match self {
            Stream::Tcp(stream) => {
                // Small frames go out when they are written; nothing here profits from waiting.
                let _ = stream.set_nodelay(true);
                Leaving::Tcp(stream.into_std()?)
            }
            Stream::Unix(stream) => Leaving::Unix(stream.into_std()?),
        })
    }
}

/// A connection between two runtimes.
pub(super) enum Leaving {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Leaving {
    /// Enters the runtime this is called on.
    pub(super) fn enter(self) -> io::Result<Stream> {
        Ok(match self {
            Leaving::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Leaving::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl Socket {
    /// Binds an address, which is absolute.
    pub(super) async fn bind(address: &Address) -> io::Result<Socket> {
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Socket { listener: Listener::Tcp(listener), address, shared: false.into(), file: None })
            }
            Address::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                let (address, file) = (address.clone(), identity(path));
                Ok(Socket { listener: Listener::Unix(listener), address, shared: false.into(), file })
            }
            Address::Systemd(_) => Err(io::Error::other("it is not inherited")),
        }
    }

    /// A socket that somebody else has bound, and holds too.
    pub(super) fn adopt(socket: OwnedFd) -> io::Result<Socket> {
        let (listener, address) = if rustix::net::getsockname(&socket)?.address_family() == AddressFamily::UNIX {
            let listener = std::os::unix::net::UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let path = address.as_pathname().unwrap_or(Path::new("(no file)"));
            (Listener::Unix(UnixListener::from_std(listener)?), Address::Unix(path.to_owned()))
        } else {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            let address = Address::Tcp(listener.local_addr()?);
            (Listener::Tcp(TcpListener::from_std(listener)?), address)
        };
        let file = if let Address::Unix(path) = &address { identity(path) } else { None };
        Ok(Socket { listener, address, shared: true.into(), file })
    }

    /// Where it is bound.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Another process has it too, or has no longer.
    pub(super) fn share(&self, shared: bool) {
        self.shared.store(shared, Ordering::Relaxed);
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match &self.listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// A connection that waits at this very moment, and that nobody takes if
    /// this process does not. The runtime may not have heard of it yet, so the
    /// system is asked.
    pub(super) fn queued(&self) -> Option<Stream> {
        if self.shared.load(Ordering::Relaxed) {
            return None;
        }
        let stream = rustix::net::accept_with(self, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC).ok()?;
        match self.listener {
            Listener::Tcp(_) => TcpStream::from_std(stream.into()).map(Stream::Tcp),
            Listener::Unix(_) => UnixStream::from_std(stream.into()).map(Stream::Unix),
        }
        .ok()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.listener {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another process may have put a socket of its own there since.
        if let Address::Unix(path) = &self.address
            && !self.shared.load(Ordering::Relaxed)
            && identity(path) == self.file
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Which file is at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Where an address is for whoever starts elsewhere: a Unix socket's relative
/// path starts from `base`.
pub(super) fn absolute(address: &Address, base: &Path) -> Address {
    match address {
        Address::Unix(path) => {
            let path = base.join(path);
            Address::Unix(std::path::absolute(&path).unwrap_or(path))
        }
        address => address.clone(),
    }
}

/// Whether a socket's file is at a path.
pub(super) fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// Removes a socket file that nobody listens on any more: what a killed process
/// leaves behind. Anything else at that path is left alone, and binding fails.
async fn remove_stale(path: &Path) -> io::Result<()> {
    if is_socket(path)
        && matches!(UnixStream::connect(path).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
