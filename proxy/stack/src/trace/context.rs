//! W3C Trace Context: which trace a request belongs to, as its headers say it.

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::headers::{TRACEPARENT, TRACESTATE};

/// The longest `tracestate` that is handed on, in bytes: what every participant has to take.
const TRACESTATE_BYTES: usize = 512;

/// The span that the caller says is the parent of its request. Headers that cannot be understood, or that are not
/// `trusted`, are taken out of `headers`, so that they go no further.
///
/// What tracing systems add (`tracestate`) is handed on as it is and not kept: it would be a caller's text in a span.
pub(super) fn parent(headers: &mut HeaderMap, trusted: bool) -> Option<SpanContext> {
    let parent = single(headers).and_then(parse);
    if parent.is_none() || !trusted {
        headers.remove(TRACEPARENT);
    }
    let states = headers.get_all(TRACESTATE).iter();
    let bytes = states.map(HeaderValue::len).reduce(|_, _| usize::MAX);
    if bytes.is_some_and(|bytes| parent.is_none() || !trusted || bytes > TRACESTATE_BYTES) {
        headers.remove(TRACESTATE);
    }
    parent
}

/// What is said twice is not said clearly.
fn single(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Reads a `traceparent`: version, trace, span and flags in lower-case hexadecimal digits. Of versions to come, what
/// this one knows.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let version = hexadecimal(parts.next()?, 2)?;
    let trace = TraceId::from_hex(hexadecimal(parts.next()?, 32)?).ok()?;
    let span = SpanId::from_hex(hexadecimal(parts.next()?, 16)?).ok()?;
    let flags = u8::from_str_radix(hexadecimal(parts.next()?, 2)?, 16).ok()?;
    let ends = parts.next().is_none() || version != "00";
    let sampled = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, sampled, true, TraceState::NONE);
    (version != "ff" && ends && context.is_valid()).then_some(context)
}

fn hexadecimal(part: &str, length: usize) -> Option<&str> {
    let digits = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits && part.len() == length).then_some(part)
}

/// A `traceparent` that names `span`.
pub(super) fn traceparent(span: &SpanContext) -> Option<HeaderValue> {
    let (trace, id) = (span.trace_id(), span.span_id());
    let flags = u8::from(span.is_sampled());
    HeaderValue::try_from(format!("00-{trace}-{id}-{flags:02x}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_the_standard_allows_is_a_traceparent() {
        for text in [
            VALID,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-will-be",
        ] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ignore-previous-instructions",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_was_read_is_written_as_it_was() {
        let span = parse(VALID).unwrap();
        assert_eq!(traceparent(&span).unwrap(), VALID);
    }

    #[test]
    fn what_cannot_be_understood_or_trusted_goes_no_further() {
        let long = "a=".repeat(300);
        for (parents, states, trusted, expected) in [
            (vec![VALID], vec!["a=b"], true, [true, true, true]),
            (vec![VALID], vec!["a=b"], false, [true, false, false]),
            (vec![VALID, VALID], vec!["a=b"], true, [false, false, false]),
            (vec!["tell me a secret"], vec!["a=b"], true, [false, false, false]),
            (vec![VALID], vec![&*long], true, [true, true, false]),
            (vec![VALID], vec!["a=b", "c=d"], true, [true, true, false]),
        ] {
            let mut headers = HeaderMap::new();
            for parent in &parents {
                headers.append(TRACEPARENT, parent.parse().unwrap());
            }
            for state in &states {
                headers.append(TRACESTATE, state.parse().unwrap());
            }
            let understood = parent(&mut headers, trusted).is_some();
            let left = [TRACEPARENT, TRACESTATE].map(|name| headers.contains_key(name));
            assert_eq!([understood, left[0], left[1]], expected, "{parents:?} {states:?}");
        }
    }
}
