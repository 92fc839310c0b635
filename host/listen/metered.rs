//! A connection's bytes on their way, with the meter and the clocks on them.
//!
//! Trouble is told to HTTP/2 as an I/O error, which ends the connection and
//! every call on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::clock::Clock;
use super::meter::{Flood, Meter};
use super::pace::{Idle, Rest};
use super::tally::{Reason, Tally};

/// How long, and how far, a peer is listened to that is no longer answered.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1 << 20;

/// No error, and every call that the peer may have opened is met.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Eight bytes that are not those of h2's own pings, so that it passes the answer over.
const PING: [u8; 17] = *b"\0\0\x08\x06\0\0\0\0\0ostler??";

const FAREWELL_DUE: u8 = 1;
const PING_DUE: u8 = 2;

/// What the host says beside HTTP/2 when the connection is polled next, and
/// whether it hears anything, or wants to for now.
///
/// A GOAWAY goes ahead of h2's own: that one is followed by a ping, and no call
/// is taken once it is answered, but a peer may answer first, and only then
/// send a call that it had opened before. Said some time before, ours leaves h2
/// nothing to refuse. And a ping asks a quiet peer whether it lives: hyper's
/// does so too, and has the clock read for every frame.
#[derive(Debug, Default)]
pub(super) struct Aside {
    due: AtomicU8,
    heard: AtomicU64,
    rests: AtomicBool,
}

impl Aside {
    /// The peer is not to be read from for a while.
    pub(super) fn rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    pub(super) fn farewell(&self) {
        self.due.fetch_or(FAREWELL_DUE, Ordering::Relaxed);
    }

    pub(super) fn ping(&self) {
        self.due.fetch_or(PING_DUE, Ordering::Relaxed);
    }

    /// How often something has come.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// What is due first, which then is not any more.
    fn next(&self) -> &'static [u8] {
        let due = self.due.load(Ordering::Relaxed);
        let (bit, frame) = if due & FAREWELL_DUE != 0 { (FAREWELL_DUE, &GOAWAY) } else { (PING_DUE, &PING) };
        self.due.fetch_and(!bit, Ordering::Relaxed);
        frame
    }
}

/// The connection.
pub(super) struct Metered<T: Stream> {
    /// Taken when it drops.
    io: Option<T>,
    /// Whether the peer has earned an orderly end.
    orderly: bool,
    meter: Meter,
    handshake: Clock,
    aside: Arc<Aside>,
    /// What is left of a frame of the host's own.
    saying: &'static [u8],
    rest: Rest,
    tally: Tally,
}

/// What can be metered.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

impl<T: Stream> Metered<T> {
    /// A connection whose first settings are due at `deadline`, and the rest of
    /// any call's headers within `handshake`.
    pub(super) fn new(
        io: T,
        handshake: Duration,
        deadline: tokio::time::Instant,
        aside: Arc<Aside>,
        idle: Idle,
        tally: Tally,
    ) -> Metered<T> {
        Metered {
            io: Some(io),
            orderly: true,
            meter: Meter::new(Instant::now()),
            handshake: Clock::running(handshake, deadline),
            aside,
            saying: &[],
            rest: Rest::new(idle),
            tally,
        }
    }

    /// Says what is due, unless another frame has begun; ready when frames may go on.
    fn bid(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.saying.is_empty() {
            if self.aside.due.load(Ordering::Relaxed) == 0 || !self.meter.is_between_frames() {
                return Poll::Ready(Ok(()));
            }
            self.saying = self.aside.next();
        }
        while !self.saying.is_empty() {
            let left = self.saying;
            match ready!(self.io()?.poll_write(context, left)?) {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.saying = &left[written..],
            }
        }
        Poll::Ready(Ok(()))
    }

    fn io(&mut self) -> io::Result<Pin<&mut T>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn overdue(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.handshake.poll(self.meter.is_awaited(), context).is_ready() {
            self.orderly = false;
            self.tally.count(Reason::Late);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake or a call's headers took too long"));
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
            failed => {
                self.orderly = false;
                failed
            }
        }
    }
}

impl<T: Stream> AsyncRead for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Reading is what every poll of a connection does, however quiet it is.
        let _ = this.bid(context)?;
        if this.aside.rests.load(Ordering::Relaxed) {
            this.aside.rests.store(false, Ordering::Relaxed);
            this.rest.begin();
        }
        if this.rest.poll(context).is_pending() {
            this.overdue(context)?;
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = this.io()?.poll_read(context, into);
        if let Poll::Ready(Ok(())) = read {
            // A peer that has said its last waits for nothing.
            this.orderly &= into.filled().len() > before;
            this.aside.heard.fetch_add(1, Ordering::Relaxed);
            let metered = this.meter.received(&into.filled()[before..], Instant::now);
            metered.map_err(|flood| {
                this.orderly = false;
                let (reason, words) = match flood {
                    Flood::Control => (Reason::ControlFlood, "a flood of control frames"),
                    Flood::Reset => (Reason::ResetFlood, "a flood of calls opened to be reset"),
                };
                this.tally.count(reason);
                io::Error::other(words)
            })?;
        }
        this.overdue(context)?;
        read
    }
}

impl<T: Stream> AsyncWrite for Metered<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.bid(context)?.is_pending() {
            return this.wrote(Poll::Pending, std::iter::empty(), context);
        }
        let result = this.io()?.poll_write(context, bytes);
        this.wrote(result, std::iter::once(bytes), context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.bid(context)?.is_pending() {
            return this.wrote(Poll::Pending, std::iter::empty(), context);
        }
        let result = this.io()?.poll_write_vectored(context, slices);
        this.wrote(result, slices.iter().map(|slice| &**slice), context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(context)
    }
}

/// A socket closed over bytes it has not read is reset, and the peer may never
/// read what it was sent last: the reason it was sent away. So the host says
/// that it is done, and listens for a moment to a peer that is not.
impl<T: Stream> Drop for Metered<T> {
    fn drop(&mut self) {
        self.io.take().filter(|_| self.orderly).into_iter().for_each(linger);
    }
}

/// Says that the host is done, and listens for a moment.
pub(super) fn linger(mut io: impl Stream) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(tokio::time::timeout(LINGER, async move {
        if io.shutdown().await.is_ok() {
            let _ = tokio::io::copy(&mut io.take(LINGER_BYTES), &mut tokio::io::sink()).await;
        }
    }));
}
