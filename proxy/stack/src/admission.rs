//! So many exchanges at a time; more are turned away at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use crate::denial::Denial;
use crate::record::Exchange;
use crate::reply::Reply;

/// Bounds the exchanges under way. The permit travels in the reply's body: an answer that streams for an hour
/// is under way for an hour.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionLayer {
    permits: Arc<Semaphore>,
}

impl AdmissionLayer {
    /// Room for `concurrent` exchanges.
    pub(crate) fn new(concurrent: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(concurrent)) }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, permits: Arc::clone(&self.permits) }
    }
}

/// The service of [`AdmissionLayer`]; as ready as the one inside, and never waits for a permit.
#[derive(Clone, Debug)]
pub(crate) struct Admission<S> {
    inner: S,
    permits: Arc<Semaphore>,
}

impl<S> Service<Exchange> for Admission<S>
where
    S: Service<Exchange, Response = Reply, Error = Denial>,
    S::Future: Unpin,
{
    type Response = Reply;
    type Error = Denial;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Admitted { inner: Some(self.inner.call(exchange)), permit: Some(permit) },
            Err(_) => Admitted { inner: None, permit: None },
        }
    }
}

/// The reply to come, if the request was admitted.
#[derive(Debug)]
pub(crate) struct Admitted<F> {
    inner: Option<F>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<F: Future<Output = Result<Reply, Denial>> + Unpin> Future for Admitted<F> {
    type Output = Result<Reply, Denial>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(Err(Denial::Overloaded)) };
        let reply = ready!(Pin::new(inner).poll(context));
        let permit = self.permit.take();
        Poll::Ready(reply.map(|reply| Reply { permit, ..reply }))
    }
}
