//! The weights as they lie in the file, read in place.

use crate::concepts::{SLOT, Table};
use crate::dense::{BINS, MEASURES};
use crate::surprise::Surprise;

/// Columns of the score table: see the constants below.
pub const COLUMNS: usize = 16;
/// Column of the prompt-attack score.
pub const ATTACK_COLUMN: usize = 0;
/// Column that tells jailbreaks (positive) from injections (negative).
pub const KIND_COLUMN: usize = 1;
/// Column of S1; the other hazards follow.
pub const HAZARD_COLUMN: usize = 2;
/// Column added to the attack score in text from tools.
pub const TOOL_COLUMN: usize = 15;
/// Hazards S1 to S13.
pub const HAZARDS: usize = 13;
/// Categories scored: injection, jailbreak, then the hazards.
pub const CATEGORIES: usize = HAZARDS + 2;
/// Smoothing of the length normalisation: a very short segment does not shout.
pub const SMOOTHING: u32 = 60;

const MAGIC: &[u8; 8] = b"PCSTART1";
/// Format of the file; a change of features or layout changes it.
const FORMAT: u32 = 2;
/// Bytes before the digest: magic, format, and three sizes as powers of two.
const HEADER: usize = 24;
const DIGEST: usize = 32;

/// How the parts of a chunk are pooled into one score, for one column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pool {
    /// Added to everything.
    pub bias: f32,
    /// Weight of the whole.
    pub whole: f32,
    /// Weight of the strongest segment.
    pub segment: f32,
}

/// Raw scores at which a category has 20, 5 and 1 false alarms per 1,000 clean texts.
pub type Knots = [f32; 3];

/// Why weights cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The bytes do not start like a file of weights.
    #[error("not a file of starter weights")]
    Magic,
    /// Made by another version of the trainer.
    #[error("weights of format {0}, this version reads {FORMAT}")]
    Format(u32),
    /// Cut off, or longer than its header says.
    #[error("the weights have the wrong length")]
    Length,
    /// The content is not what the trainer wrote.
    #[error("the checksum of the weights does not match")]
    Checksum,
}

/// Weights, in place: nothing is copied but a few numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    rows: &'a [[u8; COLUMNS]],
    scales: &'a [[u8; 4]],
    pools: &'a [[u8; 4]],
    dense: &'a [[u8; 4]],
    pub(crate) concepts: Table<'a>,
    pub(crate) surprise: Surprise<'a>,
    knots: &'a [[u8; 4]],
    shift: u32,
    digest: &'a [u8],
}

/// The parts that a trainer makes; [`Parts::to_bytes`] writes the file.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Score table: a power of two of rows.
    pub rows: Vec<[i8; COLUMNS]>,
    /// What one unit of a column is worth.
    pub scales: [f32; COLUMNS],
    /// Pooling by role (dialogue, tool) and column.
    pub pools: [[Pool; COLUMNS]; 2],
    /// Scores of dense features by role, measure and bin.
    pub dense: Vec<[f32; COLUMNS]>,
    /// Slots of the concept table: a power of two.
    pub concepts: Vec<[u8; SLOT]>,
    /// Trigram surprise: a power of two of entries.
    pub surprise: Vec<u8>,
    /// Calibration of each category.
    pub knots: [Knots; CATEGORIES],
}

impl Parts {
    /// The file of weights.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        for row in &self.rows {
            payload.extend(row.iter().map(|&v| v as u8));
        }
        let mut floats: Vec<f32> = self.scales.to_vec();
        for pool in self.pools.iter().flatten() {
            floats.extend([pool.bias, pool.whole, pool.segment]);
        }
        floats.extend(self.dense.iter().flatten());
        payload.extend(floats.iter().flat_map(|f| f.to_le_bytes()));
        payload.extend(self.concepts.iter().flatten());
        payload.extend(&self.surprise);
        payload.extend(self.knots.iter().flatten().flat_map(|f| f.to_le_bytes()));
        let mut file = MAGIC.to_vec();
        for field in [
            FORMAT,
            self.rows.len().ilog2(),
            self.concepts.len().ilog2(),
            self.surprise.len().ilog2(),
        ] {
            file.extend(field.to_le_bytes());
        }
        file.extend(digest(&file, &payload).as_bytes());
        file.extend(payload);
        file
    }
}

fn digest(header: &[u8], payload: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(header).update(payload).finalize()
}

