//! A body that arrives in messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// Messages of one body that wait at most; then Envoy has to.
const WAITING: usize = 16;

/// A part of a body.
pub(crate) enum Piece {
    Data(Bytes),
    /// There are trailers, and nothing else.
    Trailers,
    End,
}

/// Where the pieces of a body come in.
pub(crate) type Inlet = mpsc::Sender<Piece>;

/// A body of pieces. It is whole when its end was said; without, it is broken off.
pub(crate) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

/// The messages ended before the body.
#[derive(Debug, thiserror::Error)]
#[error("the gateway broke the body off")]
pub(crate) struct BrokenOff;

impl Pieces {
    pub(crate) fn new() -> (Inlet, Self) {
        let (inlet, pieces) = mpsc::channel(WAITING);
        (inlet, Self { pieces, ended: false })
    }

    /// No body at all.
    pub(crate) fn none() -> Self {
        Self { ended: true, ..Self::new().1 }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::Trailers) => {
                self.ended = true;
                Some(Ok(Frame::trailers(HeaderMap::new())))
            }
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(BrokenOff.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
