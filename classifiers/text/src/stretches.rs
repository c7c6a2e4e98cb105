//! A long text, cut into stretches that are looked at one by one.

use std::ops::Range;

/// Longest stretch, in bytes: some 2,000 tokens. Short enough that no text in earnest has many disguises in one.
pub(crate) const STRETCH: usize = 8 * 1024;
/// A stretch begins at least so many bytes before the last one ended: what is shorter lies whole in one of them.
const OVERLAP: usize = 2 * 1024;
/// A stretch begins with a word where one begins at most so many bytes before.
const NEAR: usize = 1024;
/// Encodings write 3, 5 or 1 bytes as 4, 8 or 2 letters. Where a word is longer than [`NEAR`], it is cut at a multiple
/// of all of them, so that what follows can be decoded.
const GROUP: usize = 24;

/// Overlapping stretches that together are all of `text`.
pub(crate) fn stretches(text: &str) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let (mut start, mut word) = (0, 0);
    loop {
        let end = text.floor_char_boundary(start + STRETCH);
        stretches.push(start..end);
        if end == text.len() {
            return stretches;
        }
        let latest = end - OVERLAP;
        word = last_word(text, start..latest).unwrap_or(word);
        let into = latest - word;
        let cut = if into <= NEAR { word } else { word + into / GROUP * GROUP };
        start = text.floor_char_boundary(cut);
    }
}

/// Where the last word begins that begins in `range`; a word is what an encoding may be made of.
fn last_word(text: &str, range: Range<usize>) -> Option<usize> {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let bytes = text.as_bytes().get(range.clone())?;
    Some(range.start + bytes.iter().rposition(|byte| !letter(byte))? + 1)
}
