//! Refuses callers who have used up what the policy gives them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use proxy_audit::{Closed, Outcome};
use tower::{Layer, Service, ServiceExt as _};

use super::accounts::Used;
use super::{Accounts, SharedLimits};
use crate::denial::Denial;
use crate::record::Exchange;
use crate::routes::is_check;

/// About how many bytes of text a token stands for: the model server may count otherwise, or not at all.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts what callers use, together with other guards if there are shared limits.
#[derive(Clone, Debug)]
pub(crate) struct LimitLayer {
    shared: Option<SharedLimits>,
}

impl LimitLayer {
    /// Counts with `shared`, or alone.
    pub(crate) const fn new(shared: Option<SharedLimits>) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit { inner, shared: self.shared.clone() }
    }
}

/// The service of [`LimitLayer`]; as ready as the one inside.
#[derive(Clone, Debug)]
pub(crate) struct Limit<S> {
    inner: S,
    shared: Option<SharedLimits>,
}

impl<S> Service<Exchange> for Limit<S>
where
    S: Service<Exchange, Error = Denial> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = Denial;
    // Boxed on the right: what others have counted is waited for.
    type Future =
        Either<S::Future, Pin<Box<dyn Future<Output = Result<S::Response, Denial>> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let accounts = Arc::clone(&exchange.in_force.accounts);
        match self.shared.clone().filter(|_| !accounts.are_unlimited()) {
            None => {
                if let Err(denial) = accounts.admit(&exchange.caller) {
                    return Either::Right(Box::pin(std::future::ready(Err(denial))));
                }
                settle_when_closed(&exchange, accounts, None);
                Either::Left(self.inner.call(exchange))
            }
            Some(shared) => {
                let inner = self.inner.clone();
                Either::Right(Box::pin(async move {
                    shared.admit(&accounts, &exchange.caller).await?;
                    settle_when_closed(&exchange, accounts, Some(shared));
                    inner.oneshot(exchange).await
                }))
            }
        }
    }
}

fn settle_when_closed(exchange: &Exchange, accounts: Arc<Accounts>, shared: Option<SharedLimits>) {
    let caller = exchange.caller.clone();
    // Who asks on behalf of many is not the one who is blocked.
    let asks = is_check(exchange.request.uri().path());
    exchange.entry.when_closed(move |closed| {
        let used = used(closed);
        let used = Used { blocked: used.blocked && !asks, ..used };
        let due = accounts.settle(&caller, used, shared.is_some());
        if let Some(shared) = shared.filter(|_| due) {
            shared.due(accounts, caller);
        }
    });
}

fn used(closed: &Closed) -> Used {
    let bytes = closed.read.bytes.saturating_add(closed.answered.bytes);
    Used { tokens: bytes.div_ceil(BYTES_PER_TOKEN), blocked: closed.outcome == Outcome::Blocked }
}
