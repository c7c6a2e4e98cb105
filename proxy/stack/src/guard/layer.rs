//! The layer before the upstream: judges what goes there and what comes back.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::{Either, select};
use http_body::Body;
use policies::Forward;
use tower::{Layer, Service, ServiceExt};

use super::request::Passed;
use super::response::{Asker, answer};
use super::{Cleared, Panel, request};
use crate::denial::Denial;
use crate::read::Asked;
use crate::reply::Reply;
use crate::{Limits, Metrics};

/// What the guard needs for every exchange. Shared as a whole: a handle is made for every request.
pub(super) struct Guarding {
    pub(super) panel: Panel,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
}

/// Puts the guard before an upstream.
#[derive(Clone)]
pub(crate) struct GuardLayer {
    guarding: Arc<Guarding>,
}

impl GuardLayer {
    /// Judges by `panel`, and decides by the policy of each request; counts into `metrics`.
    pub(crate) fn new(panel: Panel, limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { guarding: Arc::new(Guarding { panel, limits, metrics }) }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, guarding: Arc::clone(&self.guarding) }
    }
}

/// The service of [`GuardLayer`]. Always ready: the upstream is asked for room only after the verdict, otherwise
/// it would be kept waiting while a model thinks.
#[derive(Clone)]
pub(crate) struct Guard<S> {
    pub(super) inner: S,
    pub(super) guarding: Arc<Guarding>,
}

impl<S, B> Service<Asked> for Guard<S>
where
    S: Service<Cleared<Asked>, Response = http::Response<B>, Error = Denial>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Reply;
    type Error = Denial;
    // Boxed: a verdict, a call and another verdict are a sequence of waits.
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Denial>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, asked: Asked) -> Self::Future {
        let (inner, guarding) = (self.inner.clone(), Arc::clone(&self.guarding));
        Box::pin(async move {
            let mut asker = Asker::of(&asked);
            let response = match asked.policy.forward() {
                Forward::AfterVerdict => {
                    let (cleared, passed) = request::clear(&guarding, asked).await?;
                    asker.passed(passed);
                    asker.called = Instant::now();
                    inner.oneshot(cleared).await?
                }
                Forward::Race => {
                    let (cleared, verdict) = request::race(Arc::clone(&guarding), asked).await?;
                    asker.called = Instant::now();
                    let (passed, response) = both(verdict, inner.oneshot(cleared)).await?;
                    asker.passed(passed);
                    response
                }
            };
            answer(guarding, asker, response).await
        })
    }
}

/// The verdict on a request and what the upstream says to it, whichever comes first. Without the one the other is
/// dropped, and a call that is dropped ends.
async fn both<R>(
    verdict: impl Future<Output = Result<Passed, Denial>>,
    call: impl Future<Output = Result<R, Denial>>,
) -> Result<(Passed, R), Denial> {
    match select(pin!(verdict), pin!(call)).await {
        Either::Left((passed, call)) => Ok((passed?, call.await?)),
        Either::Right((response, verdict)) => Ok((verdict.await?, response?)),
    }
}
