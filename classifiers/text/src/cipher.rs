//! Letters shifted through the alphabet, mirrored in it, or in reverse order.

use std::ops::Range;

use crate::mapped::Mapped;
use crate::words::{Reading, is_telling, readings};

/// This many common words show how a part of a text is to be read.
const EVIDENCE: u16 = 2;
/// One in so many words must be a common one: in plain English every other is, by chance one in fifty.
const SHARE: u16 = 5;

/// With shifted and mirrored letters put back, in the whole text or in the sentences where they are.
pub(crate) fn deciphered(text: &str) -> Option<Mapped> {
    let readings = Readings::of(text);
    let mut out = Mapped::like(text);
    if let Some(reading) = readings.cipher() {
        write(text, 0..text.len(), reading, &mut out);
        return Some(out);
    }
    let mut start = 0;
    for part in text.split_inclusive(['\n', '.', ':', ';', '!', '?', '"', '`']) {
        let range = start..start + part.len();
        start = range.end;
        match Readings::of(part).cipher() {
            Some(reading) => write(text, range, reading, &mut out),
            None => out.copy(text, range),
        }
    }
    Some(out)
}

fn write(text: &str, range: Range<usize>, reading: Reading, out: &mut Mapped) {
    let Some(part) = text.get(range.clone()) else { return };
    for (at, c) in part.char_indices() {
        let place = range.start + at..range.start + at + c.len_utf8();
        match plain(c, reading) {
            Some(plain) => out.put_char(plain, place),
            None => out.copy(text, place),
        }
    }
}

fn plain(c: char, reading: Reading) -> Option<char> {
    let first = if c.is_ascii_lowercase() { b'a' } else { b'A' };
    let letter = u8::try_from(c).ok().filter(u8::is_ascii_alphabetic)? - first;
    let letter = match reading {
        Reading::Shifted(shift) => (letter + 26 - shift) % 26,
        Reading::Mirrored => 25 - letter,
        Reading::Backwards | Reading::Spelling => return None,
    };
    Some(char::from(first + letter))
}

/// The whole text from its end to its beginning.
pub(crate) fn backwards(text: &str) -> Option<Mapped> {
    Readings::of(text).has(Reading::Backwards).then(|| {
        let mut out = Mapped::like(text);
        reverse(text, 0..text.len(), &mut out);
        out
    })
}

/// Each word from its end to its beginning.
pub(crate) fn words_backwards(text: &str) -> Option<Mapped> {
    if !Readings::of(text).has(Reading::Backwards) {
        return None;
    }
    let mut out = Mapped::like(text);
    let mut start = 0;
    for piece in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
        reverse(text, start..start + word.len(), &mut out);
        out.copy(text, start + word.len()..start + piece.len());
        start += piece.len();
    }
    Some(out)
}

fn reverse(text: &str, range: Range<usize>, out: &mut Mapped) {
    out.skip();
    let part = text.get(range.clone()).unwrap_or_default();
    for (at, c) in part.char_indices().rev() {
        out.copy(text, range.start + at..range.start + at + c.len_utf8());
    }
}

/// How many words of a text are common ones, by how they are read.
struct Readings {
    counts: [u16; Reading::COUNT],
    words: u16,
}

impl Readings {
    fn of(text: &str) -> Self {
        let mut counts = [0u16; Reading::COUNT];
        let mut words = 0u16;
        for word in text.as_bytes().split(|byte| !byte.is_ascii_alphabetic()) {
            words = words.saturating_add(u16::from(is_telling(word)));
            for reading in readings(word) {
                if let Some(count) = counts.get_mut(reading.index()) {
                    *count = count.saturating_add(1);
                }
            }
        }
        Self { counts, words }
    }

    fn count(&self, reading: Reading) -> u16 {
        self.counts.get(reading.index()).copied().unwrap_or_default()
    }

    /// Whether the text says more when read so than when read plainly.
    fn has(&self, reading: Reading) -> bool {
        let count = self.count(reading);
        count >= EVIDENCE && count > self.count(Reading::Shifted(0)) && count >= self.words / SHARE
    }

    fn cipher(&self) -> Option<Reading> {
        Reading::disguises()
            .filter(|reading| *reading != Reading::Backwards && self.has(*reading))
            .max_by_key(|reading| self.count(*reading))
    }
}
