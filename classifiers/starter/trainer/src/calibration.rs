//! Knots of the reference scale, from out-of-fold scores of clean texts.

#![expect(clippy::indexing_slicing, reason = "categories index arrays of as many categories")]

use classifiers_starter::training::{CATEGORIES, Knots, reference_scale};

use crate::data::Row;
use crate::folds::Raw;
use crate::metrics::share;

/// False alarms of the three sensitivities, as shares of clean texts.
const RATES: [f64; 3] = [0.020, 0.005, 0.001];
/// The score from which the default policy acts at medium sensitivity.
pub(crate) const MEDIUM: f32 = 0.70;
/// The hardest benign source.
pub(crate) const HARDEST: &str = "awesome-chatgpt-prompts";
/// The score from which the default policy acts, at low sensitivity.
pub(crate) const LOW: f32 = 0.90;
/// The categories that a policy blocks by default somewhere: attacks, S1 to S4, S9 to S12, by place.
pub(crate) const BLOCKED: [usize; 10] = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13];
/// How many of the categories, from the first, are attacks.
const ATTACKS: usize = 2;
/// Most clean texts that the blocked categories together may flag at medium sensitivity: of ordinary
/// sources, of the hardest. A little less than promised, since unseen sources are harder than seen ones.
const UNION: [f64; 2] = [0.0095, 0.045];
/// What each round of tightening leaves of the allowed rates.
const TIGHTEN: f64 = 0.95;
/// Attacks keep at least this share of their rate while hazards still have some to give.
const ATTACK_SHARE: f64 = 0.5;
/// Below this share of their rate the hazards have no more to give.
const LEAST_HAZARDS: f64 = 0.06;
/// Least distance between knots: the map must rise.
const LEAST_STEP: f32 = 0.05;

type Clean<'a> = (&'a Row, &'a [f32; CATEGORIES]);

/// Finds knots such that each category keeps to [`RATES`] and the blocked ones together to [`UNION`].
///
/// Returns the knots and the share of the medium rate that was left to the hazards that are blocked.
pub(crate) fn knots(rows: &[Row], raw: &Raw) -> ([Knots; CATEGORIES], f64) {
    let pairs = rows.iter().zip(raw);
    let clean: Vec<Clean<'_>> = pairs.filter(|(row, _)| row.is_clean() && !row.own).collect();
    let mut factor = 1.0;
    loop {
        let knots = std::array::from_fn(|category| of_category(&clean, category, factor));
        // Without rows of a kind the share is NaN, which is no reason to tighten.
        let too_many =
            flagged(&clean, false, &knots) > UNION[0] || flagged(&clean, true, &knots) > UNION[1];
        if !too_many || factor < 0.01 {
            return (knots, factor);
        }
        factor *= TIGHTEN;
    }
}

fn of_category(clean: &[Clean<'_>], category: usize, factor: f64) -> Knots {
    let mut scores: Vec<f32> = clean.iter().map(|(_, raw)| raw[category]).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let share = match category {
        c if !BLOCKED.contains(&c) => 1.0,
        c if c < ATTACKS && factor > LEAST_HAZARDS => factor.max(ATTACK_SHARE),
        _ => factor,
    };
    let [low, middle, high] = RATES;
    // The strictest rate is the last to be touched: it is what the default policy acts on.
    let high = high * (share * middle / high).min(1.0);
    let rates = [low * share.max(0.25), middle * share, high];
    rising(rates.map(|rate| {
        let allowed = (scores.len() as f64 * rate) as usize;
        scores.get(allowed).copied().unwrap_or(0.0)
    }))
}

fn flagged(clean: &[Clean<'_>], hardest: bool, knots: &[Knots; CATEGORIES]) -> f64 {
    let some = clean.iter().filter(|(row, _)| (row.source == HARDEST) == hardest);
    share(some.map(|(_, raw)| any_blocked(raw, knots, MEDIUM)))
}

fn rising([low, middle, high]: Knots) -> Knots {
    let middle = middle.max(low + LEAST_STEP);
    [low, middle, high.max(middle + LEAST_STEP)]
}

/// Whether any of the blocked categories reaches `threshold`.
pub(crate) fn any_blocked(
    raw: &[f32; CATEGORIES],
    knots: &[Knots; CATEGORIES],
    threshold: f32,
) -> bool {
    BLOCKED.iter().any(|&c| reference_scale(raw[c], knots[c]) >= threshold)
}
