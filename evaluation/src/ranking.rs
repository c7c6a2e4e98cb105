//! Measures of ranking: the area under the ROC curve with its variance, and the curves themselves.

use serde::Serialize;

use crate::interval::{Estimate, ratio, real};
use crate::measures::Judged;

/// More points than this no eye can tell apart.
const POINTS: usize = 160;
/// Bins of a reliability diagram and of the expected calibration error, of equal width.
pub(crate) const BINS: usize = 15;

/// What the plots show.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curves {
    /// False-positive rate and recall, from (0, 0) to (1, 1).
    pub roc: Vec<[f64; 2]>,
    /// Recall and precision.
    pub precision_recall: Vec<[f64; 2]>,
    /// Mean score, share of positives and number of texts of each bin that is not empty.
    pub reliability: Vec<[f64; 3]>,
}

impl Curves {
    /// The curves of texts in falling order of score.
    pub(crate) fn of(ranked: &[Judged]) -> Self {
        let positives = ranked.iter().filter(|one| one.positive).count();
        let negatives = ranked.len() - positives;
        if positives == 0 || negatives == 0 {
            return Self { reliability: reliability(ranked), ..Self::default() };
        }
        let (mut roc, mut precision_recall) = (vec![[0.0, 0.0]], Vec::new());
        let (mut hits, mut seen) = (0, 0);
        for tie in ranked.chunk_by(|a, b| a.score == b.score) {
            hits += tie.iter().filter(|one| one.positive).count();
            seen += tie.len();
            let recall = ratio(hits, positives);
            roc.push([ratio(seen - hits, negatives), recall]);
            precision_recall.push([recall, ratio(hits, seen)]);
        }
        let reliability = reliability(ranked);
        Self { roc: thinned(roc), precision_recall: thinned(precision_recall), reliability }
    }
}

fn reliability(judged: &[Judged]) -> Vec<[f64; 3]> {
    let mut bins = [[0.0; 3]; BINS];
    for one in judged {
        if let Some([score, hits, count]) = bins.get_mut(bin(one.score)) {
            *score += one.score;
            *hits += f64::from(u8::from(one.positive));
            *count += 1.0;
        }
    }
    let filled = bins.into_iter().filter(|[.., count]| *count > 0.0);
    filled.map(|[score, hits, count]| [score / count, hits / count, count]).collect()
}

/// The bin of a score between 0 and 1.
pub(crate) fn bin(score: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 15")]
    let bin = (score.clamp(0.0, 1.0) * real(BINS)) as usize;
    bin.min(BINS - 1)
}

/// Points that lie far enough apart to be seen, first and last included.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let (Some(last), step) = (points.last().copied(), 1.0 / real(POINTS)) else { return points };
    let mut kept: Vec<[f64; 2]> = Vec::new();
    for point in points {
        let far = |from: &[f64; 2]| {
            from.iter().zip(point).any(|(a, b): (&f64, f64)| (a - b).abs() >= step)
        };
        if kept.last().is_none_or(far) {
            kept.push(point);
        }
    }
    if kept.last() != Some(&last) {
        kept.push(last);
    }
    kept
}

/// For each text, how large a share of the other class it is on the right side of; ties count half. The placement
/// values of DeLong et al. 1988, from mid-ranks in one sort (Sun and Xu 2014).
pub(crate) fn placements(judged: &[Judged]) -> Option<Vec<f64>> {
    let positives = judged.iter().filter(|one| one.positive).count();
    let negatives = judged.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut order: Vec<(f64, usize, bool)> =
        judged.iter().enumerate().map(|(index, one)| (one.score, index, one.positive)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut placed = vec![0.0; judged.len()];
    let (mut below_positive, mut below_negative) = (0, 0);
    for tie in order.chunk_by(|a, b| a.0 == b.0) {
        let hits = tie.iter().filter(|one| one.2).count();
        let misses = tie.len() - hits;
        for (_, index, positive) in tie {
            let value = if *positive {
                (real(below_negative) + real(misses) / 2.0) / real(negatives)
            } else {
                (real(positives - below_positive - hits) + real(hits) / 2.0) / real(positives)
            };
            if let Some(place) = placed.get_mut(*index) {
                *place = value;
            }
        }
        below_positive += hits;
        below_negative += misses;
    }
    Some(placed)
}

/// The mean over positives, and the variance of that mean by both classes.
pub(crate) fn mean_and_variance(judged: &[Judged], values: &[f64]) -> (f64, f64) {
    let of = |class: bool| {
        let values: Vec<f64> = judged
            .iter()
            .zip(values)
            .filter(|(one, _)| one.positive == class)
            .map(|(_, value)| *value)
            .collect();
        let n = real(values.len());
        let mean = values.iter().sum::<f64>() / n;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, if n > 1.0 { spread / (n - 1.0) / n } else { 0.0 })
    };
    let ((mean, one), (_, other)) = (of(true), of(false));
    (mean, one + other)
}

/// The area under the ROC curve with DeLong's interval; none where a class is missing.
#[must_use]
pub fn auc(judged: &[Judged]) -> Option<Estimate> {
    let (mean, variance) = mean_and_variance(judged, &placements(judged)?);
    Some(Estimate::normal(mean, variance.sqrt()))
}
