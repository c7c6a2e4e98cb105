//! The span of judging the texts of one message, or one window of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use classifiers_core::{ClassifierId, Direction, Passage};
use opentelemetry::trace::{
    Event, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use proxy_audit::{Action, Verdict};

use super::attributes as names;
use super::exchange::Spans;

/// Texts that are being judged; nothing where that is not traced. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Examination(Option<Box<Live>>);

#[derive(Debug)]
struct Live {
    spans: Arc<Spans>,
    /// Holds the span.
    context: Context,
}

/// What one classifier has done.
pub(crate) struct Checked<'a> {
    pub(crate) id: &'a ClassifierId,
    pub(crate) passages: usize,
    pub(crate) elapsed: Duration,
    /// Why it gave no verdict about some of them.
    pub(crate) failure: Option<&'static str>,
    /// In whose place it judged, and how many were asked before.
    pub(crate) rung: Option<(&'static str, usize)>,
    /// What it found most of.
    pub(crate) strongest: Option<(&'static str, f32)>,
}

/// What the policy has decided.
pub(crate) struct Decided<'a> {
    pub(crate) policy: &'a str,
    pub(crate) verdict: Verdict,
    pub(crate) action: Action,
    pub(crate) would: Option<Action>,
    pub(crate) because: Vec<String>,
    pub(crate) exemptions: Vec<String>,
}

impl Examination {
    /// `passages` are judged from now on.
    pub(super) fn begin(spans: Option<&Arc<Spans>>, passages: &[Passage]) -> Self {
        let Some(spans) = spans else { return Self(None) };
        // What has no text at all is an answer: a request says something.
        let asked = passages.first().is_some_and(|p| p.origin.direction != Direction::Output);
        let bytes: usize = passages.iter().map(|passage| passage.text.len()).sum();
        let attributes = vec![count(names::PASSAGES, passages.len()), count(names::BYTES, bytes)];
        let name = if asked { "examine request" } else { "examine answer" };
        let builder =
            SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_attributes(attributes);
        let span = spans.tracer.tracer.build_with_context(builder, &spans.context);
        let context = Context::new().with_span(span);
        Self(Some(Box::new(Live { spans: Arc::clone(spans), context })))
    }

    /// A classifier has answered just now.
    pub(crate) fn checked<'a>(&self, checked: impl FnOnce() -> Checked<'a>) {
        let Some(live) = &self.0 else { return };
        let Checked { id, passages, elapsed, failure, rung, strongest } = checked();
        let mut attributes = vec![
            KeyValue::new(names::CHECK, id.name.to_string()),
            KeyValue::new(names::REVISION, id.revision.to_string()),
            count(names::PASSAGES, passages),
        ];
        if let Some((other, rung)) = rung {
            attributes.push(KeyValue::new(names::IN_PLACE_OF, other));
            attributes.push(count(names::RUNG, rung));
        }
        attributes.extend(failure.map(|why| KeyValue::new(names::ERROR, why)));
        let ended = SystemTime::now();
        let mut builder = SpanBuilder::from_name(format!("check {}", id.name))
            .with_kind(SpanKind::Internal)
            .with_start_time(ended.checked_sub(elapsed).unwrap_or(ended))
            .with_attributes(attributes);
        if live.spans.tracer.conventions.evaluates() {
            builder.events = Some(vec![evaluation(&id.name, strongest, ended)]);
        }
        live.child(builder, ended, failure.is_some());
    }

    /// When the policy begins to decide; nothing where that is not traced.
    pub(crate) fn decides(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|_| SystemTime::now())
    }

    /// The policy has decided just now, having begun at `began`.
    pub(crate) fn decided<'a>(
        &self,
        began: Option<SystemTime>,
        decided: impl FnOnce() -> Decided<'a>,
    ) {
        let (Some(live), Some(began)) = (&self.0, began) else { return };
        let ended = SystemTime::now();
        let Decided { policy, verdict, action, would, because, exemptions } = decided();
        let mut attributes = vec![
            KeyValue::new(names::POLICY, policy.to_owned()),
            KeyValue::new(names::VERDICT, verdict.as_str()),
            KeyValue::new(names::ACTION, action.as_str()),
        ];
        attributes.extend(would.map(|would| KeyValue::new(names::WOULD, would.as_str())));
        attributes.extend(list(names::BECAUSE, because));
        attributes.extend(list(names::EXEMPTIONS, exemptions));
        let builder = SpanBuilder::from_name("decide")
            .with_kind(SpanKind::Internal)
            .with_start_time(began)
            .with_attributes(attributes);
        live.child(builder, ended, false);
    }
}

impl Live {
    fn child(&self, builder: SpanBuilder, ended: SystemTime, failed: bool) {
        use opentelemetry::trace::Span as _;
        let mut span = self.spans.tracer.tracer.build_with_context(builder, &self.context);
        if failed {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }
}

fn count(name: &'static str, number: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX))
}

fn list(name: &'static str, words: Vec<String>) -> Option<KeyValue> {
    let words: Vec<StringValue> = words.into_iter().map(StringValue::from).collect();
    (!words.is_empty()).then(|| KeyValue::new(name, Value::Array(Array::String(words))))
}

fn evaluation(check: &str, strongest: Option<(&'static str, f32)>, time: SystemTime) -> Event {
    let mut attributes = vec![KeyValue::new(names::EVALUATION_NAME, check.to_owned())];
    if let Some((category, score)) = strongest {
        attributes.push(KeyValue::new(names::EVALUATION_LABEL, category));
        attributes.push(KeyValue::new(names::EVALUATION_SCORE, f64::from(score)));
    }
    Event::new(names::EVALUATION, time, attributes, 0)
}
