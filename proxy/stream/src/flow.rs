//! Texts of an answer that clients show as one.

use std::ops::Range;
use std::sync::Arc;

/// Prose of one kind that comes in several blocks or items of an answer, in the order in which it comes: clients print
/// it one after the other, so a violation may begin in one block and end in the next.
#[derive(Debug)]
pub(crate) struct Flow {
    /// The text that it begins with, and all there is as long as there is no other.
    pub(crate) first: usize,
    /// The text that all of them are joined in.
    pub(crate) joined: Option<usize>,
    /// What passages of that are called.
    pub(crate) pointer: Arc<str>,
    /// From which byte of the joined text on it goes on with which text, and from which byte of that.
    pieces: Vec<(usize, usize, usize)>,
}

impl Flow {
    /// Prose of `kind` that begins with the text number `first`.
    pub(crate) fn new(first: usize, kind: &str) -> Self {
        let pointer = format!("{kind}#joined").into();
        Self { first, joined: None, pointer, pieces: vec![(0, first, 0)] }
    }

    /// From the byte `at` of the joined text on it goes on with the `text`th, from its byte `from` on.
    pub(crate) fn goes_on(&mut self, at: usize, text: usize, from: usize) {
        if self.pieces.last().is_none_or(|(_, last, _)| *last != text) {
            self.pieces.push((at, text, from));
        }
    }

    /// What `span` of the joined text is made of: which text, which bytes of it, and how far into the span they stand.
    pub(crate) fn pieces(&self, span: &Range<usize>) -> Vec<(usize, Range<usize>, usize)> {
        let ends = self.pieces.iter().skip(1).map(|(at, ..)| *at).chain([usize::MAX]);
        let pieces = self.pieces.iter().zip(ends).filter_map(|(&(at, text, from), end)| {
            let (start, end) = (span.start.max(at), span.end.min(end));
            let own = from + start.checked_sub(at)?..from + end.checked_sub(at)?;
            (start < end).then(|| (text, own, start - span.start))
        });
        pieces.collect()
    }
}
