//! Everything that is measured about one set of texts.

use serde::Serialize;

use crate::interval::Estimate;
use crate::ranking::auc;
use crate::resampling::resampled;

/// One text: what it is, and what was made of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// How strongly it was indicated, 0 to 1.
    pub score: f64,
    /// Whether it should be found.
    pub positive: bool,
    /// Whether it was found.
    pub found: bool,
}

/// Figures about one set of texts; none where there is nothing to tell, such as recall without positives.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// Texts with a label and a verdict.
    pub texts: usize,
    /// Those that should be found.
    pub positives: usize,
    /// Positives that were found.
    pub true_positives: usize,
    /// Negatives that were found.
    pub false_positives: usize,
    /// Share of positives among what was found (Wilson).
    pub precision: Option<Estimate>,
    /// Share of positives that were found (Wilson).
    pub recall: Option<Estimate>,
    /// Harmonic mean of the two (bootstrap).
    pub f1: Option<Estimate>,
    /// Share of negatives that were found (Wilson).
    pub false_positive_rate: Option<Estimate>,
    /// Area under the ROC curve (DeLong).
    pub auc: Option<Estimate>,
    /// Average precision (bootstrap).
    pub average_precision: Option<Estimate>,
    /// The highest recall at which no more than 1 % of negatives are found, at any threshold (bootstrap).
    pub recall_at_1_percent: Option<Estimate>,
    /// Expected calibration error, 15 bins of equal width (bootstrap).
    pub calibration_error: Option<Estimate>,
    /// Brier score (bootstrap).
    pub brier: Option<Estimate>,
}

impl Measures {
    /// Measures texts; without scores only what decisions tell.
    pub(crate) fn of(ranked: &[Judged], has_scores: bool) -> Self {
        let count = |keep: fn(&Judged) -> bool| ranked.iter().filter(|one| keep(one)).count();
        let positives = count(|one| one.positive);
        let negatives = ranked.len() - positives;
        let true_positives = count(|one| one.positive && one.found);
        let false_positives = count(|one| !one.positive && one.found);
        let mut measures = Self {
            texts: ranked.len(),
            positives,
            true_positives,
            false_positives,
            precision: Estimate::share(true_positives, true_positives + false_positives),
            recall: Estimate::share(true_positives, positives),
            false_positive_rate: Estimate::share(false_positives, negatives),
            ..Self::default()
        };
        if positives == 0 || negatives == 0 {
            return measures;
        }
        let [average_precision, recall_at, calibration_error, brier, f1] = resampled(ranked);
        measures.f1 = Some(f1);
        if has_scores {
            measures.auc = auc(ranked);
            measures.average_precision = Some(average_precision);
            measures.recall_at_1_percent = Some(recall_at);
            measures.calibration_error = Some(calibration_error);
            measures.brier = Some(brier);
        }
        measures
    }
}

/// In falling order of score.
pub(crate) fn ranked(mut judged: Vec<Judged>) -> Vec<Judged> {
    judged.sort_by(|a, b| b.score.total_cmp(&a.score));
    judged
}
