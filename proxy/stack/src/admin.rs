//! What operators and their machines ask for, on a listener of its own: nothing of it is for callers.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tower::util::BoxCloneSyncService;

use crate::metrics::Format;
use crate::{ActivePolicy, Arrival, Gate, Health, Limits, Metrics, Panel, ReplyBody};
use crate::{audit_metrics, policy_metrics};

/// `GET /metrics` in the text format of Prometheus, or in OpenMetrics if that is accepted; `GET /livez`, which says `ok`
/// as long as the process serves; `GET /readyz` (also `/healthz`), which says what speaks against requests coming here.
#[must_use]
pub fn admin(
    metrics: Arc<Metrics>,
    policies: Arc<ActivePolicy>,
    limits: Limits,
    panel: Panel,
    health: Arc<Health>,
) -> Gate {
    BoxCloneSyncService::new(tower::service_fn(move |arrival: Arrival| {
        let format = format(arrival.request.headers());
        let mut media = Format::Plain;
        let (status, text) =
            match (arrival.fault, arrival.request.method(), arrival.request.uri().path()) {
                (Some(_), ..) => (StatusCode::BAD_REQUEST, "this is not plain HTTP\n".to_owned()),
                (None, method, _) if method != Method::GET => {
                    (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned())
                }
                (None, _, "/metrics") => {
                    let mut text = metrics.render(&policies.policy(), &limits, format);
                    policy_metrics::write(&mut text, &policies);
                    panel.counts().write(&mut text);
                    audit_metrics::write(&mut text, &health.journal().stats());
                    media = format;
                    (StatusCode::OK, format.finish(text))
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
        let media = HeaderValue::from_static(media.media());
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        std::future::ready(Ok::<_, Infallible>(response))
    }))
}

/// What whoever asks would rather have: exemplars, if it can read them.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|types| types.contains("application/openmetrics-text")) {
        Format::OpenMetrics
    } else {
        Format::Plain
    }
}
