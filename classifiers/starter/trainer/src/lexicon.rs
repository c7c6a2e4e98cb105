//! The lexicon: concepts and their words in eight languages, made into the table the product reads.

use classifiers_starter::training::{
    CONCEPTS, MAX_PROBES, SLOT, fold_words, phrase_end_hash, slot_hash,
};

use crate::error::Error;

const FILES: [(&str, &str); 2] = [
    ("attacks.txt", include_str!("../lexicon/attacks.txt")),
    ("hazards.txt", include_str!("../lexicon/hazards.txt")),
];
/// Slots of the table, as a power of two: at most about half of them are used.
const SLOT_BITS: u32 = 14;

/// Builds the concept table.
///
/// A line is `language: words`, under a heading `[concept]`. A word ending in `*` stands for all words that
/// begin with it; the words of a phrase are joined by `_`.
pub(crate) fn table() -> Result<Vec<[u8; SLOT]>, Error> {
    let mut slots = vec![[0u8; SLOT]; 1 << SLOT_BITS];
    for (file, text) in FILES {
        let mut concept = None;
        for line in text.lines().map(str::trim) {
            let bad = || Error::Source { file, line: line.to_owned() };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                let id = CONCEPTS.iter().position(|&c| c == name).ok_or_else(bad)?;
                concept = Some(u8::try_from(id).map_err(|_| bad())?);
                continue;
            }
            let (language, words) = line.split_once(':').ok_or_else(bad)?;
            let id = concept.ok_or_else(bad)?;
            for entry in words.split_whitespace() {
                insert(&mut slots, entry, id, language == "th").ok_or_else(bad)?;
            }
        }
    }
    Ok(slots)
}

/// Puts one entry into the table; the first concept that claims a word keeps it.
fn insert(slots: &mut [[u8; SLOT]], entry: &str, id: u8, unspaced: bool) -> Option<()> {
    let prefix = unspaced || entry.ends_with('*');
    let words = fold_words(&entry.trim_end_matches('*').replace('_', " "));
    if words.is_empty() || words.len() > 3 {
        return None;
    }
    if let [_, .., last] = words.as_slice() {
        place(slots, phrase_end_hash(last), id, false)?;
    }
    place(slots, slot_hash(&words), id, prefix)
}

fn place(slots: &mut [[u8; SLOT]], hash: u32, id: u8, prefix: bool) -> Option<()> {
    let mask = slots.len() - 1;
    for probe in 0..MAX_PROBES {
        let place = (hash.wrapping_add(probe << 1) >> 1) as usize & mask;
        let slot = slots.get_mut(place)?;
        let [a, b, c, d, ..] = *slot;
        let found = u32::from_le_bytes([a, b, c, d]);
        if found == hash {
            return Some(());
        }
        if found == 0 {
            let [a, b, c, d] = hash.to_le_bytes();
            *slot = [a, b, c, d, id, u8::from(!prefix), 0, 0];
            return Some(());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_usable_and_the_table_is_not_crowded() {
        let used = table().unwrap().iter().filter(|slot| slot[0..4] != [0; 4]).count();
        assert!((1000..(1usize << SLOT_BITS) * 6 / 10).contains(&used), "{used}");
    }
}
