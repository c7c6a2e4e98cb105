//! What a text shows that could be a disguise: one pass over its bytes.
//!
//! A sign is cheap and generous. What it stands for is looked at in earnest by the transform of that name.

use crate::decode::escape_at;
use crate::letters;
use crate::shape::{is_jagged, is_leet};
use crate::words::{Reading, readings};

/// A set of signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs(u32);

impl Signs {
    /// Characters that are not seen.
    pub(crate) const HIDDEN: Self = Self(1);
    /// Characters that override the direction of writing.
    pub(crate) const BIDI: Self = Self(1 << 1);
    /// Characters that delete others.
    pub(crate) const DELETION: Self = Self(1 << 2);
    /// Letters that look like others, or are decorated.
    pub(crate) const LETTERS: Self = Self(1 << 3);
    /// Single letters in a row.
    pub(crate) const SPACED: Self = Self(1 << 4);
    /// Digits and marks inside words.
    pub(crate) const LEET: Self = Self(1 << 5);
    /// Capitals all over words.
    pub(crate) const CAPITALS: Self = Self(1 << 6);
    /// Words that are common ones if read otherwise.
    pub(crate) const CIPHER: Self = Self(1 << 7);
    /// Words that could be base64 and the like.
    pub(crate) const ENCODED: Self = Self(1 << 8);
    /// Escape sequences.
    pub(crate) const ESCAPED: Self = Self(1 << 9);
    /// Numbers in a row, each of which could be a character.
    pub(crate) const NUMBERS: Self = Self(1 << 10);
    /// Dots and dashes, Braille, words of the spelling alphabet.
    pub(crate) const SPELLED: Self = Self(1 << 11);
    /// Letters upside down.
    pub(crate) const FLIPPED: Self = Self(1 << 12);

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These signs and those.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of the signs `sign` is here.
    pub(crate) const fn has(self, sign: Self) -> bool {
        self.0 & sign.0 != 0
    }

    pub(crate) const fn add(&mut self, sign: Self) {
        self.0 |= sign.0;
    }
}

const LOWER: u8 = 1;
const UPPER: u8 = 1 << 1;
const DIGIT: u8 = 1 << 2;
const SPACE: u8 = 1 << 3;
/// Begins an escape sequence.
const ESCAPE: u8 = 1 << 4;
const MARK: u8 = 1 << 5;
const DELETE: u8 = 1 << 6;
const WIDE: u8 = 1 << 7;
const LETTER: u8 = LOWER | UPPER;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
        {
            classes[byte] = match byte as u8 {
                b'a'..=b'z' => LOWER,
                b'A'..=b'Z' => UPPER,
                b'0'..=b'9' => DIGIT,
                b' ' | b'\t' | b'\n' | b'\r' => SPACE,
                b'%' | b'&' | b'\\' | b'=' => ESCAPE | MARK,
                0x08 | 0x7F => DELETE,
                0x80.. => WIDE,
                _ => MARK,
            };
        }
        byte += 1;
    }
    classes
}

/// The signs in `text`.
pub(crate) fn signs(text: &str) -> Signs {
    let mut scan = Scan::default();
    let bytes = text.as_bytes();
    let (mut word, mut letters) = (0, 0);
    for (at, &byte) in bytes.iter().enumerate() {
        let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(WIDE);
        if class & LETTER != 0 {
            scan.classes |= class;
            scan.capitals += u32::from(class >> 1);
            continue;
        }
        if at > letters {
            scan.end_letters(bytes.get(letters..at).unwrap_or_default());
        }
        letters = at + 1;
        if class & SPACE == 0 {
            scan.classes |= class;
        } else {
            scan.end_word(bytes.get(word..at).unwrap_or_default());
            word = at + 1;
        }
    }
    scan.end_letters(bytes.get(letters..).unwrap_or_default());
    scan.end_word(bytes.get(word..).unwrap_or_default());
    scan.finish(text)
}

#[derive(Default)]
struct Scan {
    signs: Signs,
    /// Of all words so far, and of the one being read.
    seen: u8,
    classes: u8,
    capitals: u32,
    readings: Readings,
    singles: u32,
    numbers: u32,
    strokes: u32,
    jagged: u32,
    leet: u32,
    since_leet: u32,
}

/// How many words are common ones, for each way of reading.
struct Readings([u16; Reading::COUNT]);

impl Default for Readings {
    fn default() -> Self {
        Self([0; Reading::COUNT])
    }
}

