//! The headers that the guard speaks by.

use http::{HeaderName, HeaderValue};
use uuid::Uuid;

/// What was decided: a word.
pub(crate) const DECISION: HeaderName = HeaderName::from_static("x-guard-decision");
/// The name of the decision, and of its record.
pub(crate) const DECISION_ID: HeaderName = HeaderName::from_static("x-guard-decision-id");
/// Which policy decided.
pub(crate) const POLICY: HeaderName = HeaderName::from_static("x-guard-policy");
/// When the text of a streamed answer leaves; `follow` means before its verdict.
pub(crate) const STREAMING: HeaderName = HeaderName::from_static("x-guard-streaming");
/// Where the time went (W3C Server Timing).
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Clients of OpenAI's libraries do not try again when this says `false`.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The decision's name, as the model server gets it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The key of Anthropic's clients.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The version of Anthropic's format that a client speaks.
pub(crate) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// Names the trace that a request belongs to (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems add to it.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// An id as a header carries it.
pub(crate) fn id(id: Uuid) -> Option<HeaderValue> {
    let mut buffer = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer)).ok()
}
