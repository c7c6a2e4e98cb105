//! What the trainer needs: the same features the product looks up, recorded instead.

use std::ops::Range;

use crate::concepts::Table;
use crate::features::{self, Sink, Word, WordFacts};
use crate::fold::Script;
use crate::scan::{self, Surface, Tokens};
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
    /// End of each segment in `features`.
    pub segments: Vec<u32>,
    /// The chunks, which overlap.
    pub chunks: Vec<Chunk>,
}

/// A stretch of text that is judged as if it were a text of its own.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Which segments of the text it has.
    pub segments: Range<usize>,
    /// Bins of its dense features.
    pub dense: Dense,
}

/// Records the features of `text` under a concept table and a surprise table.
#[must_use]
pub fn record(text: &str, concepts: &[u8], surprise: &[u8]) -> Recording {
    let table = Table::new(concepts);
    let surprise = Surprise::new(surprise);
    let mut recorder = Recorder { out: Recording::default(), table, surprise, blocks: [0; 2] };
    features::extract(text, table, &mut recorder);
    recorder.out
}

/// Bins of the dense features alone, chunk by chunk, as [`record`] gives them.
#[must_use]
pub fn shapes(text: &str, concepts: &[u8], surprise: &[u8]) -> Vec<Dense> {
    struct Shapes<'a>(Vec<Dense>, Table<'a>, Surprise<'a>);
    impl Sink for Shapes<'_> {
        fn word(&mut self, word: Word<'_>) -> WordFacts {
            features::word_facts(word, self.1, self.2)
        }
        fn row(&mut self, _: u32, _: i32) {}
        fn segment(&mut self, _: usize) {}
        fn block(&mut self) {}
        fn chunk(&mut self, dense: Dense) {
            self.0.push(dense);
        }
    }
    let table = Table::new(concepts);
    let mut shapes = Shapes(Vec::new(), table, Surprise::new(surprise));
    features::extract(text, table, &mut shapes);
    shapes.0
}

struct Recorder<'a> {
    out: Recording,
    table: Table<'a>,
    surprise: Surprise<'a>,
    /// The first segments of the last block and of this one.
    blocks: [usize; 2],
}

impl Sink for Recorder<'_> {
    fn word(&mut self, word: Word<'_>) -> WordFacts {
        features::word_rows(word, |hash, value| self.out.features.push((hash, value as u8)));
        features::word_facts(word, self.table, self.surprise)
    }

    fn row(&mut self, hash: u32, value: i32) {
        self.out.features.push((hash, value as u8));
    }

    fn segment(&mut self, _: usize) {
        self.out.segments.push(self.out.features.len() as u32);
    }

    fn chunk(&mut self, dense: Dense) {
        let [last, _] = self.blocks;
        self.out.chunks.push(Chunk { segments: last..self.out.segments.len(), dense });
    }

    fn block(&mut self) {
        let [_, this] = self.blocks;
        self.blocks = [this, self.out.segments.len()];
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
        fn segment(&mut self, _: usize, _: u32, _: Surface) {}
    }
    scan::scan(text, &mut Letters(each));
}
