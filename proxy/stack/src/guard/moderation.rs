//! What a caller who asked for `moderation` is told.

use std::collections::BTreeMap;

use policies::{Action, Because};
use proxy_dialects::{Moderated, Scored};

use super::ruling::Ruled;

/// What was found so far in one side of an exchange.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// By category: the best score, and whether it counts.
    scores: BTreeMap<String, (f32, bool)>,
    failed: bool,
}

impl Seen {
    /// What `ruled` was decided from; before its record is taken.
    pub(super) fn of(ruled: &Ruled) -> Self {
        let mut seen = Self::default();
        seen.add(ruled);
        seen
    }

    /// Adds what `ruled` was decided from; before its record is taken.
    pub(super) fn add(&mut self, ruled: &Ruled) {
        self.failed |= !ruled.evidence.failures.is_empty();
        let scores = ruled.checks.iter().flat_map(|check| check.scores.iter());
        for (category, score) in scores {
            let (best, _) = self.scores.entry(category.to_string()).or_default();
            *best = best.max(*score);
        }
        for seen in &ruled.evidence.observations {
            let (best, flagged) = self.scores.entry(seen.category.name().to_owned()).or_default();
            *best = best.max(seen.score);
            *flagged = true;
        }
    }

    /// As the caller is told.
    pub(super) fn moderated(&self) -> Moderated {
        if self.failed {
            return Moderated::Failed;
        }
        let scored = self.scores.iter().map(|(category, &(score, flagged))| Scored {
            category: category.clone(),
            score,
            flagged,
        });
        Moderated::Scored(scored.collect())
    }
}

impl Ruled {
    /// Blocks what counts and what could not be checked: the caller asked for more than the policy does.
    pub(super) fn block_what_counts(&mut self) {
        if self.decision.action == Action::Block {
            return;
        }
        let mut found: Vec<_> = self.evidence.observations.iter().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        if !found.is_empty() {
            self.decision.because =
                found.iter().map(|seen| Because::Hazard(seen.category)).collect();
            self.decision.because.dedup();
            self.block_instead();
        } else if !self.evidence.failures.is_empty() {
            self.decision.unavailable = true;
            self.block_instead();
        }
    }
}
