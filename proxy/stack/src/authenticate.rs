//! Turns away callers whose token proves nothing, and those whose key nobody has named, where the operator wants that.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header;
use tower::{Layer, Service};

use crate::KeyNames;
use crate::denial::Denial;
use crate::record::Exchange;

/// Lets in whom `keys` admit.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticateLayer {
    keys: KeyNames,
}

impl AuthenticateLayer {
    /// Lets in whom `keys` admit.
    pub(crate) const fn new(keys: KeyNames) -> Self {
        Self { keys }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, keys: self.keys.clone() }
    }
}

/// The service of [`AuthenticateLayer`]; as ready as the one inside.
#[derive(Clone, Debug)]
pub(crate) struct Authenticate<S> {
    inner: S,
    keys: KeyNames,
}

impl<S> Service<Exchange> for Authenticate<S>
where
    S: Service<Exchange, Error = Denial>,
{
    type Response = S::Response;
    type Error = Denial;
    type Future = Either<S::Future, Ready<Result<S::Response, Denial>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut exchange: Exchange) -> Self::Future {
        let name = self.keys.name(&exchange.caller, exchange.shown.as_ref());
        if let Some(name) = name.map(|name| name.to_owned().into()) {
            exchange.entry.note(|closed| closed.key_name = Some(name));
        }
        let denial = match &exchange.shown {
            Some(Ok(identity)) => {
                if !identity.forward {
                    // It opens more doors than the model server's.
                    exchange.request.headers_mut().remove(header::AUTHORIZATION);
                }
                return Either::Left(self.inner.call(exchange));
            }
            Some(Err(fault)) => Denial::Token(*fault),
            None if self.keys.admits(exchange.caller.key()) => {
                return Either::Left(self.inner.call(exchange));
            }
            None => Denial::UnknownKey,
        };
        Either::Right(ready(Err(denial)))
    }
}
