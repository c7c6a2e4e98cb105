//! One connection: the library's settings, and its way into the gate.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use proxy_stack::{Arrival, Gate, ReplyBody, RequestBody, unrecognised};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

use crate::framing::HEAD_BYTES;
use crate::wire::{Refused, Wire};

/// How long a connection may be idle between two requests.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// The largest header list of an HTTP/2 request, in bytes as RFC 9113 counts them.
const H2_HEADER_BYTES: u32 = 16 * 1024;
/// Streams at a time on one HTTP/2 connection.
const H2_STREAMS: u32 = 200;
/// Resets that a client may have outstanding before its connection is closed (rapid reset, CVE-2023-44487; the
/// same by way of our own errors, CVE-2025-8671).
const H2_RESETS: usize = 20;
/// How often an HTTP/2 client is asked whether it is still there.
const H2_PING: Duration = Duration::from_secs(30);

/// Serves connections, each in HTTP/1.1 or HTTP/2 as the client begins.
#[derive(Clone, Debug)]
pub struct Http {
    builder: Arc<auto::Builder<TokioExecutor>>,
}

impl Default for Http {
    fn default() -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // The head's own time is kept before the library sees any of it.
            .header_read_timeout(IDLE_TIME)
            .max_buf_size(HEAD_BYTES + 1);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(H2_HEADER_BYTES)
            .max_concurrent_streams(H2_STREAMS)
            .max_pending_accept_reset_streams(H2_RESETS)
            .max_local_error_reset_streams(H2_RESETS)
            .keep_alive_interval(H2_PING);
        Self { builder: Arc::new(builder) }
    }
}

impl Http {
    /// Passes the requests that come over `io` through `gate` and sends back what it answers, until the client
    /// leaves or `watcher` says that it is time to go.
    ///
    /// Thousands of them wait at a time for somebody to say something: the future is small, what it waits for lies on the
    /// heap, once.
    pub fn serve<I>(
        &self,
        io: I,
        gate: Gate,
        peer: Option<IpAddr>,
        watcher: Option<Watcher>,
    ) -> impl Future<Output = ()> + Send + use<I>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let refused = Arc::new(OnceLock::new());
        let wire = TokioIo::new(Wire::new(io, Arc::clone(&refused)));
        let requests = AtomicU64::new(0);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            let arrival = arrival(request, peer, refused.get().filter(|it| it.after == number));
            pass(gate.clone(), arrival)
        });
        let connection = self.builder.serve_connection(wire, service).into_owned();
        let ended: Pin<Box<dyn Future<Output = _> + Send>> = match watcher {
            Some(watcher) => Box::pin(watcher.watch(connection)),
            None => Box::pin(connection),
        };
        ended.map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        })
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
