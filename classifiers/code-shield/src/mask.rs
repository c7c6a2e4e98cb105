//! Code without its comments, byte for byte in the same places.

use crate::language::Syntax;

/// A block of code as rules see it.
#[derive(Debug)]
pub(crate) struct Masked {
    /// The code with blanks for comments and documentation.
    pub(crate) code: String,
    /// For each byte, whether it lies inside a text (its quotes do not).
    in_text: Vec<bool>,
}

impl Masked {
    /// Whether the byte at `place` belongs to a text.
    pub(crate) fn is_text(&self, place: usize) -> bool {
        self.in_text.get(place).copied().unwrap_or(false)
    }
}

/// Blanks the comments of `code`. What is not closed goes on to the end of its line, or of the block.
pub(crate) fn mask(code: &str, syntax: Syntax) -> Masked {
    let mut out = code.as_bytes().to_vec();
    let mut in_text = vec![false; out.len()];
    let mut place = 0;
    while let Some(rest) = code.as_bytes().get(place..).filter(|rest| !rest.is_empty()) {
        let before = place.checked_sub(1).and_then(|at| code.as_bytes().get(at)).copied();
        let length = match piece(rest, before, syntax) {
            Piece::Comment(length) => {
                blank(&mut out, place, length);
                length
            }
            Piece::Text { quotes, length } if quotes == 3 && begins_line(code, place) => {
                blank(&mut out, place, length);
                length
            }
            Piece::Text { quotes, length } => {
                let inside = place + quotes..place + length.saturating_sub(quotes);
                in_text.get_mut(inside).unwrap_or_default().fill(true);
                length
            }
            Piece::Code => 1,
        };
        place += length.max(1);
    }
    // Whole comments were replaced, and they begin and end with ASCII.
    Masked { code: String::from_utf8(out).unwrap_or_else(|_| code.to_owned()), in_text }
}

/// What begins here, and its length in bytes.
enum Piece {
    Comment(usize),
    Text { quotes: usize, length: usize },
    Code,
}

fn piece(rest: &[u8], before: Option<u8>, syntax: Syntax) -> Piece {
    let line = || memchr_newline(rest).unwrap_or(rest.len());
    let word_before = before.is_some_and(|byte| !byte.is_ascii_whitespace() && byte != b';');
    match rest {
        [b'/', b'/', ..] if syntax.slashes && before != Some(b':') => Piece::Comment(line()),
        [b'/', b'*', ..] if syntax.slashes || syntax.dashes => {
            Piece::Comment(closed(rest, b"*/", 2))
        }
        [b'-', b'-', ..] if syntax.dashes => Piece::Comment(line()),
        // `$#` and `x#y` are no comments in a shell; Python has neither.
        [b'#', ..] if syntax.hash && (syntax.triple || !word_before) => Piece::Comment(line()),
        [a @ (b'"' | b'\''), b, c, ..] if syntax.triple && a == b && b == c => {
            Piece::Text { quotes: 3, length: closed(rest, &[*a; 3], 3) }
        }
        [b'\'', ..] if !syntax.single => Piece::Code,
        [quote @ (b'"' | b'\''), ..] => Piece::Text { quotes: 1, length: quoted(rest, *quote) },
        _ => Piece::Code,
    }
}

fn memchr_newline(rest: &[u8]) -> Option<usize> {
    rest.iter().position(|byte| *byte == b'\n')
}

/// To the end of `end`, which is looked for after `from` bytes.
fn closed(rest: &[u8], end: &[u8], from: usize) -> usize {
    let after = rest.get(from..).unwrap_or_default();
    let found = after.windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |at| from + at + end.len())
}

/// A text on one line, with escapes; one that is not closed is only its first quote: an apostrophe in prose.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'\n' => return 1,
            byte if *byte == quote => return at + 1,
            _ => {}
        }
        if at > LONGEST_TEXT {
            return 1;
        }
    }
    1
}

/// Longer texts are not code that somebody wrote; a bound for what an unclosed quote costs.
const LONGEST_TEXT: usize = 4096;

/// Whether only blanks stand before `place` on its line: then a text there is documentation.
fn begins_line(code: &str, place: usize) -> bool {
    let before = code.as_bytes().get(..place).unwrap_or_default();
    let blanks = before.iter().rev().take(256).find(|byte| !matches!(byte, b' ' | b'\t'));
    blanks.is_none_or(|byte| *byte == b'\n')
}

fn blank(out: &mut [u8], from: usize, length: usize) {
    for byte in out.get_mut(from..from + length).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}
