//! Letters in disguise: decorated, drawn like others, buried under accents, upside down.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};

use crate::hidden::{is_hidden, placed};
use crate::look_alikes::{Alphabet, FLIPPED, FLIPPED_ASCII, look_alike, undecorated};
use crate::mapped::Mapped;
use crate::signs::Signs;

/// Fewer decorated letters than this are mathematics or a trade mark.
const DECORATED: u32 = 4;
/// Fewer letters upside down than this are phonetic script.
const UPSIDE_DOWN: u32 = 4;
/// Fewer accents that no language writes are a slip.
const STRAY_ACCENTS: u32 = 3;
/// Fewer stretched Arabic letters are calligraphy.
const STRETCHED: u32 = 3;

/// Adds the signs of the characters beyond ASCII.
pub(crate) fn signs(text: &str, signs: &mut Signs) {
    let (mut flipped, mut hidden, mut odd) = (0, false, false);
    for c in text.chars().filter(|c| !c.is_ascii()) {
        match c {
            // By far the most frequent: letters of texts in earnest, and nothing else.
            '\u{400}'..='\u{482}' | '\u{48A}'..='\u{4FF}' | '\u{386}'..='\u{3CE}' => odd = true,
            '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' => {}
            '\u{202D}' | '\u{202E}' => {
                signs.add(Signs::BIDI);
                hidden = true;
            }
            '\u{2800}'..='\u{28FF}' => signs.add(Signs::SPELLED),
            c if is_hidden(c) => hidden = true,
            c => {
                odd |= is_odd(c);
                flipped += u32::from(FLIPPED.iter().any(|(other, _)| *other == c));
            }
        }
    }
    if flipped >= UPSIDE_DOWN {
        signs.add(Signs::FLIPPED);
    }
    if hidden
        && (is_crowded(text)
            || placed(text).any(|placed| is_hidden(placed.c) && !placed.is_at_home()))
    {
        signs.add(Signs::HIDDEN);
    }
    if odd && Disguise::of(text).is_worn() {
        signs.add(Signs::LETTERS);
    }
}

/// Whether even characters at home are too many: one in three.
fn is_crowded(text: &str) -> bool {
    let (hidden, all) =
        text.chars().fold((0, 0), |(hidden, all), c| (hidden + usize::from(is_hidden(c)), all + 1));
    hidden * 3 >= all
}

/// Whether `c` could be a letter in disguise.
fn is_odd(c: char) -> bool {
    Alphabet::of(c).is_some()
        || is_accent(c)
        || is_stretch(c)
        || is_form(c)
        || is_decorated(c)
        || is_accented(c)
}

fn is_decorated(c: char) -> bool {
    matches!(u32::from(c),
        0x2B0..=0x2E4 | 0x1D2C..=0x1DBF | 0x2070..=0x209C | 0x2100..=0x214F | 0x2170..=0x217F
        | 0x2460..=0x24FF | 0x2C7C..=0x2C7D | 0xA7F2..=0xA7F9 | 0xFF01..=0xFF5E
        | 0x1D400..=0x1D7FF | 0x1F130..=0x1F189)
}

