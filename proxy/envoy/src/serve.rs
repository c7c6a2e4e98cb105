//! Connections of Envoys, and the conversations on them.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use proxy_http::Streams;
use proxy_stack::Gate;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::exchange::process;
use crate::messages::{ProcessingRequest, ProcessingResponse};

/// The one call that there is.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// Exchanges at a time on one connection; an Envoy opens another one for more.
const EXCHANGES: u32 = 1_000;
/// Messages to Envoy that wait at most; then the guard does.
const WAITING: usize = 16;
/// What may be under way on a connection before somebody has read it: many exchanges share it.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Serves Envoys: each exchange that they tell of goes through the gate.
#[derive(Clone, Debug)]
pub struct ExternalProcessor {
    builder: Arc<http2::Builder<Streams>>,
    streams: Streams,
    gate: Gate,
}

impl ExternalProcessor {
    /// Sends exchanges through `gate`.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        let streams = Streams::default();
        let mut builder = http2::Builder::new(streams.clone());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(EXCHANGES)
            .initial_connection_window_size(CONNECTION_WINDOW);
        Self { builder: Arc::new(builder), streams, gate }
    }

    /// Ends what is left of connections that were dropped.
    pub async fn end(&self) {
        self.streams.end().await;
    }

    /// Serves what comes over `io` until Envoy leaves. Once `stop` is cancelled, what is under way is the last.
    pub async fn serve<I>(&self, io: I, stop: CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let gate = self.gate.clone();
        let service = service_fn(move |request| {
            let gate = gate.clone();
            async move { Ok::<_, Infallible>(call(gate, request).await) }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(io), service));
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %error, "the connection of an Envoy ended early");
        }
    }
}

async fn call(gate: Gate, request: Request<Incoming>) -> Response<tonic::body::Body> {
    if request.uri().path() != PROCESS {
        return Status::unimplemented("an external processor, and nothing else").into_http();
    }
    let codec = ProstCodec::<ProcessingResponse, ProcessingRequest>::default();
    Grpc::new(codec).streaming(Process { gate }, request).await
}

struct Process {
    gate: Gate,
}

impl StreamingService<ProcessingRequest> for Process {
    type Response = ProcessingResponse;
    type ResponseStream = Replies;
    type Future = std::future::Ready<Result<tonic::Response<Replies>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ProcessingRequest>>) -> Self::Future {
        let (sender, replies) = mpsc::channel(WAITING);
        let work = process(request.into_inner(), self.gate.clone(), sender);
        let replies = Replies { work: Some(Box::pin(work)), replies, ended: None };
        std::future::ready(Ok(tonic::Response::new(replies)))
    }
}

type Work = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// An exchange that goes on for as long as somebody reads what comes of it: it belongs to the conversation, and ends
/// with it.
struct Replies {
    work: Option<Work>,
    replies: mpsc::Receiver<ProcessingResponse>,
    /// To be said when all else is.
    ended: Option<Status>,
}

impl Stream for Replies {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(work) = &mut self.work
            && let Poll::Ready(ended) = work.as_mut().poll(context)
        {
            (self.work, self.ended) = (None, ended.err());
        }
        match self.replies.poll_recv(context) {
            Poll::Ready(Some(reply)) => Poll::Ready(Some(Ok(reply))),
            Poll::Ready(None) => Poll::Ready(self.ended.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}
