//! What must not take too long on a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::tally::{Reason, Tally};

/// A deadline that runs while something is awaited.
pub(super) struct Clock {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    pub(super) fn new(limit: Duration) -> Clock {
        Clock { limit, timer: None }
    }

    /// One that already runs.
    pub(super) fn running(limit: Duration, until: Instant) -> Clock {
        Clock { limit, timer: Some(Box::pin(tokio::time::sleep_until(until))) }
    }

    /// Runs while `awaited`, and is ready when it has run out.
    pub(super) fn poll(&mut self, awaited: bool, context: &mut Context<'_>) -> Poll<()> {
        if !awaited {
            self.timer = None;
            return Poll::Pending;
        }
        let limit = self.limit;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(context)
    }
}

/// A socket that fails when its peer takes nothing of what it is sent. It lies
/// below TLS, which says of bytes it only holds back that they are written.
///
/// Its place among the connections goes with it, and not before: one that is
/// still listened to after its last word is open all the same.
pub(super) struct Stall<T, Place> {
    io: T,
    clock: Clock,
    tally: Tally,
    _place: Place,
}

impl<T, Place> Stall<T, Place> {
    pub(super) fn new(io: T, limit: Duration, tally: Tally, place: Place) -> Stall<T, Place> {
        Stall { io, clock: Clock::new(limit), tally, _place: place }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.clock.poll(result.is_pending(), context) {
            Poll::Ready(()) => {
                self.tally.count(Reason::Stalled);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing of what it is sent")))
            }
            Poll::Pending => result,
        }
    }
}

impl<T: AsyncRead + Unpin, Place: Unpin> AsyncRead for Stall<T, Place> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin, Place: Unpin> AsyncWrite for Stall<T, Place> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(context, bytes);
        this.wrote(result, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.wrote(result, context)
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