fn is_accent(c: char) -> bool {
    matches!(u32::from(c),
        0x300..=0x36F | 0x483..=0x489 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
}

/// The plain letter under the accents of `c`, if it is one letter of ASCII.
fn base(c: char) -> Option<char> {
    if !matches!(u32::from(c), 0xC0..=0x24F | 0x1E00..=0x1EFF) {
        return None;
    }
    let mut first = None;
    decompose_canonical(c, |part| first = first.or(Some(part)));
    first.filter(|first| *first != c && first.is_ascii_alphabetic())
}

fn is_accented(c: char) -> bool {
    base(c).is_some()
}

const fn is_stretch(c: char) -> bool {
    c == '\u{640}'
}

/// Arabic letters in the form they have at one place of a word; ligatures of whole phrases are none.
const fn is_form(c: char) -> bool {
    matches!(c, '\u{FB50}'..='\u{FDCF}' | '\u{FE70}'..='\u{FEFC}')
}

/// Which disguises a text wears.
struct Disguise {
    decorated: bool,
    accents: bool,
    accented: bool,
    arabic: bool,
    /// The set of alphabets of which the text has only letters that look like Latin ones: nobody writes so in earnest.
    pretended: u8,
    mixed: bool,
}

/// What is counted to tell.
#[derive(Default)]
struct Counts {
    decorated: u32,
    stray: u32,
    accented: u32,
    latin: u32,
    stretched: u32,
    forms: u32,
    /// Alphabets seen, seen more than once, and seen with a letter that looks like no Latin one.
    seen: u8,
    often: u8,
    genuine: u8,
    mixed: bool,
}

impl Disguise {
    fn of(text: &str) -> Self {
        let mut counts = Counts::default();
        let mut word = Word::default();
        let mut before = None;
        for c in text.chars() {
            match c {
                'a'..='z' | 'A'..='Z' => {
                    counts.latin += 1;
                    word.add(Some(Alphabet::Latin), true);
                }
                '0'..='9' => {}
                '\0'..='\u{7F}' => counts.mixed |= std::mem::take(&mut word).is_mixed(),
                c => counts.wide(before, c, &mut word),
            }
            before = Some(c);
        }
        counts.mixed |= word.is_mixed();
        Self {
            decorated: counts.decorated >= DECORATED,
            accents: counts.stray >= STRAY_ACCENTS,
            // No language puts accents on so many letters.
            accented: counts.accented >= 6 && counts.accented >= counts.latin,
            arabic: counts.forms > 0 || counts.stretched >= STRETCHED,
            // One letter is a variable of mathematics.
            pretended: counts.seen & counts.often & !counts.genuine,
            mixed: counts.mixed,
        }
    }

    const fn is_worn(&self) -> bool {
        let Self { decorated, accents, accented, arabic, pretended, mixed } = self;
        *decorated || *accents || *accented || *arabic || *mixed || *pretended != 0
    }
}

impl Counts {
    fn wide(&mut self, before: Option<char>, c: char, word: &mut Word) {
        if let Some(alphabet) = Alphabet::of(c) {
            if !c.is_alphabetic() {
                return;
            }
            let bit = alphabet.bit();
            // Once a letter was genuine, only words that are mixed are of interest.
            let looks = look_alike(c).is_some();
            self.often |= self.seen & bit;
            self.seen |= bit;
            self.genuine |= if looks || alphabet == Alphabet::Odd { 0 } else { bit };
            return word.add(Some(alphabet), looks);
        }
        if is_accent(c) {
            self.stray += u32::from(is_stray(before, c));
            return;
        }
        if c.is_alphanumeric() {
            word.add(None, false);
        } else {
            self.mixed |= std::mem::take(word).is_mixed();
        }
        if is_decorated(c) {
            self.decorated += u32::from(undecorated(c).is_some_and(|c| c.is_ascii_alphabetic()));
        }
        self.accented += u32::from(is_accented(c));
        self.stretched += u32::from(is_stretch(c));
        self.forms += u32::from(is_form(c));
    }
}

/// A word while its letters are looked at.
#[derive(Default)]
struct Word {
    alphabets: u8,
    letters: u32,
    /// Letters that look like no Latin one.
    others: u32,
}

impl Word {
    fn add(&mut self, alphabet: Option<Alphabet>, looks: bool) {
        self.alphabets |= alphabet.map_or(0, Alphabet::bit);
        self.letters += 1;
        self.others += u32::from(!looks);
    }

    /// Whether the word has letters of two alphabets, all of which look like Latin ones.
    const fn is_mixed(&self) -> bool {
        let several = self.alphabets.count_ones() > 1 || self.alphabets & Alphabet::Odd.bit() != 0;
        several && self.letters > 1 && self.others == 0
    }

    fn of(word: &str) -> Self {
        let mut letters = Self::default();
        for c in word.chars().filter(|c| c.is_alphabetic()) {
            let alphabet = Alphabet::of(c);
            let looks =
                alphabet == Some(Alphabet::Latin) || alphabet.is_some() && look_alike(c).is_some();
            letters.add(alphabet, looks);
        }
        letters
    }
}

/// Whether `accent` is one that does not belong on the character before it.
fn is_stray(before: Option<char>, accent: char) -> bool {
    is_accent(accent)
        && before.is_none_or(|before| {
            is_accent(before) && canonical_combining_class(before) != 0
                || before.is_ascii() && compose(before, accent).is_none()
        })
}

/// `text` in plain letters.
pub(crate) fn plain(text: &str) -> Option<Mapped> {
    let disguise = Disguise::of(text);
    let mut out = Mapped::like(text);
    let mut start = 0;
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric() && !is_accent(c)) {
        let letters = word.trim_end_matches(|c: char| !c.is_alphanumeric() && !is_accent(c));
        let mixed = disguise.mixed && Word::of(letters).is_mixed();
        for (at, c) in word.char_indices() {
            plain_char(text, (start + at, c), mixed, &disguise, &mut out);
        }
        start += word.len();
    }
    Some(out)
}

fn plain_char(
    text: &str,
    (at, c): (usize, char),
    mixed: bool,
    disguise: &Disguise,
    out: &mut Mapped,
) {
    let place = at..at + c.len_utf8();
    if c.is_ascii() {
        return out.copy(text, place);
    }
    let looks = || {
        let alphabet = Alphabet::of(c)?;
        (mixed || disguise.pretended & alphabet.bit() != 0).then(|| look_alike(c)).flatten()
    };
    let plain = looks()
        .or_else(|| undecorated(c).filter(|_| disguise.decorated && is_decorated(c)))
        .or_else(|| base(c).filter(|_| disguise.accented));
    match plain {
        Some(plain) => out.put_char(plain, place),
        None if disguise.accents && is_accent(c) => out.skip(),
        None if disguise.arabic && is_stretch(c) => out.skip(),
        None if disguise.arabic && is_form(c) => {
            let plain: String = std::iter::once(c).nfkc().collect();
            out.put(&plain, place);
        }
        None => out.copy(text, place),
    }
}

/// `text` turned the right way up.
pub(crate) fn unflipped(text: &str) -> Option<Mapped> {
    let mut out = Mapped::like(text);
    for (at, c) in text.char_indices().rev() {
        let place = at..at + c.len_utf8();
        match FLIPPED.iter().chain(&FLIPPED_ASCII).find(|(other, _)| *other == c) {
            Some((_, plain)) => out.put_char(*plain, place),
            None => out.copy(text, place),
        }
    }
    Some(out)
}
