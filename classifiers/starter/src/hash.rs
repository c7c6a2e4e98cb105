//! Hashing of symbols to table rows: short, unkeyed, the same on every machine.

const SEED: u32 = 0x811C_9DC5;
const STEP: u32 = 0x9E37_79B1;

/// Kinds of features, so that a word and a character n-gram of the same letters differ.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    /// A part of a word.
    Gram = 1,
    /// A whole word.
    Word = 2,
    /// Two neighbouring words.
    Bigram = 3,
    /// A concept anywhere in a segment.
    Concept = 4,
    /// Two concepts of one segment, in order.
    Pair = 5,
    /// A concept at the head of a segment.
    Head = 6,
    /// A run of punctuation.
    Mark = 7,
}

/// The start of a hash of `kind`.
#[inline]
pub(crate) const fn start(kind: Kind) -> u32 {
    SEED.wrapping_mul(kind as u32 | 1).rotate_left(kind as u32)
}

/// Adds one value to a hash.
#[inline]
pub(crate) const fn step(hash: u32, value: u32) -> u32 {
    (hash.rotate_left(5) ^ value).wrapping_mul(STEP)
}

/// The last mixing, so that the high bits depend on everything.
#[inline]
pub(crate) const fn finish(hash: u32) -> u32 {
    let mixed = (hash ^ (hash >> 15)).wrapping_mul(0x85EB_CA77);
    mixed ^ (mixed >> 13)
}

/// Hash of a whole word.
#[inline]
pub(crate) fn word(symbols: &[u16]) -> u32 {
    symbols.iter().fold(start(Kind::Word), |hash, &s| step(hash, u32::from(s)))
}

/// Hash of two values of one kind.
#[inline]
pub(crate) const fn two(kind: Kind, first: u32, second: u32) -> u32 {
    step(step(start(kind), first), second)
}
