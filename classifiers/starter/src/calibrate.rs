//! The reference scale: what a score means, the same for every category.
//!
//! 0.40, 0.70 and 0.90 are the scores that 20, 5 and 1 of 1,000 clean texts reach. Between them the map
//! is linear in logits, beyond them it goes on rising, ever more slowly: the order is never lost.

use crate::math;
use crate::weights::Knots;

/// Logits of 0.40, 0.70 and 0.90.
const TARGETS: [f32; 3] = [-0.405_465_1, 0.847_297_87, 2.197_224_6];
/// A map steeper than this would turn noise into certainty.
const STEEPEST: f32 = 6.0;

/// The score, between 0 and 1, of the raw value `raw` under `knots`.
#[must_use]
pub fn reference_scale(raw: f32, knots: Knots) -> f32 {
    let [low, middle, high] = knots;
    let [low_target, middle_target, high_target] = TARGETS;
    let first = slope(middle - low, middle_target - low_target);
    let last = slope(high - middle, high_target - middle_target);
    let logit = if raw >= high {
        high_target + bend((raw - high) * last)
    } else if raw >= middle {
        middle_target
            + (raw - middle) / (high - middle).max(f32::EPSILON) * (high_target - middle_target)
    } else if raw >= low {
        low_target + (raw - low) / (middle - low).max(f32::EPSILON) * (middle_target - low_target)
    } else {
        low_target - bend((low - raw) * first)
    };
    math::sigmoid(logit)
}

fn slope(run: f32, rise: f32) -> f32 {
    (rise / run.max(f32::EPSILON)).min(STEEPEST)
}

/// Rises like the identity at first, later like a logarithm.
fn bend(x: f32) -> f32 {
    2.0 * math::ln(1.0 + x.max(0.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOTS: Knots = [-1.0, 0.5, 2.0];

    #[test]
    fn knots_map_to_their_scores() {
        for (raw, score) in KNOTS.into_iter().zip([0.4, 0.7, 0.9]) {
            assert!((reference_scale(raw, KNOTS) - score).abs() < 1e-5);
        }
    }

    #[test]
    fn order_is_kept_far_beyond_the_knots() {
        let mut last = 0.0;
        for step in -400..400 {
            let score = reference_scale(step as f32 / 10.0, KNOTS);
            assert!(score > last && score < 1.0, "{step}");
            last = score;
        }
    }
}
