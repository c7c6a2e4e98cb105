//! Scoring: features looked up, added by segment, block and whole, and pooled.

use std::cell::RefCell;
use std::ops::Range;

use crate::calibrate::reference_scale;
use crate::dense::Dense;
use crate::features::{self, Sink, Word, WordFacts};
use crate::fold::Script;
use crate::math;
use crate::weights::{
    ATTACK_COLUMN, CATEGORIES, COLUMNS, HAZARD_COLUMN, HAZARDS, KIND_COLUMN, SMOOTHING,
    TOOL_COLUMN, Weights,
};

/// Words of up to this many symbols are remembered.
const MEMO_SYMBOLS: usize = 16;
/// Words remembered by each thread; a power of two. About 320 KiB.
const MEMO_WORDS: usize = 4096;
/// How far a kind of attack weighs on the score of the other kind.
const KIND_WEIGHT: f32 = 0.5;

/// Scores of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Raw values by category: injection, jailbreak, S1 to S13. Any real number; higher is worse.
    pub raw: [f32; CATEGORIES],
    /// The same on the reference scale, 0 to 1.
    pub scores: [f32; CATEGORIES],
    /// The bytes of the strongest segment, by category; none where the text has but one.
    pub spans: [Option<Range<usize>>; CATEGORIES],
}

/// Sums of one stretch of text.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    columns: [i32; COLUMNS],
    norm: u32,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        for (total, &value) in self.columns.iter_mut().zip(&other.columns) {
            *total = total.saturating_add(value);
        }
        self.norm = self.norm.saturating_add(other.norm);
    }

    /// Column values over the root of the length.
    fn normalised(&self) -> [f32; COLUMNS] {
        let factor = 1.0 / (self.norm.saturating_add(SMOOTHING) as f32).sqrt();
        self.columns.map(|value| value as f32 * factor)
    }
}

/// The strongest stretch so far, by column.
#[derive(Clone, Copy, Debug)]
struct Strongest {
    values: [f32; COLUMNS],
    at: [(usize, usize); COLUMNS],
}

impl Strongest {
    const NONE: Self = Self { values: [f32::MIN; COLUMNS], at: [(0, 0); COLUMNS] };

    fn offer(&mut self, values: &[f32; COLUMNS], at: (usize, usize)) {
        for ((best, place), &value) in self.values.iter_mut().zip(&mut self.at).zip(values) {
            if value > *best {
                *best = value;
                *place = at;
            }
        }
    }
}

impl Strongest {
    fn offer_one(&mut self, column: usize, value: f32, at: (usize, usize)) {
        if let (Some(best), Some(place)) = (self.values.get_mut(column), self.at.get_mut(column))
            && value > *best
        {
            (*best, *place) = (value, at);
        }
    }

    fn offer_all(&mut self, other: &Self) {
        for (column, (&value, &at)) in other.values.iter().zip(&other.at).enumerate() {
            self.offer_one(column, value, at);
        }
    }
}

/// What a thread remembers about words: their sum and facts, for one revision of the weights.
struct Memo {
    revision: u64,
    words: Vec<Remembered>,
}

#[derive(Clone, Copy)]
struct Remembered {
    symbols: [u16; MEMO_SYMBOLS],
    /// A number has the same symbols in any script, but not the same features.
    script: Script,
    columns: [i16; COLUMNS],
    norm: u16,
    facts: WordFacts,
}

impl Remembered {
    const EMPTY: Self = Self {
        symbols: [0; MEMO_SYMBOLS],
        script: Script::Spaced,
        columns: [0; COLUMNS],
        norm: 0,
        facts: WordFacts {
            concepts: crate::concepts::Found { ids: [0; 3], len: 0 },
            ends_phrase: false,
            surprise: 0,
            letters: 0,
        },
    };
}

thread_local! {
    static MEMO: RefCell<Memo> = const { RefCell::new(Memo { revision: 0, words: Vec::new() }) };
}

