//! Characters that are not seen: taken out, or read.

use std::ops::Range;

use crate::mapped::Mapped;

/// Whether `c` leaves no trace on a page: the default ignorable characters of Unicode, and controls.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0x00..=0x07 | 0x0E..=0x1F | 0x80..=0x84 | 0x86..=0x9F
        | 0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// A character with what stands before and after it.
pub(crate) struct Placed {
    pub(crate) c: char,
    pub(crate) at: Range<usize>,
    before: Option<char>,
    after: Option<char>,
    /// Part of the flag of a region: a black flag and a few tags.
    in_flag: bool,
}

/// `gbsct` and the end: flags of regions have no more tags.
const LONGEST_FLAG: usize = 7;

/// The characters of `text` with their neighbours.
pub(crate) fn placed(text: &str) -> impl Iterator<Item = Placed> {
    let mut chars = text.char_indices().peekable();
    let mut before = None;
    let mut flag = 0;
    std::iter::from_fn(move || {
        let (start, c) = chars.next()?;
        let after = chars.peek().map(|(_, next)| *next);
        flag = match c {
            '\u{1F3F4}' => LONGEST_FLAG,
            '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}' | '\u{E007F}' if flag > 0 => {
                flag - 1
            }
            _ => 0,
        };
        let placed =
            Placed { c, at: start..start + c.len_utf8(), before, after, in_flag: flag > 0 };
        before = Some(c);
        Some(placed)
    })
}

impl Placed {
    /// Whether a hidden character belongs where it stands: joiners in emoji, in Persian and in the scripts of India,
    /// marks of direction beside letters that are written from the right, variants of signs and ideographs.
    pub(crate) fn is_at_home(&self) -> bool {
        let beside =
            |test: fn(char) -> bool| self.before.is_some_and(test) || self.after.is_some_and(test);
        match self.c {
            '\u{200C}' | '\u{200D}' => self.before.is_some_and(|c| is_joining(c) || is_pictured(c)),
            '\u{200E}' | '\u{200F}' | '\u{61C}' => beside(is_from_the_right),
            '\u{2066}'..='\u{2069}' | '\u{202A}'..='\u{202C}' => beside(is_from_the_right),
            '\u{FE0E}' | '\u{FE0F}' => {
                self.before.is_some_and(|c| is_pictured(c) || matches!(c, '0'..='9' | '#' | '*'))
            }
            '\u{FE00}'..='\u{FE0D}' | '\u{E0100}'..='\u{E01EF}' => self.before.is_some_and(|c| {
                matches!(c, '\u{2200}'..='\u{22FF}' | '\u{3400}'..='\u{9FFF}'
                    | '\u{20000}'..='\u{323AF}' | '\u{1000}'..='\u{109F}' | '\u{1820}'..='\u{18AA}')
            }),
            '\u{180B}'..='\u{180F}' => {
                self.before.is_some_and(|c| matches!(c, '\u{1820}'..='\u{18AA}'))
            }
            '\u{FEFF}' => self.before.is_none(),
            // Between the letters of Khmer, Thai and Chinese it shows where a line may be broken.
            '\u{200B}' => {
                self.before.is_some_and(is_unspaced) && self.after.is_some_and(is_unspaced)
            }
            '\u{E0020}'..='\u{E007F}' => self.in_flag,
            _ => false,
        }
    }
}

fn is_joining(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{6FF}' | '\u{750}'..='\u{77F}' | '\u{900}'..='\u{DFF}' | '\u{1780}'..='\u{17FF}'
        | '\u{1000}'..='\u{109F}' | '\u{1820}'..='\u{18AA}')
}

fn is_pictured(c: char) -> bool {
    matches!(c, '\u{A9}' | '\u{AE}' | '\u{203C}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2BFF}'
        | '\u{3030}' | '\u{303D}' | '\u{3297}' | '\u{3299}' | '\u{FE0F}' | '\u{1F000}'..='\u{1FAFF}')
}

fn is_from_the_right(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{9FFF}')
}

/// Without hidden characters. Those at home stay, unless they are one in three of all.
pub(crate) fn stripped(text: &str) -> Option<Mapped> {
    let (mut all, mut homely) = (0, 0);
    for placed in placed(text) {
        all += 1;
        homely += usize::from(is_hidden(placed.c) && placed.is_at_home());
    }
    let keep = homely * 3 < all;
    let mut out = Mapped::like(text);
    for placed in placed(text) {
        if is_hidden(placed.c) && !(keep && placed.is_at_home()) {
            out.skip();
        } else {
            out.copy(text, placed.at);
        }
    }
    Some(out)
}

/// What the tag characters spell, alone.
pub(crate) fn tags(text: &str) -> Option<Mapped> {
    let mut out = Mapped::default();
    for placed in placed(text).filter(|placed| !placed.is_at_home()) {
        let plain = u32::from(placed.c).checked_sub(0xE0000).and_then(char::from_u32);
        if let Some(plain) = plain.filter(|plain| matches!(plain, ' '..='~')) {
            out.put_char(plain, placed.at);
        }
    }
    Some(out)
}

/// The bytes that variation selectors carry, as text.
pub(crate) fn selectors(text: &str) -> Option<Mapped> {
    let carried = text.char_indices().filter_map(|(at, c)| {
        let byte = match u32::from(c) {
            code @ 0xFE00..=0xFE0F => code - 0xFE00,
            code @ 0xE0100..=0xE01EF => code - 0xE0100 + 16,
            _ => return None,
        };
        Some((u8::try_from(byte).ok()?, at..at + c.len_utf8()))
    });
    spelled(carried)
}

/// The bits that two characters without width carry, eight to a byte, as text.
pub(crate) fn bits(text: &str) -> Option<Mapped> {
    const PAIRS: [(char, char); 3] =
        [('\u{2062}', '\u{2064}'), ('\u{200B}', '\u{200C}'), ('\u{200C}', '\u{200D}')];
    PAIRS.into_iter().find_map(|pair| bits_of(text, pair))
}

fn bits_of(text: &str, (zero, one): (char, char)) -> Option<Mapped> {
    let bits: Vec<(u8, usize)> = text
        .char_indices()
        .filter(|(_, c)| *c == zero || *c == one)
        .map(|(at, c)| (u8::from(c == one), at))
        .collect();
    spelled(bits.chunks_exact(8).filter_map(|byte| {
        let value = byte.iter().fold(0, |value, (bit, _)| value << 1 | bit);
        let ((_, first), (_, last)) = (byte.first()?, byte.last()?);
        Some((value, *first..last + zero.len_utf8()))
    }))
}

/// Bytes as text, if they are any and are more than a few.
fn spelled(bytes: impl Iterator<Item = (u8, Range<usize>)>) -> Option<Mapped> {
    let (bytes, places): (Vec<u8>, Vec<Range<usize>>) = bytes.unzip();
    let text = String::from_utf8(bytes).ok()?;
    if text.len() < 4 || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let mut out = Mapped::default();
    for (at, c) in text.char_indices() {
        let (first, last) = (places.get(at)?, places.get(at + c.len_utf8() - 1)?);
        out.put_char(c, first.start..last.end);
    }
    Some(out)
}

/// With every backspace and delete carried out.
pub(crate) fn deletions(text: &str) -> Option<Mapped> {
    let mut kept: Vec<(usize, char)> = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '\u{8}' | '\u{7F}' => drop(kept.pop()),
            c => kept.push((at, c)),
        }
    }
    let mut out = Mapped::like(text);
    kept.into_iter().for_each(|(at, c)| out.copy(text, at..at + c.len_utf8()));
    out.skip();
    Some(out)
}
