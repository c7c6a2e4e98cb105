//! Cutting spans out of a text.

use std::ops::Range;

/// What stands where something was cut out.
pub const REDACTED: &str = "[REDACTED]";

/// `text` with each of `spans` (in bytes, in any order, overlapping or not) replaced by [`REDACTED`].
///
/// `None` if a span does not lie on characters of the text: then nobody knows what to cut.
#[must_use]
pub fn redact(text: &str, spans: &[Range<usize>]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut kept_to = 0;
    for span in merged(spans) {
        text.get(span.clone())?;
        out.push_str(text.get(kept_to..span.start)?);
        out.push_str(REDACTED);
        kept_to = span.end;
    }
    out.push_str(text.get(kept_to..)?);
    Some(out)
}

/// The same spans in order, those that touch or overlap made one.
pub(crate) fn merged(spans: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| span.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// What stays of a `piece` that begins at `start` of its text; the mark stands in the piece where a span begins.
pub(crate) fn keep(piece: &str, start: usize, spans: &[Range<usize>]) -> Option<String> {
    let end = start + piece.len();
    let mut kept = String::with_capacity(piece.len());
    let mut from = start;
    for span in spans.iter().filter(|span| span.start < end && span.end > start) {
        kept.push_str(piece.get(from - start..span.start.max(start) - start)?);
        if span.start >= start {
            kept.push_str(REDACTED);
        }
        from = span.end.min(end);
    }
    kept.push_str(piece.get(from - start..)?);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_and_nothing_else() {
        type Case = (&'static str, &'static [(usize, usize)], Option<&'static str>);
        let cases: [Case; 5] = [
            ("a secret b", &[(2, 8)], Some("a [REDACTED] b")),
            ("abcdef", &[(3, 5), (0, 1), (4, 6)], Some("[REDACTED]bc[REDACTED]")),
            ("é", &[(0, 1)], None),
            ("abc", &[(2, 9)], None),
            ("abc", &[(9, 2)], None),
        ];
        for (text, spans, expected) in cases {
            let spans: Vec<_> = spans.iter().map(|&(start, end)| start..end).collect();
            assert_eq!(redact(text, &spans).as_deref(), expected, "{text}");
        }
    }
}