/// Scores `text`; `tool` says that it comes from a tool rather than from the dialogue.
pub(crate) fn score(weights: &Weights<'_>, revision: u64, text: &str, tool: bool) -> Scores {
    // Taken out while in use: the memo is an optimisation, never a reason to fail.
    let mut memo = MEMO
        .with(|memo| {
            memo.try_borrow_mut()
                .map(|mut m| std::mem::replace(&mut *m, Memo { revision: 0, words: Vec::new() }))
        })
        .unwrap_or(Memo { revision: 0, words: Vec::new() });
    if memo.revision != revision || memo.words.is_empty() {
        memo.revision = revision;
        memo.words.clear();
        memo.words.resize(MEMO_WORDS, Remembered::EMPTY);
    }
    let mut scorer = Scorer::new(weights, tool, &mut memo.words);
    features::extract(text, weights.concepts, &mut scorer);
    let scores = scorer.finish();
    MEMO.with(|place| {
        if let Ok(mut place) = place.try_borrow_mut() {
            *place = memo;
        }
    });
    scores
}

/// A block: its sum, and its strongest segments.
#[derive(Clone, Copy)]
struct Block {
    whole: Sum,
    segments: Strongest,
}

impl Block {
    const EMPTY: Self =
        Self { whole: Sum { columns: [0; COLUMNS], norm: 0 }, segments: Strongest::NONE };

    fn with(&self, next: &Self) -> Self {
        let mut both = *self;
        both.whole.add(&next.whole);
        both.segments.offer_all(&next.segments);
        both
    }
}

struct Scorer<'a> {
    weights: &'a Weights<'a>,
    tool: bool,
    memo: &'a mut [Remembered],
    segment: Sum,
    block: Block,
    last_block: Block,
    segment_start: usize,
    count: u32,
    /// The strongest values of the chunks.
    chunks: Strongest,
}

impl<'a> Scorer<'a> {
    fn new(weights: &'a Weights<'a>, tool: bool, memo: &'a mut [Remembered]) -> Self {
        Self {
            weights,
            tool,
            memo,
            segment: Sum::default(),
            block: Block::EMPTY,
            last_block: Block::EMPTY,
            segment_start: 0,
            count: 0,
            chunks: Strongest::NONE,
        }
    }

    /// The sum of a word's features, computed.
    #[inline(never)]
    fn compute(&self, word: Word<'_>) -> Remembered {
        let mut columns = [0i16; COLUMNS];
        let mut norm = 0;
        features::word_rows(word, |hash, value| {
            self.weights.add_narrow(&mut columns, hash, value as i16);
            norm += (value * value) as u16;
        });
        let facts = features::word_facts(word, self.weights.concepts, self.weights.surprise);
        Remembered { symbols: [0; MEMO_SYMBOLS], script: word.script, columns, norm, facts }
    }

    fn add_word(&mut self, columns: &[i16; COLUMNS], norm: u16) {
        for (total, &value) in self.segment.columns.iter_mut().zip(columns) {
            *total += i32::from(value);
        }
        self.segment.norm += u32::from(norm);
    }

    /// Pools a chunk as if it were a text of its own, and keeps the strongest.
    fn pool(&mut self, dense: Dense) {
        let Block { whole, segments } = self.last_block.with(&self.block);
        let whole = self.prepared(&whole);
        let extra = self.shape(dense);
        for column in 0..COLUMNS {
            let pool = self.weights.pool(self.tool, column);
            let at = |values: &[f32; COLUMNS]| values.get(column).copied().unwrap_or(0.0);
            let value = pool.bias
                + self.weights.scale(column)
                    * (pool.whole * at(&whole) + pool.segment * at(&segments.values))
                + at(&extra);
            let place = segments.at.get(column).copied().unwrap_or_default();
            self.chunks.offer_one(column, value, place);
        }
    }

    /// What the shape of a chunk adds.
    fn shape(&self, dense: Dense) -> [f32; COLUMNS] {
        let mut extra = [0.0; COLUMNS];
        for place in dense.into_iter().enumerate() {
            self.weights.add_dense(self.tool, place, &mut extra);
        }
        if self.tool {
            fold_tool(&mut extra);
        }
        extra
    }

