//! The trigram table: how surprising a letter is after the two before it.

#![expect(clippy::indexing_slicing, reason = "places are masked to the size of the table")]

use classifiers_starter::training::{letters, ln};

use crate::data::{Attack, Row};

const BITS: u32 = 14;

/// Counts letters in the benign texts of `rows`; entries are in sixteenths of a bit.
pub(crate) fn table<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<u8> {
    let mask = (1usize << BITS) - 1;
    let mut trigrams = vec![0u32; 1 << BITS];
    let mut contexts = vec![0u32; 1 << BITS];
    // Which context a trigram has: with collisions the commonest of them is near enough.
    let mut context_of = vec![0usize; 1 << BITS];
    for row in rows.filter(|row| row.attack == Some(Attack::Benign)) {
        letters(&row.text, |trigram, context| {
            let (trigram, context) = (trigram as usize & mask, context as usize & mask);
            trigrams[trigram] += 1;
            contexts[context] += 1;
            context_of[trigram] = context;
        });
    }
    let pairs = trigrams.iter().zip(&context_of);
    pairs.map(|(&count, &context)| surprise(count, contexts[context])).collect()
}

/// Surprise of what was seen `count` times in `total`, smoothed as if every letter had been seen a little.
fn surprise(count: u32, total: u32) -> u8 {
    let probability = (count as f32 + 0.05) / (total as f32 + 2.0);
    let bits = -ln(probability) / std::f32::consts::LN_2;
    (bits * 16.0).clamp(0.0, 255.0) as u8
}
