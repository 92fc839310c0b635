//! One listening socket, TCP or Unix.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::Address;

/// A bound socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener, Address),
    Unix(UnixListener, SocketFile),
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
    /// Binds an address; a Unix socket's relative path starts from `base`.
    pub(super) async fn bind(address: &Address, base: &Path) -> io::Result<Socket> {
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let bound = Address::Tcp(listener.local_addr()?);
                Ok(Socket::Tcp(listener, bound))
            }
            Address::Unix(path) => {
                // Absolute, so that it can be given to clients that start elsewhere.
                let path = std::path::absolute(base.join(path))?;
                remove_stale(&path).await?;
                let listener = UnixListener::bind(&path)?;
                Ok(Socket::Unix(listener, SocketFile(path)))
            }
        }
    }

    /// Where it is bound.
    pub(super) fn address(&self) -> Address {
        match self {
            Socket::Tcp(_, address) => address.clone(),
            Socket::Unix(_, SocketFile(path)) => Address::Unix(path.clone()),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Socket::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// A Unix socket's file, which goes with the socket.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes a socket file that nobody listens on any more: what a killed process
/// leaves behind. Anything else at that path is left alone, and binding fails.
async fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket
        && matches!(UnixStream::connect(path).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
