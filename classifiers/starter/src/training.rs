//! What the trainer needs: the same features the product looks up, recorded instead.

use crate::concepts::Table;
use crate::dense::dense;
use crate::features::{self, Sink, Word, WordFacts};
use crate::fold::Script;
use crate::scan::{self, Tokens};
use crate::surprise::{self, Surprise};

pub use crate::calibrate::reference_scale;
pub use crate::concepts::{CONCEPTS, MAX_PROBES, SLOT, fold_words, phrase_end_hash, slot_hash};
pub use crate::dense::{BINS, Dense, MEASURES};
pub use crate::math::{exp, ln, sigmoid};
pub use crate::score::to_categories;
pub use crate::weights::{
    ATTACK_COLUMN, CATEGORIES, COLUMNS, HAZARD_COLUMN, HAZARDS, KIND_COLUMN, Knots, Parts, Pool,
    SMOOTHING, TOOL_COLUMN,
};

/// The features of one text.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Row hashes with their values, in order.
    pub features: Vec<(u32, u8)>,
    /// End of each segment in `features`, and whether a block ends with it.
    pub segments: Vec<(u32, bool)>,
    /// Bins of the dense features.
    pub dense: Dense,
}

/// Records the features of `text` under a concept table and a surprise table.
#[must_use]
pub fn record(text: &str, concepts: &[u8], surprise: &[u8]) -> Recording {
    let table = Table::new(concepts);
    let mut recorder =
        Recorder { out: Recording::default(), table, surprise: Surprise::new(surprise) };
    let statistics = features::extract(text, table, &mut recorder);
    recorder.out.dense = dense(&statistics);
    recorder.out
}

/// Bins of the dense features alone, as [`record`] gives them.
#[must_use]
pub fn shape(text: &str, concepts: &[u8], surprise: &[u8]) -> Dense {
    struct Shape<'a>(Table<'a>, Surprise<'a>);
    impl Sink for Shape<'_> {
        fn word(&mut self, word: Word<'_>) -> WordFacts {
            features::word_facts(word, self.0, self.1)
        }
        fn row(&mut self, _: u32, _: i32) {}
        fn segment(&mut self, _: usize, _: bool) {}
    }
    let table = Table::new(concepts);
    dense(&features::extract(text, table, &mut Shape(table, Surprise::new(surprise))))
}

struct Recorder<'a> {
    out: Recording,
    table: Table<'a>,
    surprise: Surprise<'a>,
}

impl Sink for Recorder<'_> {
    fn word(&mut self, word: Word<'_>) -> WordFacts {
        features::word_rows(word, |hash, value| self.out.features.push((hash, value as u8)));
        features::word_facts(word, self.table, self.surprise)
    }

    fn row(&mut self, hash: u32, value: i32) {
        self.out.features.push((hash, value as u8));
    }

    fn segment(&mut self, _: usize, closes_block: bool) {
        self.out.segments.push((self.out.features.len() as u32, closes_block));
    }
}

/// Calls `each` with the trigram hash of every letter of `text`, for counting surprise.
///
/// The second hash is that of the two letters before it.
pub fn letters(text: &str, each: impl FnMut(u32, u32)) {
    struct Letters<F>(F);
    impl<F: FnMut(u32, u32)> Tokens for Letters<F> {
        fn word(&mut self, symbols: &[u16], script: Script) {
            if matches!(script, Script::Spaced | Script::Devanagari) {
                surprise::trigrams(symbols, &mut self.0);
            }
        }
        fn marks(&mut self, _: &[u16]) {}
        fn segment(&mut self, _: usize, _: u32) {}
    }
    scan::scan(text, &mut Letters(each));
}
