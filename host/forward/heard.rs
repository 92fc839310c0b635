//! A socket that notes when its peer was last heard of.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// When something last came from the peer; clones are one.
#[derive(Clone, Debug)]
pub(super) struct Last {
    since: Instant,
    after_micros: Arc<AtomicU64>,
}

impl Last {
    /// Heard of now.
    pub(super) fn new() -> Last {
        Last { since: Instant::now(), after_micros: Arc::default() }
    }

    pub(super) fn at(&self) -> Instant {
        self.since + Duration::from_micros(self.after_micros.load(Ordering::Relaxed))
    }

    fn now(&self) {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or_default();
        self.after_micros.store(micros, Ordering::Relaxed);
    }
}

/// The socket.
pub(super) struct Heard<T> {
    io: T,
    last: Last,
}

impl<T> Heard<T> {
    pub(super) fn new(io: T, last: Last) -> Heard<T> {
        Heard { io, last }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.io).poll_read(context, into);
        if read.is_ready() {
            this.last.now();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
