//! The body of an answer, which tells when it is over.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use proxy_stack::ReplyBody;

use crate::progress::Progress;

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

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
