//! Harmless routes: nothing of the request goes on, and nothing but names and numbers comes back.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Response, StatusCode};
use http_body::Body;
use proxy_audit::Outcome;
use proxy_dialects::openai_models::Models;
use tower::{Service, ServiceExt};

use super::clearance::Cleared;
use super::layer::Guard;
use super::response::{collect, media_type, retry_after};
use crate::denial::Denial;
use crate::read::Lookup;
use crate::record::milliseconds;
use crate::reply::Reply;
use crate::routes::HARMLESS;

/// The largest list that is read, in bytes: some ten thousand models.
const LIST_BYTES: usize = 2 << 20;

impl<S, B> Service<Lookup> for Guard<S>
where
    S: Service<Cleared<Lookup>, Response = Response<B>, Error = Denial> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Reply;
    type Error = Denial;
    // Boxed: as for a guarded request, a call and its answer are a sequence of waits.
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Denial>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup) -> Self::Future {
        let (inner, idle) = (self.inner.clone(), self.guarding.limits.upstream_idle);
        Box::pin(async move {
            let (entry, id) = (lookup.entry.clone(), lookup.id.clone());
            entry.note(|closed| closed.reason = Some(HARMLESS.into()));
            entry.opened().await.map_err(|_| Denial::AuditUnavailable)?;
            let called = Instant::now();
            // There is no text in it that anybody could judge.
            let response = inner.oneshot(Cleared::grant(lookup)).await?;
            let (head, body) = response.into_parts();
            entry.trace().answers(head.status);
            if head.status != StatusCode::OK {
                let (status, retry_after) = (head.status, retry_after(&head.headers));
                return Err(Denial::UpstreamStatus { status, message: None, retry_after });
            }
            if media_type(&head.headers)? != "application/json" {
                return Err(Denial::UpstreamInvalid("it is not JSON".to_owned()));
            }
            let bytes = collect(body, LIST_BYTES, idle).await?;
            entry.note(|closed| closed.timing_ms.upstream = milliseconds(called.elapsed()));
            entry.trace().answered();
            found(&bytes, id.as_deref())
        })
    }
}

/// The list in `bytes`, or the one model of it that was asked for.
fn found(bytes: &[u8], id: Option<&str>) -> Result<Reply, Denial> {
    let models =
        Models::parse(bytes).map_err(|error| Denial::UpstreamInvalid(error.to_string()))?;
    let bytes = match id {
        None => models.to_bytes(),
        Some(id) => models.one(id).ok_or(Denial::UnknownModel)?,
    };
    Ok(Reply::json(bytes, Outcome::Allowed))
}
