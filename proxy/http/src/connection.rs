//! One connection: the library's settings, and its way into the gate.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use proxy_stack::{Arrival, Gate, ReplyBody, RequestBody, unrecognised};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::Early;
use crate::answer::{Answered, Answers};
use crate::framing::HEAD_BYTES;
use crate::idle::until_idle;
use crate::progress::{Progress, Refused};
use crate::streams::Streams;
use crate::wire::{WRITE_TIME, Wire};

/// The largest header list of an HTTP/2 request, in bytes as RFC 9113 counts them.
const H2_HEADER_BYTES: u32 = 16 * 1024;
/// Streams at a time on one HTTP/2 connection.
const H2_STREAMS: u32 = 200;
/// Resets that a client may have outstanding before its connection is closed (rapid reset, CVE-2023-44487; the
/// same by way of our own errors, CVE-2025-8671).
const H2_RESETS: usize = 20;
/// How often an HTTP/2 client is asked whether it is still there.
const H2_PING: Duration = Duration::from_secs(30);
/// How often it is looked whether an HTTP/2 client leaves an answer unread.
const H2_LOOK: Duration = Duration::from_secs(10);

/// Serves connections, each in HTTP/1.1 or HTTP/2 as the client begins.
#[derive(Clone, Debug)]
pub struct Http {
    http1: Arc<http1::Builder>,
    http2: Arc<http2::Builder<Streams>>,
    streams: Streams,
}

impl Default for Http {
    fn default() -> Self {
        let mut http1 = http1::Builder::new();
        // The time of heads is kept before the library sees any of them.
        http1.header_read_timeout(None).max_buf_size(HEAD_BYTES + 1);
        let streams = Streams::default();
        let mut http2 = http2::Builder::new(streams.clone());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(H2_HEADER_BYTES)
            .max_concurrent_streams(H2_STREAMS)
            .max_pending_accept_reset_streams(H2_RESETS)
            .max_local_error_reset_streams(H2_RESETS)
            .keep_alive_interval(H2_PING);
        Self { http1: Arc::new(http1), http2: Arc::new(http2), streams }
    }
}

impl Http {
    /// Ends what is left of connections that were dropped.
    pub async fn end(&self) {
        self.streams.end().await;
    }

    /// Passes the requests that come over `io` through `gate` and sends back what it answers, until the client
    /// leaves. Once `stop` is cancelled, what is under way is the last.
    ///
    /// Thousands of them wait at a time for somebody to say something: the future is small, and the library and its
    /// buffers are there only while somebody does.
    pub async fn serve<I>(&self, io: I, gate: Gate, peer: Option<IpAddr>, stop: CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let progress = Arc::<Progress>::default();
        let wire = Wire::new(io, Arc::clone(&progress));
        if let Err(error) = self.speak(wire, progress, (gate, peer), stop).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn speak<I>(
        &self,
        mut wire: Wire<I>,
        progress: Arc<Progress>,
        (gate, peer): (Gate, Option<IpAddr>),
        stop: CancellationToken,
    ) -> Result<(), Early>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut asked = wire.asked(&stop).await?;
        if wire.is_http2() {
            return Box::pin(self.http2(wire, (gate, peer), stop)).await;
        }
        let requests = AtomicU64::new(0);
        let told = Arc::clone(&progress);
        let mut service = service_fn(move |request: Request<Incoming>| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            let response = pass(gate.clone(), arrival(request, peer, told.refused(number)));
            let told = Arc::clone(&told);
            Box::pin(async move {
                Ok::<_, Infallible>(response.await?.map(|body| Answered::new(body, told)))
            })
        });
        while asked {
            let connection = self.http1.serve_connection(TokioIo::new(wire), service);
            // Boxed: an idle connection keeps no room for it.
            let done = Box::pin(until_idle(connection, &progress, &stop)).await?;
            (wire, service) = (done.io.into_inner(), done.service);
            if !done.idle {
                break;
            }
            wire.rest();
            asked = wire.asked(&stop).await?;
        }
        Ok(wire.shutdown().await?)
    }

    async fn http2<I>(
        &self,
        wire: Wire<I>,
        (gate, peer): (Gate, Option<IpAddr>),
        stop: CancellationToken,
    ) -> Result<(), Early>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answers = Arc::<Answers>::default();
        let held = Arc::clone(&answers);
        let service = service_fn(move |request: Request<Incoming>| {
            let response = pass(gate.clone(), arrival(request, peer, None));
            let held = Arc::clone(&held);
            async move { Ok::<_, Infallible>(response.await?.map(|body| held.hold(body))) }
        });
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(wire), service));
        let (mut look, mut stopping) = (interval(H2_LOOK), false);
        loop {
            tokio::select! {
                ended = &mut connection => return Ok(ended?),
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = look.tick() => answers.give_up(WRITE_TIME),
            }
        }
    }
}

/// What goes to the gate; a response where nobody knows what was asked for.
#[expect(clippy::result_large_err, reason = "made once for a request, and taken apart at once")]
fn arrival(
    request: Request<Incoming>,
    remote: Option<IpAddr>,
    refused: Option<&Refused>,
) -> Result<Arrival, Response<ReplyBody>> {
    let Some(refused) = refused else {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        return Ok(Arrival { request, remote, fault: None });
    };
    let (method, uri) = refused.request.clone().ok_or_else(|| unrecognised(refused.fault))?;
    let mut request = Request::new(nothing());
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    Ok(Arrival { request, remote, fault: Some(refused.fault) })
}

fn nothing() -> RequestBody {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

async fn pass(
    mut gate: Gate,
    arrival: Result<Arrival, Response<ReplyBody>>,
) -> Result<Response<ReplyBody>, Infallible> {
    match arrival {
        Ok(arrival) => {
            std::future::poll_fn(|context| gate.poll_ready(context)).await?;
            gate.call(arrival).await
        }
        Err(response) => Ok(response),
    }
}
