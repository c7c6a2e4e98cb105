//! The span of a whole exchange, and what hangs below it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Request};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use proxy_audit::{Closed, Outcome, Ruling};

use super::attributes::{self as names, Conventions};
use super::call::{Call, Called};
use super::context;
use super::examination::Examination;
use crate::routes::template;

/// Examinations of one exchange that have spans: a streamed answer that goes on for an hour has thousands.
const EXAMINATIONS: u32 = 64;

/// Whether exchanges are traced, and how.
#[derive(Clone, Debug)]
pub struct Tracing {
    tracer: Option<Arc<Tracer>>,
    /// Whether callers say which trace their requests belong to.
    trusts_callers: bool,
}

/// Where spans go, and what they are called.
#[derive(Debug)]
pub(super) struct Tracer {
    pub(super) tracer: BoxedTracer,
    pub(super) conventions: Conventions,
}

/// No spans; what callers say of their traces is handed on.
impl Default for Tracing {
    fn default() -> Self {
        Self::off(true)
    }
}

impl Tracing {
    /// No spans. Callers' trace context is handed on to the model server and recorded if they are trusted with that.
    #[must_use]
    pub const fn off(trusts_callers: bool) -> Self {
        Self { tracer: None, trusts_callers }
    }

    /// Spans by `tracer`. They continue callers' traces if these are trusted with that; otherwise each exchange begins a
    /// trace of its own, and links to the caller's.
    #[must_use]
    pub fn new(tracer: BoxedTracer, conventions: Conventions, trusts_callers: bool) -> Self {
        Self { tracer: Some(Arc::new(Tracer { tracer, conventions })), trusts_callers }
    }

    /// Begins the trace of an exchange; also says which it is, for the record. What `request` says about traces and must
    /// not go further is taken out of it.
    pub(crate) fn begin<B>(&self, request: &mut Request<B>) -> (Trace, Option<TraceId>) {
        let parent = context::parent(request.headers_mut(), self.trusts_callers);
        let Some(tracer) = &self.tracer else {
            let trusted = parent.filter(|_| self.trusts_callers);
            return (Trace(None), trusted.map(|parent| parent.trace_id()));
        };
        let mut builder = described(request);
        let above = match parent {
            Some(parent) if self.trusts_callers => Context::new().with_remote_span_context(parent),
            Some(parent) => {
                builder.links = Some(vec![Link::with_context(parent)]);
                Context::new()
            }
            None => Context::new(),
        };
        let span = tracer.tracer.build_with_context(builder, &above);
        let context = Context::new().with_span(span);
        let id = context.span().span_context().trace_id();
        let spans = Spans {
            tracer: Arc::clone(tracer),
            context,
            call: Mutex::default(),
            examinations: AtomicU32::new(0),
        };
        (Trace(Some(Arc::new(spans))), (id != TraceId::INVALID).then_some(id))
    }
}

/// The span of an exchange, as far as its request says.
fn described<B>(request: &Request<B>) -> SpanBuilder {
    let method = names::method(request.method());
    let route = template(request.uri().path());
    let shown = method.unwrap_or("HTTP");
    let name = match &route {
        Some(route) => format!("{shown} {route}").into(),
        None => shown.into(),
    };
    let mut attributes = vec![KeyValue::new(names::METHOD, method.unwrap_or("_OTHER"))];
    attributes.extend(route.map(|route| KeyValue::new(names::ROUTE, route)));
    SpanBuilder { name, ..SpanBuilder::default() }
        .with_kind(SpanKind::Server)
        .with_attributes(attributes)
}

/// The spans of one exchange; nothing where traces are off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Option<Arc<Spans>>);

#[derive(Debug)]
pub(super) struct Spans {
    pub(super) tracer: Arc<Tracer>,
    /// Holds the span of the exchange.
    pub(super) context: Context,
    /// The call to the model server, while it is under way.
    call: Mutex<Option<Call>>,
    examinations: AtomicU32,
}

