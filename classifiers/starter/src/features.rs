//! The features of a text: the one implementation that both the trainer and the product use.

use crate::concepts::{self, ATTACK, Found, Table, YOU};
use crate::dense::{Dense, dense};
use crate::fold::Script;
use crate::hash::{self, Kind};
use crate::scan::{self, Surface, Tokens};
use crate::surprise::Surprise;

/// How often a kind of feature counts: whole words and concepts speak louder than parts of words.
pub(crate) const GRAM_VALUE: i32 = 1;
pub(crate) const WORD_VALUE: i32 = 2;
pub(crate) const CONCEPT_VALUE: i32 = 4;

/// A segment remembers at most this many concepts: pairs stay bounded.
const MAX_CONCEPTS: usize = 12;
/// Words of a block, at least. A chunk is two neighbouring blocks: what is shorter than a block lies whole in one.
const BLOCK_WORDS: u32 = 40;

/// What is known about a word without its context.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordFacts {
    pub(crate) concepts: Found,
    /// Whether a phrase of the lexicon ends with it.
    pub(crate) ends_phrase: bool,
    /// Sum of the surprise of its letters, and how many were judged.
    pub(crate) surprise: u16,
    pub(crate) letters: u8,
}

/// Receives features in order.
pub(crate) trait Sink {
    /// A word; the sink takes the features of [`word_rows`] and says what is known about the word.
    fn word(&mut self, word: Word<'_>) -> WordFacts;
    /// One feature: the hash of its row, and how much it counts.
    fn row(&mut self, hash: u32, value: i32);
    /// A segment ended before byte `at`.
    fn segment(&mut self, at: usize);
    /// A chunk ended with the last segment: the last block, and what was read since.
    fn chunk(&mut self, dense: Dense);
    /// A block ended with the last segment, and with the chunk if one did.
    fn block(&mut self);
}

/// A folded word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) symbols: &'a [u16],
    pub(crate) script: Script,
    /// Hash of the symbols.
    pub(crate) hash: u32,
}

/// Calls `each` with the row hash and value of every feature that `word` alone has.
#[inline]
pub(crate) fn word_rows(word: Word<'_>, mut each: impl FnMut(u32, i32)) {
    let Word { symbols, script, hash } = word;
    each(hash::finish(hash), WORD_VALUE);
    let (least, most, edges) = match script {
        Script::Spaced | Script::Devanagari => (4, 4, true),
        Script::Thai => (3, 6, false),
        Script::Ideographic => (1, 3, false),
    };
    if edges && symbols.len() < 3 {
        return;
    }
    let edge = usize::from(edges);
    let total = symbols.len() + 2 * edge;
    let at = |index: usize| -> u32 {
        // The edges of the word read as symbol 1, which no text has.
        index.checked_sub(edge).and_then(|i| symbols.get(i)).map_or(1, |&s| u32::from(s))
    };
    for begin in 0..total {
        let mut gram = hash::start(Kind::Gram);
        for length in 1..=most.min(total - begin) {
            gram = hash::step(gram, at(begin + length - 1));
            if length >= least {
                each(hash::finish(gram), GRAM_VALUE);
            }
        }
    }
}

/// What is known about `word` alone, from the tables of a model.
pub(crate) fn word_facts(word: Word<'_>, table: Table<'_>, surprise: Surprise<'_>) -> WordFacts {
    let (sum, letters) = match word.script {
        Script::Spaced | Script::Devanagari => surprise.word(word.symbols),
        Script::Thai | Script::Ideographic => (0, 0),
    };
    WordFacts {
        concepts: table.word(word.symbols, word.script),
        ends_phrase: table.ends_phrase(word.hash),
        surprise: sum,
        letters,
    }
}

/// Reads `text`, reporting its features to `sink`; at least one chunk.
///
/// Chunks overlap, and each is judged as if it were a text of its own. So harmless text, however much of it, does not
/// thin out what stands among it.
pub(crate) fn extract<S: Sink>(text: &str, table: Table<'_>, sink: &mut S) {
    let mut extractor = Extractor {
        sink,
        table,
        previous: 0,
        phrase: 0,
        position: 0,
        segment: SegmentState::default(),
        block_words: 0,
        last_block: None,
        untold: true,
        all: Statistics::default(),
    };
    scan::scan(text, &mut extractor);
    extractor.finish();
}

/// Statistics of a stretch of text, from which the dense features are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) surface: Surface,
    /// Bit set of all concepts.
    pub(crate) concepts: u64,
    pub(crate) surprise: u64,
    pub(crate) letters: u64,
    pub(crate) surprising_words: u32,
    pub(crate) judged_words: u32,
    /// Highest mean surprise of a segment of some length.
    pub(crate) worst_surprise: u32,
    pub(crate) most_attack: u32,
    pub(crate) most_hazard: u32,
    pub(crate) first_attack: u32,
    pub(crate) last_attack: u32,
    pub(crate) attack_segments: u32,
    pub(crate) you_segments: u32,
}

