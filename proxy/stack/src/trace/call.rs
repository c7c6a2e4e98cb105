//! The span of the call to the model server.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, Uri};
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedSpan;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, Tracer as _};
use proxy_dialects::Dialect;

use super::attributes as names;
use super::context;
use super::exchange::Spans;

/// What the model server is asked.
pub(crate) struct Called<'a> {
    /// The format of the request and the model; nothing for the list of models.
    pub(crate) model: Option<(Dialect, &'a str)>,
    /// Where it is.
    pub(crate) uri: &'a Uri,
}

/// A call under way. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Call {
    span: BoxedSpan,
    /// The operation and the model, to be named when the model server knows it.
    model: Option<(&'static str, String)>,
}

impl Call {
    /// The call is made now.
    pub(super) fn begin(spans: &Arc<Spans>, called: &Called<'_>) -> Self {
        let Called { model, uri } = called;
        let (operation, provider) = model.map_or(("GET", None), |(dialect, _)| {
            let (operation, provider) = names::operation(dialect);
            (operation, Some(provider))
        });
        let mut attributes = Vec::new();
        match provider {
            Some(provider) => {
                let name = spans.tracer.conventions.provider();
                attributes.push(KeyValue::new(names::OPERATION, operation));
                attributes.push(KeyValue::new(name, provider));
            }
            None => attributes.push(KeyValue::new(names::METHOD, operation)),
        }
        attributes.extend(uri.host().map(|host| KeyValue::new(names::SERVER, host.to_owned())));
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        attributes.push(KeyValue::new(names::PORT, i64::from(port)));
        let builder = SpanBuilder::from_name(operation)
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        let span = spans.tracer.tracer.build_with_context(builder, &spans.context);
        Self { span, model: model.map(|(_, model)| (operation, model.to_owned())) }
    }

    /// What tells the model server about it.
    pub(super) fn traceparent(&self) -> Option<HeaderValue> {
        let span = self.span.span_context();
        span.is_valid().then(|| context::traceparent(span)).flatten()
    }

    /// The answer begins. A model that the server has answered by is one that it knows, and no text.
    pub(super) fn answers(&mut self, status: StatusCode) {
        self.span.set_attribute(KeyValue::new(names::STATUS, i64::from(status.as_u16())));
        if status != StatusCode::OK {
            self.span.set_attribute(KeyValue::new(names::ERROR, status.as_str().to_owned()));
            self.span.set_status(Status::error(""));
        } else if let Some((operation, model)) = self.model.take() {
            self.span.update_name(format!("{operation} {model}"));
            self.span.set_attribute(KeyValue::new(names::MODEL, model));
        }
    }

    /// It is over; `failed` says why there was no answer, or no end of it, if that was the model server's fault.
    pub(super) fn end(mut self, failed: Option<&str>) {
        if let Some(why) = failed {
            self.span.set_attribute(KeyValue::new(names::ERROR, why.to_owned()));
            self.span.set_status(Status::error(""));
        }
    }
}
