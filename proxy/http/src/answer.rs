//! Bodies of answers, and what becomes of them: whether they are over, and whether somebody takes them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use proxy_stack::ReplyBody;
use tokio::time::Instant;

use crate::progress::Progress;

/// What a client has to take in the time that it has for a piece, whichever size it has.
const PIECE_BYTES: u32 = 64 * 1024;

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// A body that is over when it is dropped.
pub(crate) struct Answered {
    body: ReplyBody,
    progress: Arc<Progress>,
}

impl Answered {
    pub(crate) fn new(body: ReplyBody, progress: Arc<Progress>) -> Self {
        Self { body, progress }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.progress.over();
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled<Infallible> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answers of one HTTP/2 connection. Its client may take nothing of one of them and be lively otherwise, which no
/// limit of the socket sees.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Vec<Weak<Mutex<Held>>>>);

impl Answers {
    /// An answer among them.
    pub(crate) fn hold(&self, body: ReplyBody) -> Awaited {
        let held = Held { body: Some(body), offered: Some((Instant::now(), 0)) };
        let held = Arc::new(Mutex::new(held));
        lock(&self.0).push(Arc::downgrade(&held));
        Awaited(held)
    }

    /// Ends those of which a piece was not taken for so long, and as long again for each 64 KiB of it. Their exchange is over
    /// then, and what it held is free, but for the piece, which the library has; if the client comes back to it, its stream
    /// is reset.
    pub(crate) fn give_up(&self, after: Duration) {
        let mut ended = Vec::new();
        lock(&self.0).retain(|held| {
            let Some(held) = held.upgrade() else { return false };
            let mut held = lock(&held);
            let late = |&(since, bytes): &(Instant, u32)| {
                since.elapsed() >= after.saturating_mul(1 + bytes / PIECE_BYTES)
            };
            if held.offered.as_ref().is_some_and(late) {
                ended.extend(held.body.take());
            }
            held.body.is_some()
        });
    }
}

/// A body and whether it waits for whoever takes it.
struct Held {
    /// None when it was given up.
    body: Option<ReplyBody>,
    /// Since when there may be more of it than is asked for, and how many bytes are to be taken before.
    offered: Option<(Instant, u32)>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("offered", &self.offered).finish_non_exhaustive()
    }
}

/// A body that is given up when nobody takes it.
pub(crate) struct Awaited(Arc<Mutex<Held>>);

/// Nothing of an answer was taken for too long.
#[derive(Debug)]
pub(crate) struct NotTaken;

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing of an answer was taken for too long")
    }
}

impl std::error::Error for NotTaken {}

impl Body for Awaited {
    type Data = Bytes;
    type Error = NotTaken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled<NotTaken> {
        let mut held = lock(&self.0);
        let Some(body) = &mut held.body else { return Poll::Ready(Some(Err(NotTaken))) };
        let polled = Pin::new(body).poll_frame(context);
        held.offered = match &polled {
            Poll::Pending => None,
            Poll::Ready(frame) => {
                let frame = frame.as_ref().and_then(|frame| frame.as_ref().ok());
                let bytes = frame.and_then(Frame::data_ref).map_or(0, Bytes::len);
                Some((Instant::now(), u32::try_from(bytes).unwrap_or(u32::MAX)))
            }
        };
        polled.map(|frame| frame.map(|frame| frame.map_err(|never| match never {})))
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// Who panicked holding it has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use proxy_stack::{HttpFault, unrecognised};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_given_up_and_nothing_else() {
        let (answers, minute) = (Answers::default(), Duration::from_secs(60));
        let hold = || answers.hold(unrecognised(HttpFault::TooSlow).into_body());
        // A piece of 128 KiB may take as long as three small ones.
        for (bytes, pause, comes) in [
            (0, 59, true),
            (0, 60, false),
            (2 * PIECE_BYTES, 179, true),
            (2 * PIECE_BYTES, 180, false),
        ] {
            let mut answer = hold();
            lock(&answer.0).offered = Some((Instant::now(), bytes));
            tokio::time::sleep(Duration::from_secs(pause)).await;
            answers.give_up(minute);
            assert_eq!(answer.frame().await.unwrap().is_ok(), comes, "{bytes} after {pause} s");
        }
        drop(hold());
        answers.give_up(minute);
        assert_eq!(lock(&answers.0).len(), 0, "who is gone is forgotten");
    }
}
