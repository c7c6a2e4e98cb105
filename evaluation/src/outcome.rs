//! What a guard made of a text.

use std::collections::{BTreeMap, BTreeSet};

use classifiers_core::Category;
use serde::{Deserialize, Serialize};

use crate::Measure;

/// What a guard made of a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The strongest score of each category, by name; none from a guard that tells no scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<BTreeMap<String, f32>>,
    /// The categories, by name, that count under the policy.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub found: BTreeSet<String>,
    /// Whether the text was blocked.
    pub blocked: bool,
    /// Why there is no verdict. Such a text is counted as failed, and in no measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Outcome {
    /// No verdict.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { failure: Some(why.into()), ..Self::default() }
    }

    /// How strongly `measure` is indicated, if scores are told.
    pub(crate) fn score(&self, measure: Measure) -> Option<f32> {
        let scores = self.scores.as_ref()?;
        let of = |(name, score): (&String, &f32)| {
            let category: Category = name.parse().ok()?;
            measure.covers(category).then_some(*score)
        };
        scores.iter().filter_map(of).reduce(f32::max)
    }

    /// Whether it decided that `measure` is there. A guard that tells no scores says only whether it blocked.
    pub(crate) fn found(&self, measure: Measure) -> bool {
        if measure == Measure::Any || self.scores.is_none() {
            return self.blocked;
        }
        let covered = |name: &String| name.parse().is_ok_and(|c: Category| measure.covers(c));
        self.found.iter().any(covered)
    }
}
