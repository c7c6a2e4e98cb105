//! Concepts: words and phrases of eight languages that mean the same to the model.
//!
//! A concept turns `ignora`, `ignoriere` and `अनदेखा` into one feature, so that what is learned in one
//! language holds in the others. The words live in the trainer's lexicon; the weights carry a hash table.

use crate::fold::Script;
use crate::hash::{self, Kind};

/// Names of all concepts; the index is the concept's number. The first [`ATTACK`] are about attacks.
pub const CONCEPTS: [&str; 60] = [
    "you",
    "ai",
    "ignore",
    "prior",
    "instructions",
    "rules",
    "system",
    "prompt",
    "reveal",
    "pretend",
    "unrestricted",
    "henceforth",
    "refuse",
    "secret",
    "tool",
    "send",
    "link",
    "answer",
    "user",
    "mode",
    "fiction",
    "only",
    "encode",
    "obey",
    "before",
    "task",
    "urgent",
    "run",
    "say",
    "explain",
    "howto",
    "polite",
    "kill",
    "weapon",
    "terror",
    "crime",
    "drugs",
    "hack",
    "rape",
    "child",
    "sex",
    "defame",
    "medical",
    "legal",
    "finance",
    "personal",
    "stalk",
    "copyright",
    "pirate",
    "cbrn",
    "bomb",
    "slur",
    "group",
    "insult",
    "suicide",
    "eating",
    "election",
    "fake",
    "steal",
    "traffic",
];

/// How many concepts, from the start of [`CONCEPTS`], are about prompt attacks.
pub(crate) const ATTACK: u32 = 32;
/// The concept that addresses the reader.
pub(crate) const YOU: u8 = 0;

/// Bytes of one slot in the table: hash, concept, whole-word flag, two of padding.
pub const SLOT: usize = 8;
/// Longest stem in symbols.
pub(crate) const MAX_STEM: usize = 24;
/// Slots searched after the first; the trainer builds tables that keep to it.
pub const MAX_PROBES: u32 = 16;

/// The concepts of one word: at most three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) ids: [u8; 3],
    pub(crate) len: u8,
}

impl Found {
    fn add(&mut self, id: u8) {
        if self.as_slice().contains(&id) {
            return;
        }
        if let Some(place) = self.ids.get_mut(usize::from(self.len)) {
            *place = id;
            self.len += 1;
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.ids.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The table of stems, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    slots: &'a [[u8; SLOT]],
}

/// What a stem may be followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Prefix,
    Whole,
}

impl<'a> Table<'a> {
    /// The table in `bytes`; its length must be a power of two of slots.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { slots: bytes.as_chunks().0 }
    }

    #[inline]
    fn get(&self, hash: u32) -> Option<(u8, Extent)> {
        let mask = (self.slots.len() as u32).wrapping_sub(1);
        let hash = hash::finish(hash) | 1;
        for probe in 0..MAX_PROBES {
            let slot = self.slots.get((hash.wrapping_add(probe << 1) >> 1 & mask) as usize)?;
            let [a, b, c, d, id, whole, ..] = *slot;
            match u32::from_le_bytes([a, b, c, d]) {
                0 => return None,
                found if found == hash => {
                    return Some((id, if whole == 1 { Extent::Whole } else { Extent::Prefix }));
                }
                _ => {}
            }
        }
        None
    }

    /// The concept of a phrase, from the hash made by [`phrase`].
    #[inline]
    pub(crate) fn phrase(&self, hash: u32) -> Option<u8> {
        self.get(hash).map(|(id, _)| id)
    }

    /// Whether any phrase ends with the word of this hash.
    pub(crate) fn ends_phrase(&self, word: u32) -> bool {
        self.get(phrase_end(word)).is_some()
    }

    /// The concepts of one word.
    pub(crate) fn word(&self, symbols: &[u16], script: Script) -> Found {
        let mut found = Found::default();
        match script {
            Script::Thai | Script::Ideographic => {
                for start in 0..symbols.len() {
                    self.stems(symbols.get(start..).unwrap_or_default(), 2, &mut found);
                }
            }
            Script::Spaced | Script::Devanagari => {
                self.stems(symbols, 1, &mut found);
                // Compounds: `Sicherheitsrichtlinien`, `Systemprompt`.
                for start in 4..symbols.len().saturating_sub(5) {
                    self.stems(symbols.get(start..).unwrap_or_default(), 6, &mut found);
                }
            }
        }
        found
    }

    /// Adds the concept of the longest stem, of at least `least` symbols, that `symbols` starts with.
    fn stems(&self, symbols: &[u16], least: usize, found: &mut Found) {
        let mut hash = hash::start(Kind::Word);
        let mut best = None;
        for (index, &symbol) in symbols.iter().take(MAX_STEM).enumerate() {
            hash = hash::step(hash, u32::from(symbol));
            if index + 1 < least {
                continue;
            }
            match self.get(hash) {
                Some((id, Extent::Prefix)) => best = Some(id),
                Some((id, Extent::Whole)) if index + 1 == symbols.len() => best = Some(id),
                _ => {}
            }
        }
        if let Some(id) = best {
            found.add(id);
        }
    }
}

/// Hash of a phrase: of its first words, and one more.
#[inline]
pub(crate) const fn phrase(before: u32, word: u32) -> u32 {
    hash::two(Kind::Bigram, before, word)
}

/// Hash under which it is noted that a phrase ends with a word.
const fn phrase_end(word: u32) -> u32 {
    hash::two(Kind::Head, word, 0)
}

/// The slot hash that notes that a phrase ends with `word`.
#[must_use]
pub fn phrase_end_hash(word: &[u16]) -> u32 {
    hash::finish(phrase_end(hash::word(word))) | 1
}

/// The slot hash under which a stem or phrase is stored; the trainer's half of [`Table`].
///
/// `words` are folded words of one stem (one word) or phrase (two or three).
#[must_use]
pub fn slot_hash(words: &[Vec<u16>]) -> u32 {
    let mut hashes = words.iter().map(|w| hash::word(w));
    let first = hashes.next().unwrap_or_default();
    hash::finish(hashes.fold(first, phrase)) | 1
}

/// Folds the words of a lexicon line the way texts are folded.
#[must_use]
pub fn fold_words(line: &str) -> Vec<Vec<u16>> {
    struct Words(Vec<Vec<u16>>);
    impl crate::scan::Tokens for Words {
        fn word(&mut self, symbols: &[u16], _: Script) {
            self.0.push(symbols.to_vec());
        }
        fn marks(&mut self, _: &[u16]) {}
        fn segment(&mut self, _: usize, _: u32, _: crate::scan::Surface) {}
    }
    let mut words = Words(Vec::new());
    crate::scan::scan(line, &mut words);
    words.0
}