    fn finish(self) -> Scores {
        self.categories(&self.chunks.values)
    }

    /// Normalised, with the tool column where it belongs.
    fn prepared(&self, sum: &Sum) -> [f32; COLUMNS] {
        let mut values = sum.normalised();
        if self.tool {
            let ratio = self.weights.scale(TOOL_COLUMN) / self.weights.scale(ATTACK_COLUMN);
            if let Some(tool) = values.get_mut(TOOL_COLUMN) {
                *tool *= ratio;
            }
            fold_tool(&mut values);
        }
        values
    }

    fn categories(&self, columns: &[f32; COLUMNS]) -> Scores {
        let raw = to_categories(columns);
        let spans = std::array::from_fn(|category| {
            let column = if category < 2 { ATTACK_COLUMN } else { category - 2 + HAZARD_COLUMN };
            let (start, end) = self.chunks.at.get(column).copied().unwrap_or_default();
            (self.count > 1 && start < end).then_some(start..end)
        });
        let mut scores = raw;
        for (category, score) in scores.iter_mut().enumerate() {
            *score = reference_scale(*score, self.weights.knots(category));
        }
        Scores { raw, scores, spans }
    }
}

/// In text from tools the tool column adds to the attack column.
fn fold_tool(values: &mut [f32; COLUMNS]) {
    let tool = values.get(TOOL_COLUMN).copied().unwrap_or(0.0);
    if let Some(attack) = values.get_mut(ATTACK_COLUMN) {
        *attack += tool;
    }
}

/// Raw values of the categories from those of the columns.
#[must_use]
pub fn to_categories(columns: &[f32; COLUMNS]) -> [f32; CATEGORIES] {
    let at = |column: usize| columns.get(column).copied().unwrap_or(0.0);
    let kind = at(KIND_COLUMN).clamp(-8.0, 8.0);
    std::array::from_fn(|category| match category {
        0 => at(ATTACK_COLUMN) + KIND_WEIGHT * math::ln(math::sigmoid(-kind)),
        1 => at(ATTACK_COLUMN) + KIND_WEIGHT * math::ln(math::sigmoid(kind)),
        _ => at(HAZARD_COLUMN + (category - 2).min(HAZARDS - 1)),
    })
}

impl Sink for Scorer<'_> {
    #[inline]
    fn word(&mut self, word: Word<'_>) -> WordFacts {
        if word.symbols.len() > MEMO_SYMBOLS {
            let fresh = self.compute(word);
            self.add_word(&fresh.columns, fresh.norm);
            return fresh.facts;
        }
        let mut key = [0u16; MEMO_SYMBOLS];
        for (place, &symbol) in key.iter_mut().zip(word.symbols) {
            *place = symbol;
        }
        let place = crate::hash::finish(word.hash) as usize & (MEMO_WORDS - 1);
        if let Some(known) = self.memo.get(place)
            && known.symbols == key
            && known.script == word.script
        {
            let Remembered { columns, norm, facts, .. } = *known;
            self.add_word(&columns, norm);
            return facts;
        }
        let fresh = Remembered { symbols: key, ..self.compute(word) };
        self.add_word(&fresh.columns, fresh.norm);
        if let Some(memo) = self.memo.get_mut(place) {
            *memo = fresh;
        }
        fresh.facts
    }

    #[inline]
    fn row(&mut self, hash: u32, value: i32) {
        self.weights.add(&mut self.segment.columns, hash, value as i16);
        self.segment.norm += (value * value).unsigned_abs();
    }

    fn segment(&mut self, at: usize) {
        let values = self.prepared(&self.segment);
        self.block.segments.offer(&values, (self.segment_start, at));
        self.block.whole.add(&self.segment);
        self.segment = Sum::default();
        self.segment_start = at;
        self.count = self.count.saturating_add(1);
    }

    fn chunk(&mut self, dense: Dense) {
        self.pool(dense);
    }

    fn block(&mut self) {
        self.last_block = std::mem::replace(&mut self.block, Block::EMPTY);
    }
}
