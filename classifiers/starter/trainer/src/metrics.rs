//! Measures of ranking.

/// A score and whether it should have been high.
pub(crate) type Judged = (f32, bool);

fn sorted(judged: &[Judged]) -> Vec<Judged> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    sorted
}

/// Area under the ROC curve; ties count half.
pub(crate) fn auc(judged: &[Judged]) -> f64 {
    let sorted = sorted(judged);
    let (mut above, mut area, mut positives) = (0u64, 0.0f64, 0u64);
    for tie in sorted.chunk_by(|a, b| a.0 == b.0) {
        let hits = tie.iter().filter(|j| j.1).count() as u64;
        let misses = tie.len() as u64 - hits;
        area += misses as f64 * (positives as f64 + hits as f64 / 2.0);
        positives += hits;
        above += misses;
    }
    if positives == 0 || above == 0 { f64::NAN } else { area / (positives as f64 * above as f64) }
}

/// Share of positives above the score that `rate` of the negatives reach.
pub(crate) fn recall_at(judged: &[Judged], rate: f64) -> f64 {
    let negatives: Vec<f32> = judged.iter().filter(|j| !j.1).map(|j| j.0).collect();
    let Some(threshold) = upper_quantile(&negatives, rate) else { return f64::NAN };
    share(judged.iter().filter(|j| j.1).map(|j| j.0 > threshold))
}

/// The score that at most `rate` of `scores` exceed.
pub(crate) fn upper_quantile(scores: &[f32], rate: f64) -> Option<f32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let allowed = (scores.len() as f64 * rate).floor() as usize;
    sorted.get(allowed.min(sorted.len().saturating_sub(1))).copied()
}

/// Share of `true`.
pub(crate) fn share(of: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0u64, 0u64);
    for one in of {
        yes += u64::from(one);
        all += 1;
    }
    if all == 0 { f64::NAN } else { yes as f64 / all as f64 }
}

/// Average precision, the mean of the precision at each positive.
pub(crate) fn average_precision(judged: &[Judged]) -> f64 {
    let (mut seen, mut hits, mut sum) = (0u64, 0u64, 0.0f64);
    for tie in sorted(judged).chunk_by(|a, b| a.0 == b.0) {
        let found = tie.iter().filter(|j| j.1).count() as u64;
        seen += tie.len() as u64;
        hits += found;
        sum += found as f64 * hits as f64 / seen as f64;
    }
    if hits == 0 { f64::NAN } else { sum / hits as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rankings() {
        let perfect = [(3.0, true), (2.0, true), (1.0, false), (0.0, false)];
        assert_eq!((auc(&perfect), average_precision(&perfect)), (1.0, 1.0));
        let flat = [(1.0, true), (1.0, false), (1.0, false), (1.0, true)];
        assert_eq!((auc(&flat), average_precision(&flat)), (0.5, 0.5));
        let mixed = [(4.0, true), (3.0, false), (2.0, true), (1.0, false)];
        assert_eq!(auc(&mixed), 0.75);
        assert_eq!(recall_at(&mixed, 0.0), 0.5);
    }
}
