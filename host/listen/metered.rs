//! A connection's bytes on their way, with the meter and the clocks on them.
//!
//! Trouble is told to HTTP/2 as an I/O error, which ends the connection and
//! every call on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::meter::{Flood, Meter};

/// A deadline that runs while something is awaited.
struct Clock {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    fn new(limit: Duration) -> Clock {
        Clock { limit, timer: None }
    }

    /// Runs while `awaited`, and is ready when it has run out.
    fn poll(&mut self, awaited: bool, context: &mut Context<'_>) -> Poll<()> {
        if !awaited {
            self.timer = None;
            return Poll::Pending;
        }
        let limit = self.limit;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(context)
    }
}

/// The connection.
pub(super) struct Metered<T> {
    io: T,
    meter: Meter,
    handshake: Clock,
    stall: Clock,
    stalled: bool,
}

impl<T> Metered<T> {
    pub(super) fn new(io: T, handshake: Duration, stall: Duration) -> Metered<T> {
        Metered {
            io,
            meter: Meter::new(Instant::now()),
            handshake: Clock::new(handshake),
            stall: Clock::new(stall),
            stalled: false,
        }
    }

    fn overdue(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.handshake.poll(self.meter.is_awaited(), context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake or a call's headers took too long"));
        }
        if self.stall.poll(self.stalled, context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing of what it is sent"));
        }
        Ok(())
    }

    /// Notes how a write went; `sent` are the bytes offered.
    fn wrote<'a>(
        &mut self,
        result: Poll<io::Result<usize>>,
        sent: impl Iterator<Item = &'a [u8]>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.stalled = result.is_pending();
        match result {
            Poll::Pending => match self.overdue(context) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
            Poll::Ready(Ok(count)) => {
                let mut left = count;
                for bytes in sent {
                    let taken = left.min(bytes.len());
                    self.meter.sent(&bytes[..taken]);
                    left -= taken;
                }
                Poll::Ready(Ok(count))
            }
            failed => failed,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, into);
        if let Poll::Ready(Ok(())) = read {
            let metered = this.meter.received(&into.filled()[before..], Instant::now());
            metered.map_err(|flood| {
                io::Error::other(match flood {
                    Flood::Control => "a flood of control frames",
                    Flood::Reset => "a flood of calls opened to be reset",
                })
            })?;
        }
        this.overdue(context)?;
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(context, bytes);
        this.wrote(result, std::iter::once(bytes), context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.wrote(result, slices.iter().map(|slice| &**slice), context)
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
