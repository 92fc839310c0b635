//! A copy of a call, made as its bytes pass.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use prost_reflect::MethodDescriptor;
use tonic::Status;
use tonic::body::Body;

use super::{Counts, MOST_HELD_BYTES, Recorder};
use crate::host::{Request, Response};

/// What may be copied of one call, both ways together.
const MOST_BYTES: usize = 1 << 20;

/// A call as it went over the wire; nothing of its request's metadata but how
/// it is compressed.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) method: MethodDescriptor,
    /// How many rules there may be, as the generation has it that the call entered.
    pub(super) most: usize,
    /// How each way is compressed, where it is.
    pub(super) request_gzip: bool,
    pub(super) reply_gzip: bool,
    pub(super) request: Vec<u8>,
    pub(super) replies: Vec<u8>,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
    counts: Arc<Counts>,
}

impl Copied {
    fn bytes(&self) -> usize {
        self.request.len() + self.replies.len()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.counts.held_bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// A call that is being copied; nothing any more once it became too long.
type Shared = Arc<Mutex<Option<Copied>>>;

fn lock(copied: &Shared) -> MutexGuard<'_, Option<Copied>> {
    copied.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies one call. Dropped before the call ended in order, nothing is recorded.
#[derive(Debug)]
pub(in crate::handlers::upstream) struct Tap {
    /// Its generation's to hold: letting go of the last one waits for the file,
    /// and no call does that.
    recorder: Weak<Recorder>,
    copied: Shared,
}

impl Tap {
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        method: MethodDescriptor,
        most: usize,
        request: Request,
    ) -> (Request, Tap) {
        let copied = Copied {
            method,
            most,
            request_gzip: is_gzip(request.headers()),
            reply_gzip: false,
            request: Vec::new(),
            replies: Vec::new(),
            headers: HeaderMap::new(),
            trailers: HeaderMap::new(),
            counts: recorder.counts.clone(),
        };
        let copied = Arc::new(Mutex::new(Some(copied)));
        let tap = Tap { recorder: Arc::downgrade(recorder), copied: copied.clone() };
        (request.map(|body| Body::new(Copying { body, copied, answer: None })), tap)
    }

    /// An answer that is copied as it goes.
    pub(in crate::handlers::upstream) fn answer(self, mut answer: Response) -> Response {
        // A status in the head is all there is.
        if answer.headers().contains_key("grpc-status") {
            if let Some(mut copied) = lock(&self.copied).take() {
                copied.trailers = answer.headers().clone();
                take(&self.recorder, copied);
            }
            return answer;
        }
        if let Some(copied) = &mut *lock(&self.copied) {
            copied.reply_gzip = is_gzip(answer.headers());
            copied.headers = answer.headers().clone();
        }
        let body = std::mem::take(answer.body_mut());
        *answer.body_mut() = Body::new(Copying { body, copied: self.copied, answer: Some(self.recorder) });
        answer
    }
}

/// Hands over a call that has ended.
fn take(recorder: &Weak<Recorder>, call: Copied) {
    if let Some(recorder) = recorder.upgrade() {
        recorder.take(call);
    }
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get("grpc-encoding").is_some_and(|encoding| encoding == "gzip")
}

/// A body that is copied as it passes: a request's, or an answer's, which ends
/// the call and knows who takes it.
struct Copying {
    body: Body,
    copied: Shared,
    answer: Option<Weak<Recorder>>,
}

impl Copying {
    fn copy(&self, data: &[u8]) {
        let mut shared = lock(&self.copied);
        let Some(copied) = &mut *shared else { return };
        let held = copied.counts.held_bytes.fetch_add(data.len(), Ordering::Relaxed);
        let to = if self.answer.is_some() { &mut copied.replies } else { &mut copied.request };
        to.extend_from_slice(data);
        if copied.bytes() > MOST_BYTES || held + data.len() > MOST_HELD_BYTES {
            copied.counts.leave_out();
            *shared = None;
        }
    }
}

impl http_body::Body for Copying {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref() {
                this.copy(data);
            }
            if let (Some(trailers), Some(recorder)) = (frame.trailers_ref(), &this.answer)
                && let Some(mut copied) = lock(&this.copied).take()
            {
                copied.trailers = trailers.clone();
                take(recorder, copied);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
