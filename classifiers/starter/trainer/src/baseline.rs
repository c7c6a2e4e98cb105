//! The plain baseline: hashed word 1-2 and character 3-5 n-grams, logistic regression.

#![expect(clippy::indexing_slicing, reason = "hashes are as wide as the table, columns constant")]

use classifiers_starter::training::{HAZARDS, sigmoid};

use crate::data::Row;
use crate::random::Random;

const BITS: u32 = 20;
/// Attack first, then the hazards, then padding.
const COLUMNS: usize = 14;
const EPOCHS: u32 = 4;
const RATE: f32 = 0.3;

/// Unique hashed n-grams with their weight, of Euclidean length one.
pub(crate) type Vector = Vec<(u32, f32)>;

/// The features of a text.
pub(crate) fn vector(text: &str) -> Vector {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || ('\u{900}'..'\u{E80}').contains(&c)))
        .filter(|w| !w.is_empty())
        .collect();
    let mut hashes = Vec::new();
    let mut before = None;
    for word in &words {
        let own = hash(1, word.bytes());
        hashes.push(own);
        if let Some(before) = before.replace(own) {
            hashes.push(hash(2, u32::to_le_bytes(before ^ own.rotate_left(7)).into_iter()));
        }
        let padded: Vec<char> =
            std::iter::once(' ').chain(word.chars()).chain(std::iter::once(' ')).collect();
        for size in 3..=5 {
            for gram in padded.windows(size) {
                let bytes = gram.iter().flat_map(|&c| u32::from(c).to_le_bytes());
                hashes.push(hash(3, bytes));
            }
        }
    }
    hashes.sort_unstable();
    let counted = hashes.chunk_by(|a, b| a == b);
    let mut vector: Vector = counted.map(|c| (c[0], 1.0 + (c.len() as f32).ln())).collect();
    let length = vector.iter().map(|v| v.1 * v.1).sum::<f32>().sqrt().max(1e-6);
    vector.iter_mut().for_each(|v| v.1 /= length);
    vector
}

fn hash(kind: u32, bytes: impl Iterator<Item = u8>) -> u32 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325 ^ u64::from(kind), |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    });
    ((hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> (64 - BITS)) as u32
}

/// A trained baseline: weight and AdaGrad sum of each cell.
pub(crate) struct Baseline {
    table: Vec<[[f32; COLUMNS]; 2]>,
    bias: [[f32; COLUMNS]; 2],
}

impl Baseline {
    /// Trains on `rows`.
    pub(crate) fn fit(rows: &[(&Row, &Vector)]) -> Self {
        let mut baseline = Self {
            table: vec![[[0.0; COLUMNS], [1e-3; COLUMNS]]; 1 << BITS],
            bias: [[-1.0; COLUMNS], [1.0; COLUMNS]],
        };
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut random = Random(7);
        for epoch in 0..EPOCHS {
            random.shuffle(&mut order);
            let rate = RATE * (1.0 - epoch as f32 / EPOCHS as f32);
            for &index in &order {
                let (row, vector) = rows[index];
                baseline.step(row, vector, rate);
            }
        }
        baseline
    }

    fn step(&mut self, row: &Row, vector: &Vector, rate: f32) {
        let mut gradient = self.score(vector);
        for (column, g) in gradient.iter_mut().enumerate() {
            let target = match column {
                0 => row.is_attack(),
                _ => row.hazards.map(|mask| mask >> (column - 1) & 1 == 1),
            };
            *g = target.map_or(0.0, |t| sigmoid(*g) - if t { 1.0 } else { 0.0 });
        }
        for &(index, value) in vector {
            descend(&mut self.table[index as usize], &gradient, value, rate);
        }
        descend(&mut self.bias, &gradient, 1.0, rate);
    }

    /// Scores of attack and hazards; logits.
    pub(crate) fn score(&self, vector: &Vector) -> [f32; 1 + HAZARDS] {
        let mut scores = self.bias[0];
        for &(index, value) in vector {
            for (score, weight) in scores.iter_mut().zip(&self.table[index as usize][0]) {
                *score += weight * value;
            }
        }
        scores
    }
}

fn descend(cell: &mut [[f32; COLUMNS]; 2], gradient: &[f32; COLUMNS], value: f32, rate: f32) {
    let [weights, sums] = cell;
    for column in 0..COLUMNS {
        let g = gradient[column] * value;
        sums[column] += g * g;
        weights[column] -= rate * g / sums[column].sqrt();
    }
}
