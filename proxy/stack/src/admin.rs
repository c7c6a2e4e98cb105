//! What operators and their machines ask for, on a listener of its own: nothing of it is for callers.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header};
use tower::util::BoxCloneSyncService;

use crate::{ActivePolicy, Arrival, Gate, Health, Limits, Metrics, Panel, ReplyBody};
use crate::{audit_metrics, policy_metrics};

/// `GET /metrics` in the text format of Prometheus; `GET /livez`, which says `ok` as long as the process serves; `GET
/// /readyz` (also `/healthz`), which says what speaks against requests coming here.
#[must_use]
pub fn admin(
    metrics: Arc<Metrics>,
    policies: Arc<ActivePolicy>,
    limits: Limits,
    panel: Panel,
    health: Arc<Health>,
) -> Gate {
    BoxCloneSyncService::new(tower::service_fn(move |arrival: Arrival| {
        let (status, text) =
            match (arrival.fault, arrival.request.method(), arrival.request.uri().path()) {
                (Some(_), ..) => (StatusCode::BAD_REQUEST, "this is not plain HTTP\n".to_owned()),
                (None, method, _) if method != Method::GET => {
                    (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned())
                }
                (None, _, "/metrics") => {
                    let mut text = metrics.render(&policies.policy(), &limits);
                    policy_metrics::write(&mut text, &policies);
                    panel.counts().write(&mut text);
                    audit_metrics::write(&mut text, &health.journal().stats());
                    (StatusCode::OK, text)
                }
                (None, _, "/livez") => (StatusCode::OK, "ok\n".to_owned()),
                (None, _, "/readyz" | "/healthz") => match health.problem() {
                    None => (StatusCode::OK, "ok\n".to_owned()),
                    Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
                },
                (None, ..) => (StatusCode::NOT_FOUND, "/metrics, /livez, /readyz\n".to_owned()),
            };
        let mut response = Response::new(ReplyBody::whole(text.into(), None));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        std::future::ready(Ok::<_, Infallible>(response))
    }))
}
