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
/// How much of that the attacks alone may take.
const ATTACKS_PART: f64 = 0.85;
/// What each round of tightening leaves of the allowed rates.
const TIGHTEN: f64 = 0.95;
/// Below this share of their rate there is no more to give.
const LEAST: f64 = 0.01;
/// Least distance between knots: the map must rise.
const LEAST_STEP: f32 = 0.05;

type Clean<'a> = (&'a Row, &'a [f32; CATEGORIES]);

/// What is left of the medium rate, for attacks and for the hazards that are blocked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    pub(crate) attacks: f64,
    pub(crate) hazards: f64,
}

/// Finds knots such that each category keeps to [`RATES`] and the blocked ones together to [`UNION`].
///
/// Attacks first: they are what the hardest source is taken for. The hazards get what is left.
pub(crate) fn knots(rows: &[Row], raw: &Raw) -> ([Knots; CATEGORIES], Shares) {
    let pairs = rows.iter().zip(raw);
    let clean: Vec<Clean<'_>> = pairs.filter(|(row, _)| row.is_clean() && !row.own).collect();
    let mut shares = Shares { attacks: 1.0, hazards: 1.0 };
    let knots = |shares| std::array::from_fn(|category| of_category(&clean, category, shares));
    let within = |shares, categories: &[usize], part: f64| {
        // Without rows of a kind the share is NaN, which is no reason to tighten.
        let over = |hardest, limit| flagged(&clean, hardest, &knots(shares), categories) > limit;
        !over(false, UNION[0] * part) && !over(true, UNION[1] * part)
    };
    while shares.attacks > LEAST && !within(shares, &BLOCKED[..ATTACKS], ATTACKS_PART) {
        shares.attacks *= TIGHTEN;
    }
    while shares.hazards > LEAST && !within(shares, &BLOCKED, 1.0) {
        shares.hazards *= TIGHTEN;
    }
    (knots(shares), shares)
}

fn of_category(clean: &[Clean<'_>], category: usize, shares: Shares) -> Knots {
    let mut scores: Vec<f32> = clean.iter().map(|(_, raw)| raw[category]).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let share = match category {
        c if !BLOCKED.contains(&c) => 1.0,
        c if c < ATTACKS => shares.attacks,
        _ => shares.hazards,
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

/// The share of clean texts of the hardest source, or of all others, that `categories` flag.
fn flagged(
    clean: &[Clean<'_>],
    hardest: bool,
    knots: &[Knots; CATEGORIES],
    categories: &[usize],
) -> f64 {
    let some = clean.iter().filter(|(row, _)| (row.source == HARDEST) == hardest);
    share(some.map(|(_, raw)| any_of(categories, raw, knots, MEDIUM)))
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
    any_of(&BLOCKED, raw, knots, threshold)
}

fn any_of(
    categories: &[usize],
    raw: &[f32; CATEGORIES],
    knots: &[Knots; CATEGORIES],
    threshold: f32,
) -> bool {
    categories.iter().any(|&c| reference_scale(raw[c], knots[c]) >= threshold)
}