/// Takes parts off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], WeightsError> {
        let (part, rest) = self.0.split_at_checked(len).ok_or(WeightsError::Length)?;
        self.0 = rest;
        Ok(part)
    }

    fn floats(&mut self, count: usize) -> Result<&'a [[u8; 4]], WeightsError> {
        Ok(self.take(count * 4)?.as_chunks().0)
    }

    fn u32(&mut self) -> Result<u32, WeightsError> {
        let (&bytes, _) = self.take(4)?.split_first_chunk().ok_or(WeightsError::Length)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A size given as its power of two, within what any sane file has.
    fn size(&mut self) -> Result<usize, WeightsError> {
        match self.u32()? {
            bits @ 1..=24 => Ok(1 << bits),
            _ => Err(WeightsError::Length),
        }
    }
}

impl<'a> Weights<'a> {
    /// Reads `bytes`, checking format, length and checksum.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(WeightsError::Magic);
        }
        let format = reader.u32()?;
        if format != FORMAT {
            return Err(WeightsError::Format(format));
        }
        let (rows, slots, trigrams) = (reader.size()?, reader.size()?, reader.size()?);
        let stated = reader.take(DIGEST)?;
        let header = bytes.get(..HEADER).ok_or(WeightsError::Length)?;
        let payload = reader.0;
        let weights = Self {
            rows: reader.take(rows * COLUMNS)?.as_chunks().0,
            scales: reader.floats(COLUMNS)?,
            pools: reader.floats(2 * COLUMNS * 3)?,
            dense: reader.floats(2 * MEASURES * BINS * COLUMNS)?,
            concepts: Table::new(reader.take(slots * SLOT)?),
            surprise: Surprise::new(reader.take(trigrams)?),
            knots: reader.floats(CATEGORIES * 3)?,
            shift: 32 - rows.ilog2(),
            digest: stated,
        };
        if !reader.0.is_empty() {
            return Err(WeightsError::Length);
        }
        if digest(header, payload).as_bytes() != stated {
            return Err(WeightsError::Checksum);
        }
        Ok(weights)
    }

    /// The first 16 hexadecimal digits of the digest: the revision of the model.
    pub(crate) fn revision(&self) -> String {
        self.digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds `value` times the row of `hash` to `sum`.
    #[inline]
    pub(crate) fn add(&self, sum: &mut [i32; COLUMNS], hash: u32, value: i16) {
        if let Some(row) = self.rows.get((hash >> self.shift) as usize) {
            for (total, &weight) in sum.iter_mut().zip(row) {
                *total += i32::from(i16::from(weight.cast_signed()) * value);
            }
        }
    }

    /// The same within one word, whose sums are small: 64 symbols have fewer than 200 features of at
    /// most 127, which 16 bits hold.
    #[inline]
    pub(crate) fn add_narrow(&self, sum: &mut [i16; COLUMNS], hash: u32, value: i16) {
        if let Some(row) = self.rows.get((hash >> self.shift) as usize) {
            for (total, &weight) in sum.iter_mut().zip(row) {
                *total += i16::from(weight.cast_signed()) * value;
            }
        }
    }

    pub(crate) fn scale(&self, column: usize) -> f32 {
        float(self.scales, column)
    }

    pub(crate) fn pool(&self, tool: bool, column: usize) -> Pool {
        let first = (usize::from(tool) * COLUMNS + column) * 3;
        let at = |k| float(self.pools, first + k);
        Pool { bias: at(0), whole: at(1), segment: at(2) }
    }

    /// Adds the scores of a dense feature in `bin` of `measure`.
    pub(crate) fn add_dense(&self, tool: bool, cell: (usize, u8), sum: &mut [f32; COLUMNS]) {
        let (measure, bin) = cell;
        let row = (usize::from(tool) * MEASURES + measure) * BINS + usize::from(bin);
        for (column, total) in sum.iter_mut().enumerate() {
            *total += float(self.dense, row * COLUMNS + column);
        }
    }

    pub(crate) fn knots(&self, category: usize) -> Knots {
        let at = |k| float(self.knots, category * 3 + k);
        [at(0), at(1), at(2)]
    }
}

fn float(floats: &[[u8; 4]], index: usize) -> f32 {
    floats.get(index).map_or(0.0, |&bytes| f32::from_le_bytes(bytes))
}
