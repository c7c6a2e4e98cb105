//! Common words, found also where their letters are shifted through the alphabet, mirrored in it, or read backwards.
//!
//! What is looked up is the differences between neighbouring letters: they are the same however far the letters are
//! shifted, so one lookup answers for all 26 shifts, and the first letter says which it is.

use std::sync::LazyLock;

/// How a word would have to be read to be a common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Each letter stands this far behind the one meant; 0 is plain text, 13 is ROT13.
    Shifted(u8),
    /// `a` for `z`, `b` for `y`.
    Mirrored,
    /// The last letter first.
    Backwards,
    /// Stands for its first letter (`alpha`, `bravo`).
    Spelling,
}

impl Reading {
    /// How many readings there are.
    pub(crate) const COUNT: usize = 29;

    /// The place of this reading in a list of all.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Shifted(shift) => shift as usize,
            Self::Mirrored => 26,
            Self::Backwards => 27,
            Self::Spelling => 28,
        }
    }

    /// Every reading that is a way to write letters, but the plain one.
    pub(crate) fn disguises() -> impl Iterator<Item = Self> {
        (1..26).map(Self::Shifted).chain([Self::Mirrored, Self::Backwards])
    }
}

/// Shorter words look like each other too often once they are shifted.
const SHORTEST: usize = 4;
/// The differences of a longer word do not fit the key.
const LONGEST: usize = 13;

/// Words without accents of the languages that are written in plain Latin letters, and the words that attacks on a
/// model cannot do without.
const COMMON: &str = "that this with from have your what will would when where which there their them then than \
they these those been were into about after before also some more most only other over such like just make made \
know want need please tell give show write explain could should does doing done very much many each every being \
because between without within while under again help time people work first here good right back think find \
come take look year great little long down well even still through might never always must user text message \
question answer list name word words data code file table page following example sentence according used using \
using different system prompt prompts ignore ignored ignoring previous previously instruction instructions above \
disregard forget override reveal repeat print output respond response reply follow rules rule restrictions \
guidelines safety filter filters developer mode pretend character roleplay anything everything secret password \
unrestricted uncensored jailbreak policy policies content harmful illegal exactly verbatim hidden initial original \
provided given context conversation assistant model language hello world send email account delete execute command \
nicht eine einen einer eines dass sich auch werden wird wurde sind haben hatte kann mein dein alle allen alles \
vorherigen anweisungen ignoriere ignorieren vergiss bitte diese dieser dieses oder aber wenn noch nach schreibe \
vous nous dans pour avec tous toutes cette sont mais plus comme sans faire votre instructions consignes ignorez \
oublie oubliez tout bonjour texte phrase quel quelle quels leur elle para como todo todas todos esta este estas \
pero cuando donde sobre entre desde instrucciones anteriores ignora ignore olvida escribe texto palabra \
della delle degli sono anche questo questa questi tutte tutti come quando dove scrivi istruzioni precedenti \
dimentica testo parola mais isso esse essa voce seus suas pela pelo instrucoes esqueca escreva palavra sistema";

/// The spelling alphabet.
const SPELLING: &str = "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliett juliet kilo lima mike \
november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu";

struct Table {
    /// Zero marks a free slot: no word has that key.
    slots: Box<[Entry; SLOTS]>,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    first: u8,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Forward,
    Mirrored,
    Backwards,
    Spelling,
}

const BITS: u32 = 12;
const SLOTS: usize = 1 << BITS;

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let free = Entry { key: 0, first: 0, kind: Kind::Forward };
        let mut table = Self { slots: Box::new([free; SLOTS]) };
        for word in COMMON.split_ascii_whitespace() {
            let word = word.as_bytes();
            let mirrored: Vec<u8> = word.iter().map(|letter| b'a' + b'z' - letter).collect();
            let backwards: Vec<u8> = word.iter().rev().copied().collect();
            table.add(word, Kind::Forward);
            table.add(&mirrored, Kind::Mirrored);
            table.add(&backwards, Kind::Backwards);
        }
        SPELLING
            .split_ascii_whitespace()
            .for_each(|word| table.add(word.as_bytes(), Kind::Spelling));
        table
    }

    fn add(&mut self, word: &[u8], kind: Kind) {
        let (key, first) = (key(word), word.first().copied().unwrap_or_default());
        let known = |entry: &Entry| (entry.key, entry.first, entry.kind) == (key, first, kind);
        if self.entries(key).any(|entry| known(&entry)) {
            return;
        }
        let start = slot(key);
        let (before, after) = self.slots.split_at_mut(start);
        if let Some(free) = after.iter_mut().chain(before).find(|entry| entry.key == 0) {
            *free = Entry { key, first, kind };
        }
    }

    #[inline]
    fn entries(&self, key: u64) -> impl Iterator<Item = Entry> + use<'_> {
        let mut at = slot(key);
        std::iter::from_fn(move || {
            let entry = self.slots.get(at % SLOTS).copied().filter(|entry| entry.key != 0)?;
            at += 1;
            Some(entry)
        })
        .filter(move |entry| entry.key == key)
    }
}

#[inline]
const fn slot(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as usize
}

/// The differences between the letters of `word`, five bits each.
#[inline]
fn key(word: &[u8]) -> u64 {
    let mut letters = word.iter().map(|letter| letter | 0x20);
    let mut last = letters.next().unwrap_or_default();
    letters.fold(0, |key, letter| {
        let step = letter.wrapping_sub(last);
        let step = if letter < last { step.wrapping_add(26) } else { step };
        last = letter;
        key << 5 | u64::from(step + 1)
    })
}

/// Whether `word` is long enough to be looked up.
#[inline]
pub(crate) const fn is_telling(word: &[u8]) -> bool {
    word.len() >= SHORTEST && word.len() <= LONGEST
}

/// In which ways `word`, ASCII letters, is a common one.
#[inline]
pub(crate) fn readings(word: &[u8]) -> impl Iterator<Item = Reading> + use<> {
    let first = word.first().map_or(0, |letter| letter | 0x20);
    let found = is_telling(word).then(|| TABLE.entries(key(word)));
    found.into_iter().flatten().filter_map(move |entry| {
        let reading = match entry.kind {
            Kind::Forward => return Some(Reading::Shifted((26 + first - entry.first) % 26)),
            Kind::Mirrored => Reading::Mirrored,
            Kind::Backwards => Reading::Backwards,
            Kind::Spelling => Reading::Spelling,
        };
        (entry.first == first).then_some(reading)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(word: &str) -> Vec<Reading> {
        super::readings(word.as_bytes()).collect()
    }

    #[test]
    fn a_common_word_is_known_in_every_disguise() {
        assert_eq!(readings("previous"), [Reading::Shifted(0)]);
        assert_eq!(readings("cerivbhf"), [Reading::Shifted(13)]);
        assert_eq!(readings("kiverlfh"), [Reading::Mirrored]);
        assert_eq!(readings("suoiverp"), [Reading::Backwards]);
        assert_eq!(readings("foxtrot"), [Reading::Spelling]);
        assert_eq!(readings("zzzz"), [] as [Reading; 0]);
    }
}
