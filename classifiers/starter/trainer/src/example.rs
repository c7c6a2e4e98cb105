//! Settings of the fit, and rows made ready for it.

#![expect(clippy::indexing_slicing, reason = "columns index arrays of as many columns")]

use std::sync::Arc;

use classifiers_starter::training::{
    self, ATTACK_COLUMN, COLUMNS, Chunk, HAZARD_COLUMN, HAZARDS, KIND_COLUMN, Recording,
};

use crate::data::{Attack, Row};

/// Settings of the fit, chosen by leave-one-group-out.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Rows of the score table, as a power of two.
    pub(crate) bits: u32,
    /// Passes over the data.
    pub(crate) epochs: u32,
    /// Step size of AdaGrad for the score table.
    pub(crate) rate: f32,
    /// Step size for dense features and pooling.
    pub(crate) dense_rate: f32,
    /// Start of AdaGrad's sums: rare features move little.
    pub(crate) damping: f32,
    /// Pull of the weights towards zero at every visit.
    pub(crate) decay: f32,
    /// Share of the hashed features hidden at each visit.
    pub(crate) dropout: f32,
    /// Share of visits without any dense feature.
    pub(crate) dense_dropout: f32,
    /// A group of `n` rows weighs `n` to the power of one minus this.
    pub(crate) balance: f32,
    /// Weight of positives in the hazard columns.
    pub(crate) hazard_positive: f32,
    /// Weight of the project's own generated rows.
    pub(crate) synthetic: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bits: 17,
            epochs: 4,
            rate: 0.08,
            dense_rate: 0.03,
            damping: 0.002,
            decay: 1e-5,
            dropout: 0.4,
            dense_dropout: 0.2,
            balance: 0.5,
            hazard_positive: 2.0,
            synthetic: 1.0,
        }
    }
}

/// A row made ready: features as table rows, labels and weights by column.
#[derive(Clone)]
pub(crate) struct Example {
    pub(crate) features: Arc<[(u32, u8)]>,
    pub(crate) segments: Arc<[u32]>,
    pub(crate) chunks: Arc<[Chunk]>,
    pub(crate) tool: bool,
    /// Target of each column, where known.
    pub(crate) targets: [Option<bool>; COLUMNS],
}

impl Example {
    /// The example of `row` with its recorded features.
    pub(crate) fn new(row: &Row, recording: Recording, bits: u32) -> Self {
        let mut targets = [None; COLUMNS];
        targets[ATTACK_COLUMN] = row.is_attack();
        targets[KIND_COLUMN] = match row.attack {
            Some(Attack::Jailbreak) => Some(true),
            Some(Attack::Injection) => Some(false),
            Some(Attack::Benign) | None => None,
        };
        if let Some(mask) = row.hazards {
            for hazard in 0..HAZARDS {
                targets[HAZARD_COLUMN + hazard] = Some(mask >> hazard & 1 == 1);
            }
        }
        let features =
            recording.features.iter().map(|&(hash, value)| (hash >> (32 - bits), value)).collect();
        Self {
            features,
            segments: recording.segments.into(),
            chunks: recording.chunks.into(),
            tool: row.tool,
            targets,
        }
    }

    /// The same with other dense features: those depend on the rows trained on.
    pub(crate) fn with_dense(&self, dense: Vec<training::Dense>) -> Self {
        let chunks = self.chunks.iter().zip(dense);
        let chunks = chunks.map(|(chunk, dense)| Chunk { dense, segments: chunk.segments.clone() });
        Self { chunks: chunks.collect(), ..self.clone() }
    }
}
