//! Knots of the reference scale, from out-of-fold scores of clean texts.

use classifiers_starter::training::{CATEGORIES, Knots, reference_scale};

use crate::data::Row;
use crate::folds::Raw;
use crate::metrics::{share, upper_quantile};

/// False alarms of the three sensitivities, as shares of clean texts.
const RATES: [f64; 3] = [0.020, 0.005, 0.001];
/// The score from which the default policy acts at medium sensitivity.
pub(crate) const MEDIUM: f32 = 0.70;
/// The hardest benign source.
pub(crate) const HARDEST: &str = "awesome-chatgpt-prompts";
/// Most clean texts that any category together may flag: ordinary sources, the hardest source.
/// A little less than promised, since unseen sources are harder than seen ones.
const UNION: [f64; 2] = [0.008, 0.040];
/// What each round of tightening leaves of the allowed rates.
const TIGHTEN: f64 = 0.93;
/// Least distance between knots: the map must rise.
const LEAST_STEP: f32 = 0.05;

/// Finds knots such that each category keeps to [`RATES`] and all together keep to [`UNION`].
///
/// Returns the knots and how much the rates had to be tightened.
pub(crate) fn knots(rows: &[Row], raw: &Raw) -> ([Knots; CATEGORIES], f64) {
    let clean: Vec<(&Row, &[f32; CATEGORIES])> =
        rows.iter().zip(raw).filter(|(row, _)| row.is_clean() && !row.own).collect();
    let mut factor = 1.0;
    loop {
        let knots = std::array::from_fn(|category| {
            let scores: Vec<f32> = clean.iter().map(|(_, raw)| raw[category]).collect();
            rising(RATES.map(|rate| upper_quantile(&scores, rate * factor).unwrap_or(0.0)))
        });
        let flagged = |hardest: bool| {
            let some = clean.iter().filter(|(row, _)| (row.source == HARDEST) == hardest);
            share(some.map(|(_, raw)| any_at_medium(raw, &knots)))
        };
        // Without rows of a kind the share is NaN, which is no reason to tighten.
        let too_many = flagged(false) > UNION[0] || flagged(true) > UNION[1];
        if !too_many || factor < 0.01 {
            return (knots, factor);
        }
        factor *= TIGHTEN;
    }
}

fn rising([low, middle, high]: Knots) -> Knots {
    let middle = middle.max(low + LEAST_STEP);
    [low, middle, high.max(middle + LEAST_STEP)]
}

/// Whether any category reaches the medium threshold.
pub(crate) fn any_at_medium(raw: &[f32; CATEGORIES], knots: &[Knots; CATEGORIES]) -> bool {
    raw.iter().zip(knots).any(|(&raw, &knots)| reference_scale(raw, knots) >= MEDIUM)
}
