//! Words pulled apart, written with digits, or in capitals at random.

use std::ops::Range;

use crate::mapped::Mapped;

/// The letter a digit or mark stands for inside a word.
const fn leet_letter(byte: u8) -> Option<u8> {
    match byte {
        b'0' => Some(b'o'),
        b'1' | b'!' | b'|' => Some(b'i'),
        b'3' => Some(b'e'),
        b'4' | b'@' => Some(b'a'),
        b'5' | b'$' => Some(b's'),
        b'7' | b'+' => Some(b't'),
        b'8' => Some(b'b'),
        b'9' => Some(b'g'),
        _ => None,
    }
}

/// Whether `word` is letters of which some are written as digits or marks; what stands at its end may be punctuation.
pub(crate) fn is_leet(word: &[u8]) -> bool {
    is_mixed(word) && trimmed(word).len() >= 3
}

fn is_mixed(word: &[u8]) -> bool {
    let word = trimmed(word);
    let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let digits = word.iter().filter(|byte| leet_letter(**byte).is_some()).count();
    letters > 0 && digits > 0 && letters + digits == word.len()
}

fn trimmed(word: &[u8]) -> &[u8] {
    let ends = |byte: &u8| b".,;:?!'\"()".contains(byte);
    let start = word.iter().position(|byte| !ends(byte)).unwrap_or(word.len());
    let end = word.iter().rposition(|byte| !ends(byte)).map_or(start, |last| last + 1);
    word.get(start..end).unwrap_or_default()
}

/// With the digits and marks in words read as letters, `1` as `i`.
pub(crate) fn unleet(text: &str) -> Option<Mapped> {
    unleet_with(text, b'i', false)
}

/// The same with `1` as `l`, and whole numbers read as words too: `411` is `all`.
pub(crate) fn unleet_l(text: &str) -> Option<Mapped> {
    unleet_with(text, b'l', true)
}

/// With whole numbers read as words too: `4` is `a`, `70` is `to`.
pub(crate) fn unleet_numbers(text: &str) -> Option<Mapped> {
    unleet_with(text, b'i', true)
}

fn unleet_with(text: &str, one: u8, numbers: bool) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    for (start, word) in words(text) {
        let inner = trimmed(word.as_bytes());
        let number =
            numbers && !inner.is_empty() && inner.iter().all(|b| leet_letter(*b).is_some());
        // A mark at the end of a word ends a sentence.
        let marks_from =
            word.trim_end_matches(['.', ',', ';', ':', '?', '!', '\'', '"', ')']).len();
        if !is_mixed(word.as_bytes()) && !number {
            out.copy(text, start..start + word.len());
            continue;
        }
        for (at, c) in word.char_indices() {
            let place = start + at..start + at + c.len_utf8();
            let letter = u8::try_from(c).ok().and_then(leet_letter).filter(|_| at < marks_from);
            match letter {
                Some(_) if c == '1' => out.put_char(char::from(one), place),
                Some(letter) => out.put_char(char::from(letter), place),
                None => out.copy(text, place),
            }
        }
    }
    Some(out)
}

/// Words and the white space between them, with where they begin.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive(char::is_whitespace).flat_map(move |piece| {
        let word = piece.trim_end();
        let (at, space) = (start, piece.get(word.len()..).unwrap_or_default());
        start += piece.len();
        [(at, word), (at + word.len(), space)]
    })
}

/// Whether capitals and small letters change all over `word`.
pub(crate) fn is_jagged(word: &[u8]) -> bool {
    let changes = word.windows(2).filter(|pair| {
        matches!(pair, [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic()
            && a.is_ascii_uppercase() != b.is_ascii_uppercase())
    });
    let changes = changes.count();
    changes >= 3 && changes * 2 >= word.len().saturating_sub(1)
}

/// In small letters.
pub(crate) fn lower(text: &str) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    for (at, c) in text.char_indices() {
        let place = at..at + c.len_utf8();
        if c.is_ascii_uppercase() {
            out.put_char(c.to_ascii_lowercase(), place);
        } else {
            out.copy(text, place);
        }
    }
    Some(out)
}

