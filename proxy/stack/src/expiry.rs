//! Turns everybody away while the policy in force has expired and says that nothing is let through then.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use jiff::Timestamp;
use tower::{Layer, Service};

use crate::denial::Denial;
use crate::record::Exchange;

/// Lets in while the policy is in date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpiryLayer;

impl<S> Layer<S> for ExpiryLayer {
    type Service = Expiry<S>;

    fn layer(&self, inner: S) -> Expiry<S> {
        Expiry { inner }
    }
}

/// The service of [`ExpiryLayer`]; as ready as the one inside.
#[derive(Clone, Debug)]
pub(crate) struct Expiry<S> {
    inner: S,
}

impl<S> Service<Exchange> for Expiry<S>
where
    S: Service<Exchange, Error = Denial>,
{
    type Response = S::Response;
    type Error = Denial;
    type Future = Either<S::Future, Ready<Result<S::Response, Denial>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let signed = exchange.in_force.signed;
        // No clock is read for a policy without a signature.
        if signed.is_some_and(|signed| signed.blocks(Timestamp::now())) {
            return Either::Right(ready(Err(Denial::PolicyExpired)));
        }
        Either::Left(self.inner.call(exchange))
    }
}
