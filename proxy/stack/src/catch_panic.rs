//! A panic ends one exchange, not the process, and never in an answer.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use http::{Response, StatusCode, header};
use proxy_dialects::ApiError;
use tower::{Layer, Service};

use crate::ReplyBody;

/// Turns a panic further in into a plain 500. The record of the exchange closes itself as failed while the panic
/// unwinds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

/// The service of [`CatchPanicLayer`]; as ready as the one inside.
#[derive(Clone, Debug)]
pub(crate) struct CatchPanic<S> {
    inner: S,
}

impl<S, R> Service<R> for CatchPanic<S>
where
    S: Service<R, Response = Response<ReplyBody>, Error = Infallible>,
{
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Nothing that a panicking exchange leaves half-changed is looked at again.
        ResponseFuture(Box::pin(AssertUnwindSafe(self.inner.call(request)).catch_unwind()))
    }
}

/// The response, or a 500.
pub(crate) struct ResponseFuture<F>(Pin<Box<CatchUnwind<AssertUnwindSafe<F>>>>);

impl<F: Future<Output = Result<Response<ReplyBody>, Infallible>>> Future for ResponseFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(context).map(|caught| caught.unwrap_or_else(|_| Ok(internal_error())))
    }
}

fn internal_error() -> Response<ReplyBody> {
    let error = ApiError::new(
        "server_error",
        "internal_error",
        "the guard failed; nothing was forwarded or released",
    );
    let mut response = Response::new(ReplyBody::whole(Bytes::from(error.to_bytes()), None));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
