//! Intervals for figures that have no formula for them: the Poisson bootstrap over texts, seeded.

use crate::interval::{Estimate, real};
use crate::measures::Judged;
use crate::ranking::{BINS, bin};

/// Times that the texts are drawn anew.
const REPLICATES: usize = 200;
/// So that a report can be made again to the last digit.
const SEED: u64 = 0x706f_7274_6375_6c6c;
/// The false-positive rate at which recall is told.
const RATE: f64 = 0.01;

/// Figures of one pass over texts in falling order of score.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    pub(crate) average_precision: f64,
    pub(crate) recall_at: f64,
    pub(crate) calibration_error: f64,
    pub(crate) brier: f64,
    pub(crate) f1: f64,
}

impl Pass {
    /// The figures where text `i` counts `weights[i]` times.
    fn of(ranked: &[Judged], weights: &[f64]) -> Self {
        let mut all = Sums::default();
        for (one, weight) in ranked.iter().zip(weights) {
            all.add(one, *weight);
        }
        let (mut hits, mut misses, mut area, mut recall_at) = (0.0, 0.0, 0.0, 0.0);
        let mut rest = weights;
        for tie in ranked.chunk_by(|a, b| a.score == b.score) {
            let (own, after) = rest.split_at(tie.len().min(rest.len()));
            rest = after;
            let found: f64 =
                tie.iter().zip(own).filter(|(one, _)| one.positive).map(|(_, weight)| weight).sum();
            hits += found;
            misses += own.iter().sum::<f64>() - found;
            if found > 0.0 {
                area += found * hits / (hits + misses);
            }
            if misses <= RATE * all.negatives {
                recall_at = hits / all.positives;
            }
        }
        all.figures(area, recall_at)
    }
}

#[derive(Default)]
struct Sums {
    positives: f64,
    negatives: f64,
    flagged: f64,
    both: f64,
    squares: f64,
    bins: [f64; BINS],
}

impl Sums {
    fn add(&mut self, one: &Judged, weight: f64) {
        let label = f64::from(u8::from(one.positive));
        self.positives += weight * label;
        self.negatives += weight * (1.0 - label);
        if one.found {
            self.flagged += weight;
            self.both += weight * label;
        }
        self.squares += weight * (one.score - label).powi(2);
        if let Some(bin) = self.bins.get_mut(bin(one.score)) {
            *bin += weight * (one.score - label);
        }
    }

    fn figures(&self, area: f64, recall_at: f64) -> Pass {
        let count = self.positives + self.negatives;
        Pass {
            average_precision: area / self.positives,
            recall_at,
            calibration_error: self.bins.iter().map(|gap| gap.abs()).sum::<f64>() / count,
            brier: self.squares / count,
            f1: 2.0 * self.both / (self.positives + self.flagged),
        }
    }
}

/// The figures as they are, and their intervals: the 2.5 and 97.5 percentiles of the replicates.
pub(crate) fn resampled(ranked: &[Judged]) -> [Estimate; 5] {
    let point = Pass::of(ranked, &vec![1.0; ranked.len()]);
    let mut random = Random(SEED);
    let mut replicates = Vec::with_capacity(REPLICATES);
    let mut weights = vec![0.0; ranked.len()];
    for _ in 0..REPLICATES {
        weights.iter_mut().for_each(|weight| *weight = random.poisson());
        replicates.push(Pass::of(ranked, &weights));
    }
    let figures: [fn(&Pass) -> f64; 5] = [
        |pass| pass.average_precision,
        |pass| pass.recall_at,
        |pass| pass.calibration_error,
        |pass| pass.brier,
        |pass| pass.f1,
    ];
    figures.map(|figure| {
        let drawn: Vec<f64> = replicates.iter().map(figure).filter(|f| f.is_finite()).collect();
        interval(figure(&point), drawn)
    })
}

fn interval(value: f64, mut drawn: Vec<f64>) -> Estimate {
    drawn.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = |share: f64| drawn.get((real(drawn.len()) * share) as usize).copied();
    Estimate { value, low: at(0.025).unwrap_or(value), high: at(0.975).unwrap_or(value) }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A Poisson variable of mean 1.
    fn poisson(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let (mut count, mut share) = (0.0, (-1.0f64).exp());
        let mut sum = share;
        while uniform > sum && count < 16.0 {
            count += 1.0;
            share /= count;
            sum += share;
        }
        count
    }
}