/// Fewer single letters in a row than this are initials, options or a formula.
const SINGLES: usize = 5;

/// With letters that stand apart drawn together again: `i g n o r e`, `i.g.n.o.r.e`, one letter a line.
///
/// Between the letters stands one and the same separator; what is more than one is the space between words.
pub(crate) fn unspaced(text: &str) -> Option<Mapped> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut out = Mapped::like(text);
    let mut at = 0;
    while let Some(&(start, c)) = chars.get(at) {
        let row = row_at(&chars, at);
        if row.letters * 2 >= row.tokens.len() && row.tokens.len() >= SINGLES {
            row.write(text, &chars, &mut out);
            at = row.end;
        } else {
            let end = at + row.tokens.len().max(1);
            // Nothing that begins inside too short a row is longer.
            let stop =
                chars.get(end).map_or(text.len(), |(next, _)| *next).max(start + c.len_utf8());
            out.copy(text, start..stop);
            at = end;
        }
    }
    Some(out)
}

/// Single characters with separators between them.
#[derive(Default)]
struct Row {
    /// The place of each character, and what is to stand after it.
    tokens: Vec<(usize, Gap)>,
    letters: usize,
    /// The place in the list of characters after the row.
    end: usize,
}

/// The places, in the list of characters, of what is left between two characters of a row.
type Gap = Vec<usize>;

/// The row that begins with the character at `first`; empty if none does.
fn row_at(chars: &[(usize, char)], first: usize) -> Row {
    let mut row = Row { end: first, ..Row::default() };
    let char_at = |at: usize| chars.get(at).map(|(_, c)| *c);
    let starts = |at: usize| at == 0 || char_at(at - 1).is_some_and(|c| !c.is_alphanumeric());
    let (Some(c), Some(separator)) = (char_at(first), char_at(first + 1)) else { return row };
    if c.is_whitespace() || separator.is_alphanumeric() || !starts(first) {
        return row;
    }
    let parts = |c: char| c == separator || c.is_whitespace();
    if parts(c) {
        return row;
    }
    let mut at = first;
    while let Some(&(_, c)) = chars.get(at) {
        let gap = chars.iter().skip(at + 1).take_while(|(_, c)| parts(*c)).count();
        let next = at + 1 + gap;
        if gap == 0 && next < chars.len() {
            break;
        }
        let last = next >= chars.len();
        row.letters += usize::from(c.is_alphabetic());
        row.tokens.push((at, left(chars, at + 1..next, separator, last)));
        at = next;
        row.end = at;
    }
    row
}

/// The places in the gap `range` that are left once the separators between single characters are taken away: every
/// other one, if a character of the text stands between each two; or all but one at either end.
fn left(chars: &[(usize, char)], range: Range<usize>, separator: char, last: bool) -> Gap {
    let is_separator = |at: usize| chars.get(at).is_some_and(|(_, c)| *c == separator);
    let alternate = range.clone().step_by(2).all(is_separator) && (range.len() % 2 == 1 || last);
    if alternate {
        return range.skip(1).step_by(2).collect();
    }
    // Another white space than the separator parts words.
    let inner = match range.len() {
        1 => range,
        _ => {
            let start = range.start + usize::from(is_separator(range.start));
            let ends = range.end - start > 1 && is_separator(range.end - 1);
            start..range.end - usize::from(ends)
        }
    };
    inner.collect()
}

impl Row {
    fn write(&self, text: &str, chars: &[(usize, char)], out: &mut Mapped) {
        let kept = self.tokens.iter().flat_map(|(at, gap)| std::iter::once(at).chain(gap));
        for (start, c) in kept.filter_map(|at| chars.get(*at)) {
            out.copy(text, *start..start + c.len_utf8());
        }
        out.skip();
    }
}
