//! The client's side of a connection: what the HTTP library reads was looked at first.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use proxy_stack::HttpFault;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::framing::Framing;
use crate::head::recognise;
use crate::progress::Progress;

/// How long a client may take to send a request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may be idle between two requests.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How long a client may take none of what is sent to it. Between two writes, as nginx's `send_timeout`: the socket's own
/// buffers even out who reads slowly but reads. The last of an answer over TLS, 64 KiB at most, has to leave within it.
pub(crate) const WRITE_TIME: Duration = Duration::from_secs(60);
/// Read at once.
const READ_BYTES: usize = 16 * 1024;
/// How an HTTP/2 connection begins (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What the library gets in place of a head that is refused, so that the refusal takes its turn among the answers.
const IN_ITS_PLACE: &[u8] = b"POST / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// Reads from `io` and hands on what was found to be plain HTTP/1.1, or HTTP/2.
pub(crate) struct Wire<I> {
    io: I,
    /// What came and was not handed on.
    input: Vec<u8>,
    /// How much of it may be.
    cleared: usize,
    state: State,
    progress: Arc<Progress>,
    /// When the head that is awaited must be complete.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether nothing has come since the last answer: the deadline is that of idle connections.
    idle: bool,
    /// When something of what is to be written must have been taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

enum State {
    /// Which version is spoken is not yet known.
    Start,
    Http1(Framing),
    /// HTTP/2 says the length of everything, and the library is strict about it.
    Http2,
    /// Nothing more is read.
    Over,
}

impl<I> Wire<I> {
    /// Over `io`. How far it is is told through `progress`.
    pub(crate) fn new(io: I, progress: Arc<Progress>) -> Self {
        Self {
            io,
            input: Vec::new(),
            cleared: 0,
            state: State::Start,
            progress,
            deadline: Some(timer(HEAD_TIME)),
            idle: false,
            stalled: None,
        }
    }

    /// Whether HTTP/2 is spoken.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.state, State::Http2)
    }

    /// From now on the time runs that a connection may be idle, unless the next head has begun.
    pub(crate) fn rest(&mut self) {
        if self.input.is_empty() {
            (self.deadline, self.idle) = (Some(timer(IDLE_TIME)), true);
        }
    }

    fn await_head(&mut self) {
        self.deadline.get_or_insert_with(|| timer(HEAD_TIME));
    }

    /// Finds out how much of the input may be handed on.
    fn clear(&mut self) -> io::Result<()> {
        if matches!(self.state, State::Start) {
            if self.input.starts_with(HTTP2_PREFACE) {
                (self.state, self.deadline) = (State::Http2, None);
            } else if !HTTP2_PREFACE.starts_with(&self.input) {
                self.state = State::Http1(Framing::default());
            }
        }
        match &self.state {
            State::Start => Ok(()),
            State::Http1(_) => self.clear_http1(),
            State::Http2 => {
                self.cleared = self.input.len();
                Ok(())
            }
            State::Over => {
                self.input.clear();
                Ok(())
            }
        }
    }

    fn clear_http1(&mut self) -> io::Result<()> {
        while let State::Http1(framing) = &mut self.state {
            let at_head = framing.at_head();
            match framing.clear(self.input.get(self.cleared..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => {
                    self.cleared += count;
                    self.deadline = None;
                    if at_head {
                        self.progress.begun();
                    }
                }
                // First what came before it; then it is found again.
                Err(_) if self.cleared > 0 => return Ok(()),
                Err(fault) if at_head => self.refuse(fault),
                Err(fault) => {
                    self.state = State::Over;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
                }
            }
        }
        if matches!(&self.state, State::Http1(framing) if framing.at_head())
            && self.input.len() > self.cleared
        {
            self.await_head();
        }
        Ok(())
    }

    /// Puts an empty request in place of the head, and leaves word of what was wrong with it.
    fn refuse(&mut self, fault: HttpFault) {
        let request = recognise(&self.input);
        self.progress.refuse(fault, request);
        self.input = IN_ITS_PLACE.to_vec();
        self.cleared = self.input.len();
        (self.state, self.deadline) = (State::Over, None);
    }

    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.cleared.min(buffer.remaining());
        buffer.put_slice(self.input.get(..count).unwrap_or_default());
        self.input.drain(..count);
        self.cleared -= count;
        if self.input.is_empty() {
            // A connection may be idle for a minute: it keeps no room for what it once sent.
            self.input = Vec::new();
        }
    }

    /// What a write, a flush or a shutdown came to; one that has waited too long has failed.
    fn taken<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| timer(WRITE_TIME));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What happens when a head does not come in time: it is refused if some of it is there.
    fn too_slow(&mut self) -> io::Result<()> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.refuse(HttpFault::TooSlow);
        Ok(())
    }
}

fn timer(time: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(Instant::now() + time))
}

impl<I: AsyncRead + Unpin> Wire<I> {
    /// Reads some; `false` at the end of the input.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        // Not filled with zeros first: this is done several times for every request.
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        if std::mem::take(&mut self.idle) {
            self.deadline = None;
        }
        Poll::Ready(Ok(!buffer.filled().is_empty()))
    }
}

impl<I: AsyncRead + Unpin> Wire<I> {
    /// Waits until there is something to hand on; `false` at the end of the input, and at a stop if nothing has come. A
    /// head that has begun is waited for.
    pub(crate) async fn asked(&mut self, stop: &CancellationToken) -> io::Result<bool> {
        let (mut stopped, mut stopping) = (pin!(stop.cancelled()), false);
        std::future::poll_fn(|context| {
            let asked = self.poll_cleared(context);
            if asked.is_ready() {
                return asked;
            }
            stopping = stopping || stopped.as_mut().poll(context).is_ready();
            if stopping && self.input.is_empty() { Poll::Ready(Ok(false)) } else { Poll::Pending }
        })
        .await
    }

    /// Waits until there is something to hand on; `false` at the end of the input.
    fn poll_cleared(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.cleared > 0 {
                return Poll::Ready(Ok(true));
            }
            self.clear()?;
            if self.cleared > 0 {
                continue;
            }
            match self.poll_input(context)? {
                Poll::Ready(true) => {}
                // After a refusal the library must not see the end, or it would not answer.
                Poll::Ready(false) if matches!(self.state, State::Over) => return Poll::Pending,
                Poll::Ready(false) => return Poll::Ready(Ok(false)),
                Poll::Pending => {
                    let Some(deadline) = &mut self.deadline else { return Poll::Pending };
                    ready!(deadline.as_mut().poll(context));
                    self.too_slow()?;
                }
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Wire<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let cleared = wire.poll_cleared(context);
        let between = matches!(&wire.state, State::Http1(framing) if framing.at_head());
        wire.progress.between(between && cleared.is_pending());
        if ready!(cleared?) {
            wire.hand_on(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Wire<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.progress.flushed(false);
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.taken(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.progress.flushed(flushed.is_ready());
        self.taken(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Who is leaving does not rest.
        self.progress.flushed(false);
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        self.taken(shut, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.progress.flushed(false);
        let written = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.taken(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
