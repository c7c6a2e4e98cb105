//! What goes back to the client.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use proxy_audit::Outcome;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

/// A reply whose record is still open: the record layer closes it before a byte leaves.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// Held until the last byte has left, so that slow answers count as under way.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// The body of a reply, now or later.
pub(crate) enum Content {
    /// All of it, and how the exchange ended.
    Whole(Bytes, Outcome),
    /// A streamed answer that is still being received or judged. Boxed: it is made by the guard, and outlives
    /// the call that made it.
    Held { rest: Pin<Box<dyn Future<Output = Ending> + Send>>, keep_alive: Duration },
}

/// The end of a streamed answer.
pub(crate) struct Ending {
    /// The events to send.
    pub(crate) events: Vec<Vec<u8>>,
    /// How the exchange ended.
    pub(crate) outcome: Outcome,
    /// A stable code for the record, where something went wrong.
    pub(crate) reason: Option<&'static str>,
}

/// A response body of the stack: bytes that are all there, or a stream that says nothing but that it lives until
/// its text is cleared and recorded.
pub struct ReplyBody {
    state: State,
    permit: Option<OwnedSemaphorePermit>,
}

enum State {
    Whole(Bytes),
    Held { rest: Pin<Box<dyn Future<Output = Bytes> + Send>>, keep_alive: Interval },
    Done,
}

impl ReplyBody {
    pub(crate) const fn whole(bytes: Bytes, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { state: State::Whole(bytes), permit }
    }

    pub(crate) fn held(
        rest: Pin<Box<dyn Future<Output = Bytes> + Send>>,
        every: Duration,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let mut keep_alive = interval_at(tokio::time::Instant::now() + every, every);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { state: State::Held { rest, keep_alive }, permit }
    }

    fn end(&mut self) {
        self.state = State::Done;
        self.permit = None;
    }
}

impl std::fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyBody").finish_non_exhaustive()
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.state {
            State::Done => return Poll::Ready(None),
            State::Whole(bytes) => std::mem::take(bytes),
            State::Held { rest, keep_alive } => match rest.as_mut().poll(context) {
                Poll::Ready(bytes) => bytes,
                Poll::Pending => {
                    return keep_alive.poll_tick(context).map(|_| {
                        let comment = Bytes::from_static(proxy_stream::keep_alive());
                        Some(Ok(Frame::data(comment)))
                    });
                }
            },
        };
        self.end();
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Whole(bytes) => bytes.is_empty(),
            State::Held { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Done => SizeHint::with_exact(0),
            State::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            State::Held { .. } => SizeHint::default(),
        }
    }
}