impl Scan {
    #[inline]
    fn end_letters(&mut self, letters: &[u8]) {
        for reading in readings(letters) {
            if let Some(count) = self.readings.0.get_mut(reading.index()) {
                *count = count.saturating_add(1);
            }
        }
    }

    #[inline]
    fn end_word(&mut self, word: &[u8]) {
        let (classes, capitals) = (self.classes, self.capitals);
        self.seen |= classes;
        (self.classes, self.capitals) = (0, 0);
        self.since_leet += 1;
        if classes & !LETTER != 0 || capitals > 1 || word.len() == 1 {
            self.odd_word(word, classes, capitals);
        } else if !word.is_empty() {
            (self.singles, self.strokes) = (0, 0);
            // Two letters may be a byte in hexadecimal.
            self.numbers = if word.len() == 2 { self.numbers + 1 } else { 0 };
        }
    }

    /// A word that is not plain letters.
    fn odd_word(&mut self, word: &[u8], classes: u8, capitals: u32) {
        let single = word.len() <= 4 && is_one_letter(word, classes);
        if single {
            self.singles += 1;
            self.mark(Signs::SPACED, self.singles >= 5);
        } else if word.len() > 1 && classes != WIDE {
            self.singles = 0;
        }
        let number = word.len() <= 12 && (classes & DIGIT != 0 || word.len() == 2);
        self.numbers = if number { self.numbers + 1 } else { 0 };
        self.mark(Signs::NUMBERS, self.numbers >= 4);
        let strokes = classes == MARK && word.iter().all(|byte| b".-/|".contains(byte));
        self.strokes = if strokes { self.strokes + 1 } else { 0 };
        self.mark(Signs::SPELLED, self.strokes >= 3);
        if word.len() >= 9 && classes & MARK != 0 {
            self.mark(Signs::SPACED, alternates(word));
        }
        if word.len() >= 10 && !self.signs.has(Signs::ENCODED) {
            self.mark(Signs::ENCODED, is_encoded(word, capitals));
        }
        if classes & ESCAPE != 0 && !self.signs.has(Signs::ESCAPED) {
            self.mark(Signs::ESCAPED, (0..word.len()).any(|at| escape_at(word, at)));
        }
        if classes & LETTER != 0 && classes & (DIGIT | MARK) != 0 && is_leet(word) {
            self.leet = if self.since_leet <= 6 { self.leet + 1 } else { 1 };
            self.since_leet = 0;
            self.mark(Signs::LEET, self.leet >= 3);
        }
        if capitals > 1 && classes & LOWER != 0 && is_jagged(word) {
            self.jagged += 1;
            self.mark(Signs::CAPITALS, self.jagged >= 2);
        }
    }

    const fn mark(&mut self, sign: Signs, seen: bool) {
        if seen {
            self.signs.add(sign);
        }
    }

    fn finish(mut self, text: &str) -> Signs {
        self.mark(Signs::DELETION, self.seen & DELETE != 0);
        let [plain, disguised @ .., spelling] = self.readings.0;
        // A few words look like others by chance, the more the longer the text.
        self.mark(Signs::CIPHER, disguised.iter().any(|count| *count >= 2 + plain / 16));
        self.mark(Signs::SPELLED, spelling >= 4);
        if self.seen & WIDE != 0 {
            letters::signs(text, &mut self.signs);
        }
        self.signs
    }
}

fn is_one_letter(word: &[u8], classes: u8) -> bool {
    match word.len() {
        1 => classes & LETTER != 0,
        _ => classes == WIDE && word.iter().filter(|byte| **byte & 0xC0 != 0x80).count() == 1,
    }
}

/// Whether `word` could hold something encoded: capitals, small letters and digits without order.
fn is_encoded(word: &[u8], capitals: u32) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    if capitals < 2 && digits < 2 {
        return false;
    }
    let part = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"+/-_=".contains(byte);
    let base64 = word.split(part).any(|part| {
        let odd = part.iter().filter(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).count();
        part.len() >= 10 && odd >= 2
    });
    let base85 = word.len() >= 15 && capitals >= 2;
    base64 || base85
}

/// Whether letters stand alone between equal marks: `i.g.n.o.r.e`.
fn alternates(word: &[u8]) -> bool {
    let single = |w: &&[u8]| {
        matches!(w, [a, mark, b, same, ..] if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric()
            && mark == same && !mark.is_ascii_alphanumeric())
    };
    word.windows(4).filter(single).count() >= 3
}
