//! The order of the layers.

use std::convert::Infallible;
use std::sync::Arc;

use http::Response;
use hyper_util::client::legacy::connect::Connect;
use proxy_audit::Journal;
use proxy_identity::Issuers;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::admission::AdmissionLayer;
use crate::authenticate::AuthenticateLayer;
use crate::catch_panic::CatchPanicLayer;
use crate::expiry::ExpiryLayer;
use crate::guard::{GuardLayer, Panel};
use crate::limit::LimitLayer;
use crate::read::ReadLayer;
use crate::record::RecordLayer;
use crate::respond::RespondLayer;
use crate::upstream::Network;
use crate::{
    ActivePolicy, Arrival, CutOff, KeyNames, Limits, Metrics, ReplyBody, SharedLimits, Tracing,
    Upstream,
};

/// The whole proxy as one service: a request in, a response out, no errors. Boxed here because its type names
/// every layer, and one call through a pointer per request is nothing.
pub type Gate = BoxCloneSyncService<Arrival, Response<ReplyBody>, Infallible>;

/// What the stack is made of.
#[derive(Debug)]
pub struct Parts<C = Network> {
    /// Where decisions are recorded.
    pub journal: Arc<Journal>,
    /// The name of this proxy in the records.
    pub instance: Arc<str>,
    /// What decides.
    pub policies: Arc<ActivePolicy>,
    /// What keys are called, so that a policy need not name them.
    pub keys: KeyNames,
    /// Whose tokens are believed; without them a token is a key like any other.
    pub issuers: Option<Issuers>,
    /// Who judges.
    pub panel: Panel,
    /// What one exchange may cost.
    pub limits: Limits,
    /// With whom it is counted what callers use; alone if nobody is named.
    pub shared_limits: Option<SharedLimits>,
    /// The model server.
    pub upstream: Upstream<C>,
    /// Where the guard counts.
    pub metrics: Arc<Metrics>,
    /// Whether exchanges are traced.
    pub tracing: Tracing,
    /// When nobody is waited for any more.
    pub cut_off: CutOff,
}

/// Puts the layers together, outermost first.
#[must_use]
pub fn stack<C: Connect + Clone + Send + Sync + 'static>(parts: Parts<C>) -> Gate {
    let Parts {
        journal,
        instance,
        policies,
        keys,
        issuers,
        panel,
        limits,
        shared_limits,
        upstream,
        metrics,
        tracing,
        cut_off,
    } = parts;
    let service = ServiceBuilder::new()
        // Outside the record, which closes itself as failed while a panic passes through.
        .layer(CatchPanicLayer)
        // Outside everything that can say no: a refusal is recorded like an answer.
        .layer(
            RecordLayer::new((journal, instance), policies, Arc::clone(&metrics), tracing)
                .believing(issuers)
                .until(cut_off),
        )
        // From here on in, a layer says no with a `Denial`.
        .layer(RespondLayer)
        // Before a byte of the body is read: refusing must be cheap.
        .layer(AuthenticateLayer::new(keys.clone()))
        .layer(ExpiryLayer)
        .layer(LimitLayer::new(shared_limits))
        .layer(AdmissionLayer::new(limits.concurrent))
        .layer(ReadLayer::new(limits, keys))
        // Makes the only `Cleared` there is, and the upstream takes nothing else.
        .layer(GuardLayer::new(panel, limits, metrics))
        .service(upstream);
    BoxCloneSyncService::new(service)
}
