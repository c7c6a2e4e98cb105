//! A text made from another, and which bytes of the other each part of it stands for.

use std::ops::Range;

/// A text under construction, with its way back.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    pub(crate) text: String,
    map: Map,
    changed: bool,
}

/// From places in a text to places in the text it was made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    pieces: Vec<Piece>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Piece {
    /// Where the piece begins in the new text.
    at: usize,
    /// The bytes it stands for.
    from: Range<usize>,
    /// Whether it was copied, so that places inside it correspond byte by byte.
    copied: bool,
}

impl Mapped {
    /// Room for a text about as long as `original`.
    pub(crate) fn like(original: &str) -> Self {
        Self { text: String::with_capacity(original.len()), ..Self::default() }
    }

    /// Appends `original[from]` as it is.
    pub(crate) fn copy(&mut self, original: &str, from: Range<usize>) {
        let Some(part) = original.get(from.clone()).filter(|part| !part.is_empty()) else { return };
        match self.map.pieces.last_mut() {
            Some(last) if last.copied && last.from.end == from.start => last.from.end = from.end,
            _ => self.map.pieces.push(Piece { at: self.text.len(), from, copied: true }),
        }
        self.text.push_str(part);
    }

    /// Appends `part`, which stands for the bytes `from`.
    pub(crate) fn put(&mut self, part: &str, from: Range<usize>) {
        self.changed = true;
        if !part.is_empty() {
            self.map.pieces.push(Piece { at: self.text.len(), from, copied: false });
            self.text.push_str(part);
        }
    }

    /// Appends one character, which stands for the bytes `from`.
    pub(crate) fn put_char(&mut self, c: char, from: Range<usize>) {
        self.put(c.encode_utf8(&mut [0; 4]), from);
    }

    /// Leaves something out.
    pub(crate) fn skip(&mut self) {
        self.changed = true;
    }

    /// The new text and its map; `None` if nothing was changed, or nothing is left.
    pub(crate) fn finish(mut self) -> Option<(String, Map)> {
        self.map.len = self.text.len();
        (self.changed && !self.text.trim().is_empty()).then_some((self.text, self.map))
    }
}

impl Map {
    /// The bytes that `span` of the new text stands for: from the first to the last, if they lie apart.
    pub(crate) fn back(&self, span: &Range<usize>) -> Range<usize> {
        let end = span.end.min(self.len);
        let first = self.pieces.partition_point(|piece| piece.at <= span.start).saturating_sub(1);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let ends = pieces.iter().skip(1).map(|piece| piece.at).chain([self.len]);
        let mut found: Option<Range<usize>> = None;
        for (piece, piece_end) in pieces.iter().zip(ends) {
            if piece.at >= end.max(span.start + 1) {
                break;
            }
            let part = piece.part(span.start.max(piece.at), end.min(piece_end));
            found = Some(match found {
                None => part,
                Some(found) => found.start.min(part.start)..found.end.max(part.end),
            });
        }
        found.unwrap_or(0..0)
    }
}

impl Piece {
    fn part(&self, start: usize, end: usize) -> Range<usize> {
        if !self.copied {
            return self.from.clone();
        }
        let start = self.from.start + (start - self.at);
        start..(self.from.start + end.saturating_sub(self.at)).max(start).min(self.from.end)
    }
}
