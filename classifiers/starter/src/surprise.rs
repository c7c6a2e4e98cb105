//! How surprising the letters of a word are: optimised suffixes and ciphers are not spelled like words.

use crate::hash::{self, Kind};

/// A table of hashed trigrams with the surprise of the third letter, in sixteenths of a bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surprise<'a> {
    table: &'a [u8],
}

impl<'a> Surprise<'a> {
    /// The table in `bytes`, whose length must be a power of two.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { table: bytes }
    }

    /// The sum over the letters of a word, and how many letters it covers.
    pub(crate) fn word(&self, symbols: &[u16]) -> (u16, u8) {
        let mut sum = 0u16;
        let mut letters = 0u8;
        trigrams(symbols, |hash, _| {
            let mask = self.table.len().wrapping_sub(1);
            let place = self.table.get(hash as usize & mask);
            sum = sum.saturating_add(place.map_or(0, |&s| u16::from(s)));
            letters = letters.saturating_add(1);
        });
        (sum, letters)
    }
}

/// Calls `each` with the hash of every trigram of a word and its edges, and that of its first two letters.
pub(crate) fn trigrams(symbols: &[u16], mut each: impl FnMut(u32, u32)) {
    let (mut first, mut second) = (1u32, 1u32);
    for &symbol in symbols {
        let third = u32::from(symbol);
        let context = hash::two(Kind::Gram, first, second);
        each(hash::finish(hash::step(context, third)), hash::finish(context));
        (first, second) = (second, third);
    }
}