impl Statistics {
    /// The statistics of this stretch and of the `next` one together.
    fn with(&self, next: &Self) -> Self {
        Self {
            surface: self.surface.with(&next.surface),
            concepts: self.concepts | next.concepts,
            surprise: self.surprise.saturating_add(next.surprise),
            letters: self.letters.saturating_add(next.letters),
            surprising_words: self.surprising_words.saturating_add(next.surprising_words),
            judged_words: self.judged_words.saturating_add(next.judged_words),
            worst_surprise: self.worst_surprise.max(next.worst_surprise),
            most_attack: self.most_attack.max(next.most_attack),
            most_hazard: self.most_hazard.max(next.most_hazard),
            first_attack: self.first_attack,
            last_attack: next.last_attack,
            attack_segments: self.attack_segments.saturating_add(next.attack_segments),
            you_segments: self.you_segments.saturating_add(next.you_segments),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct SegmentState {
    concepts: [u8; MAX_CONCEPTS],
    len: usize,
    mask: u64,
    surprise: u32,
    letters: u32,
}

struct Extractor<'s, 't, S> {
    sink: &'s mut S,
    table: Table<'t>,
    previous: u32,
    phrase: u32,
    position: u32,
    segment: SegmentState,
    block_words: u32,
    last_block: Option<Statistics>,
    /// Whether there is something that was in no chunk yet.
    untold: bool,
    /// Of this block so far.
    all: Statistics,
}

/// Mean surprise above which a word is no word of the eight languages.
const SURPRISING: u32 = 110;

impl<S: Sink> Extractor<'_, '_, S> {
    #[inline]
    fn concept(&mut self, id: u8) {
        let bit = 1u64 << (id & 63);
        if self.position <= 2 {
            self.sink.row(
                hash::finish(hash::two(Kind::Head, u32::from(id), self.position.min(1))),
                CONCEPT_VALUE,
            );
        }
        if self.segment.mask & bit != 0 {
            return;
        }
        self.segment.mask |= bit;
        let own = hash::finish(hash::two(Kind::Concept, u32::from(id), 0));
        self.sink.row(own, CONCEPT_VALUE);
        for index in 0..self.segment.len {
            let earlier = self.segment.concepts.get(index).map_or(0, |&e| u32::from(e));
            let pair = hash::finish(hash::two(Kind::Pair, earlier, u32::from(id)));
            self.sink.row(pair, CONCEPT_VALUE);
        }
        if let Some(place) = self.segment.concepts.get_mut(self.segment.len) {
            *place = id;
            self.segment.len += 1;
        }
    }

    /// Concepts of the phrases of two and three words that end here.
    fn phrases(&mut self, pair: u32, own: u32) {
        for phrase in [pair, concepts::phrase(self.phrase, own)] {
            if let Some(id) = self.table.phrase(phrase) {
                self.concept(id);
            }
        }
    }

    #[inline]
    fn surprise(&mut self, facts: &WordFacts) {
        if facts.letters < 3 {
            return;
        }
        let (sum, letters) = (u32::from(facts.surprise), u32::from(facts.letters));
        self.segment.surprise += sum;
        self.segment.letters += letters;
        self.all.judged_words = self.all.judged_words.saturating_add(1);
        self.all.surprising_words += u32::from(sum > SURPRISING * letters);
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.all);
        if let Some(last) = &self.last_block {
            self.sink.chunk(dense(&last.with(&block)));
            self.untold = false;
        }
        self.sink.block();
        self.last_block = Some(block);
        self.block_words = 0;
    }

    fn finish(self) {
        if !self.untold {
            return;
        }
        let chunk = self.last_block.map(|last| last.with(&self.all));
        self.sink.chunk(dense(&chunk.unwrap_or(self.all)));
    }
}

impl<S: Sink> Tokens for Extractor<'_, '_, S> {
    #[inline]
    fn word(&mut self, symbols: &[u16], script: Script) {
        let own = hash::word(symbols);
        let facts = self.sink.word(Word { symbols, script, hash: own });
        let pair = concepts::phrase(self.previous, own);
        if self.previous != 0 {
            self.sink.row(hash::finish(pair), WORD_VALUE);
            if facts.ends_phrase {
                self.phrases(pair, own);
            }
        }
        for &id in facts.concepts.as_slice() {
            self.concept(id);
        }
        self.surprise(&facts);
        self.phrase = pair;
        self.previous = own;
        self.position += 1;
    }

    fn marks(&mut self, symbols: &[u16]) {
        let hash = symbols.iter().fold(hash::start(Kind::Mark), |h, &s| hash::step(h, s.into()));
        self.sink.row(hash::finish(hash), WORD_VALUE);
    }

    fn segment(&mut self, at: usize, words: u32, surface: Surface) {
        let done = std::mem::take(&mut self.segment);
        let attack = (done.mask & ((1 << ATTACK) - 1)).count_ones();
        let all = &mut self.all;
        if all.concepts == 0 && all.attack_segments == 0 && self.block_words == 0 {
            all.first_attack = all.first_attack.max(attack);
        }
        all.concepts |= done.mask;
        all.most_attack = all.most_attack.max(attack);
        all.most_hazard = all.most_hazard.max((done.mask >> ATTACK).count_ones());
        all.last_attack = attack;
        all.attack_segments += u32::from(attack >= 2);
        all.you_segments += u32::from(done.mask & (1 << YOU) != 0);
        all.surprise += u64::from(done.surprise);
        all.letters += u64::from(done.letters);
        if done.letters >= 12 {
            all.worst_surprise = all.worst_surprise.max(done.surprise / done.letters);
        }
        all.surface = all.surface.with(&surface);
        self.untold = true;
        self.block_words += words;
        self.sink.segment(at);
        if self.block_words >= BLOCK_WORDS {
            self.end_block();
        }
        self.previous = 0;
        self.phrase = 0;
        self.position = 0;
    }
}
