//! What goes back to the client.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use proxy_audit::Outcome;
use proxy_dialects::Dialect;
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

impl Reply {
    /// All of an answer at once: a document of JSON.
    pub(crate) fn json(bytes: impl Into<Bytes>, outcome: Outcome) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let content = Content::Whole(bytes.into(), outcome);
        Self { status: StatusCode::OK, headers, content, permit: None }
    }
}

/// The body of a reply, now or later.
pub(crate) enum Content {
    /// All of it, and how the exchange ended.
    Whole(Bytes, Outcome),
    /// A streamed answer that is still being received or judged. Boxed: it is made by the guard, and outlives
    /// the call that made it.
    Streamed {
        parts: Pin<Box<dyn Stream<Item = Part> + Send>>,
        keep_alive: Duration,
        dialect: Dialect,
    },
}

/// A part of a streamed answer that was decided about.
pub(crate) enum Part {
    /// Events to send, and what they let go, to be recorded before; `None` where the policy lets text go before its
    /// verdict.
    Some(Vec<Vec<u8>>, Option<LetGo>),
    /// The end of the answer. Nothing follows.
    Last(Ending),
}

/// What a part of an answer consists of.
pub(crate) struct LetGo {
    /// What was done with it.
    pub(crate) action: proxy_audit::Action,
    /// JSON pointer of each text of it, and how many bytes of that text have been let go by then.
    pub(crate) until: BTreeMap<proxy_audit::Text, u64>,
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
/// some of its text is cleared and recorded.
pub struct ReplyBody {
    state: State,
    permit: Option<OwnedSemaphorePermit>,
}

enum State {
    Whole(Bytes),
    Streamed { parts: Pin<Box<dyn Stream<Item = Bytes> + Send>>, keep_alive: Interval },
    Done,
}

impl ReplyBody {
    pub(crate) const fn whole(bytes: Bytes, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { state: State::Whole(bytes), permit }
    }

    /// Sends `parts`, none of which is empty, as they come.
    pub(crate) fn streamed(
        parts: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
        every: Duration,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let mut keep_alive = interval_at(tokio::time::Instant::now() + every, every);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { state: State::Streamed { parts, keep_alive }, permit }
    }

    fn end(&mut self) {
        self.state = State::Done;
        self.permit = None;
    }
}

/// A body of listeners that are not for callers: nothing of it comes from a model server.
impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes, None)
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
            State::Streamed { parts, keep_alive } => match parts.as_mut().poll_next(context) {
                Poll::Ready(Some(bytes)) => {
                    keep_alive.reset();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Poll::Ready(None) => Bytes::new(),
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
            State::Streamed { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Done => SizeHint::with_exact(0),
            State::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            State::Streamed { .. } => SizeHint::default(),
        }
    }
}
