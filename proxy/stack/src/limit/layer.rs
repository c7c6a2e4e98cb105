//! So many requests per API key, as the policy says.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use policies::Quota;
use tower::{Layer, Service};

use crate::arrival::Caller;
use crate::denial::Denial;
use crate::record::Exchange;

/// Above this many callers, those that have not been heard of for a period are forgotten; about 100 bytes each.
const REMEMBERED: usize = 100_000;

/// Counts requests by caller.
#[derive(Clone)]
pub(crate) struct RateLimitLayer {
    limiter: Option<Arc<Limiter>>,
}

struct Limiter {
    callers: DefaultKeyedRateLimiter<Caller>,
    clock: DefaultClock,
    limit: u32,
}

impl RateLimitLayer {
    /// Lets each caller pass as often as `quota` says; always, if there is none.
    pub(crate) fn new(quota: Option<Quota>) -> Self {
        let limiter = quota.and_then(|quota| {
            let every = quota.per / quota.count.get();
            let cells = governor::Quota::with_period(every)?.allow_burst(quota.count);
            let limit = quota.count.get();
            Some(Limiter {
                callers: RateLimiter::keyed(cells),
                clock: DefaultClock::default(),
                limit,
            })
        });
        Self { limiter: limiter.map(Arc::new) }
    }
}

impl Limiter {
    fn check(&self, caller: &Caller) -> Result<(), Denial> {
        if self.callers.len() > REMEMBERED {
            self.callers.retain_recent();
        }
        self.callers.check_key(caller).map_err(|until| Denial::RateLimited {
            limit: self.limit,
            retry_after: until.wait_time_from(self.clock.now()),
        })
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, limiter: self.limiter.clone() }
    }
}

/// The service of [`RateLimitLayer`]; as ready as the one inside.
#[derive(Clone)]
pub(crate) struct RateLimit<S> {
    inner: S,
    limiter: Option<Arc<Limiter>>,
}

impl<S> Service<Exchange> for RateLimit<S>
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
        match self.limiter.as_ref().map_or(Ok(()), |limiter| limiter.check(&exchange.caller)) {
            Ok(()) => Either::Left(self.inner.call(exchange)),
            Err(denial) => Either::Right(ready(Err(denial))),
        }
    }
}
