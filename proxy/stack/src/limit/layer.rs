//! Refuses callers who have used up what the policy gives them.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use proxy_audit::{Closed, Outcome};
use tower::{Layer, Service};

use super::accounts::Used;
use crate::denial::Denial;
use crate::record::Exchange;
use crate::routes::is_check;

/// About how many bytes of text a token stands for: the model server may count otherwise, or not at all.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts what callers use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitLayer;

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit { inner }
    }
}

/// The service of [`LimitLayer`]; as ready as the one inside.
#[derive(Clone, Debug)]
pub(crate) struct Limit<S> {
    inner: S,
}

impl<S> Service<Exchange> for Limit<S>
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
        let accounts = Arc::clone(&exchange.in_force.accounts);
        if let Err(denial) = accounts.admit(&exchange.caller) {
            return Either::Right(ready(Err(denial)));
        }
        let caller = exchange.caller.clone();
        // Who asks on behalf of many is not the one who is blocked.
        let asks = is_check(exchange.request.uri().path());
        exchange.entry.when_closed(move |closed| {
            let used = used(closed);
            accounts.settle(&caller, Used { blocked: used.blocked && !asks, ..used });
        });
        Either::Left(self.inner.call(exchange))
    }
}

fn used(closed: &Closed) -> Used {
    let bytes = closed.read.bytes.saturating_add(closed.answered.bytes);
    Used { tokens: bytes.div_ceil(BYTES_PER_TOKEN), blocked: closed.outcome == Outcome::Blocked }
}