impl Trace {
    /// The spans, if they are recorded.
    fn recording(&self) -> Option<&Arc<Spans>> {
        self.0.as_ref().filter(|spans| spans.context.span().is_recording())
    }

    /// Texts are about to be judged.
    pub(crate) fn examine(&self, passages: &[classifiers_core::Passage]) -> Examination {
        let few =
            |spans: &&Arc<Spans>| spans.examinations.fetch_add(1, Ordering::Relaxed) < EXAMINATIONS;
        Examination::begin(self.recording().filter(few), passages)
    }

    /// The model server is about to be called; what it is told about the trace.
    pub(crate) fn call(&self, called: &Called<'_>) -> Option<HeaderValue> {
        let spans = self.0.as_ref()?;
        let call = Call::begin(spans, called);
        let header = call.traceparent();
        *spans.lock() = Some(call);
        header
    }

    /// The model server's answer begins.
    pub(crate) fn answers(&self, status: http::StatusCode) {
        if let Some(spans) = self.recording() {
            spans.lock().iter_mut().for_each(|call| call.answers(status));
        }
    }

    /// The model server's answer is over, or nobody wants more of it.
    pub(crate) fn answered(&self) {
        drop(self.0.as_ref().and_then(|spans| spans.lock().take()));
    }

    /// The exchange is over.
    pub(crate) fn finish(&self, closed: &Closed) {
        let Some(spans) = &self.0 else { return };
        let failed = (closed.outcome == Outcome::UpstreamFailed).then_some(&closed.reason);
        if let Some(call) = spans.lock().take() {
            call.end(failed.and_then(Option::as_deref));
        }
        let span = spans.context.span();
        if span.is_recording() {
            span.set_attributes(told(closed));
            let left_out = spans.examinations.load(Ordering::Relaxed).saturating_sub(EXAMINATIONS);
            if left_out > 0 {
                span.set_attribute(KeyValue::new(names::LEFT_OUT, i64::from(left_out)));
            }
            if closed.status >= 500 || closed.outcome == Outcome::Failed {
                span.set_attribute(KeyValue::new(names::ERROR, error(closed)));
                span.set_status(Status::error(""));
            }
        }
        span.end();
    }
}

impl Spans {
    /// The lock, also after a panic elsewhere: a span is ended all the same.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What the record says in words of the program and of the policy.
fn told(closed: &Closed) -> Vec<KeyValue> {
    let word = |name: &'static str, text: &str| KeyValue::new(name, text.to_owned());
    let mut told = vec![
        KeyValue::new(names::DECISION, closed.id.to_string()),
        KeyValue::new(names::OUTCOME, closed.outcome.as_str()),
        KeyValue::new(names::MODE, closed.mode.as_str()),
        KeyValue::new(names::STREAMED, closed.stream),
        KeyValue::new(names::RELEASED, i64::try_from(closed.released_bytes).unwrap_or(i64::MAX)),
    ];
    if closed.status > 0 {
        told.push(KeyValue::new(names::STATUS, i64::from(closed.status)));
    }
    let texts = [
        (names::POLICY, &closed.policy),
        (names::PROFILE, &closed.profile),
        (names::CALLER, &closed.key_name),
        (names::REASON, &closed.reason),
    ];
    told.extend(texts.into_iter().filter_map(|(name, text)| Some(word(name, text.as_deref()?))));
    let sides = [(names::INPUT, &closed.input), (names::OUTPUT, &closed.output)];
    for ((verdict, action), ruling) in sides {
        let Some(Ruling { verdict: said, action: done, .. }) = ruling else { continue };
        told.push(KeyValue::new(verdict, said.as_str()));
        told.push(KeyValue::new(action, done.as_str()));
    }
    told
}

fn error(closed: &Closed) -> String {
    closed.reason.as_deref().map_or_else(|| closed.status.to_string(), str::to_owned)
}
