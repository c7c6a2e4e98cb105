//! Whether two sides differ on the same texts.

use serde::Serialize;

use crate::interval::{Estimate, real};
use crate::measures::Judged;
use crate::ranking::{mean_and_variance, placements};

/// What became of one measure between two sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Texts that both sides gave a verdict on.
    pub texts: usize,
    /// Texts that only the first side decided rightly.
    pub only_first_right: usize,
    /// Texts that only the second side decided rightly.
    pub only_second_right: usize,
    /// Two-sided p-value of McNemar's exact test on the decisions.
    pub mcnemar_p: f64,
    /// Area under the ROC curve of the second side less that of the first, and DeLong's two-sided p-value.
    pub auc: Option<AucDifference>,
}

/// A difference of two areas under the ROC curve, measured on the same texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AucDifference {
    /// Second less first.
    pub difference: Estimate,
    /// Two-sided.
    pub p: f64,
}

/// Compares what two sides made of the same texts, in the same order.
#[must_use]
pub fn compare(first: &[Judged], second: &[Judged], has_scores: bool) -> Comparison {
    let right = |one: &Judged| one.found == one.positive;
    let count = |wanted: (bool, bool)| {
        first.iter().zip(second).filter(|(a, b)| (right(a), right(b)) == wanted).count()
    };
    let (only_first, only_second) = (count((true, false)), count((false, true)));
    Comparison {
        texts: first.len().min(second.len()),
        only_first_right: only_first,
        only_second_right: only_second,
        mcnemar_p: mcnemar(only_first, only_second),
        auc: if has_scores { delong(first, second) } else { None },
    }
}

/// McNemar's exact test: the two-sided binomial probability of so uneven a split.
#[must_use]
pub fn mcnemar(one: usize, other: usize) -> f64 {
    let n = real(one + other);
    let choose = |k: f64| libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    let tail: f64 =
        (0..=one.min(other)).map(|k| (choose(real(k)) - n * std::f64::consts::LN_2).exp()).sum();
    (2.0 * tail).min(1.0)
}

/// DeLong's test for two correlated areas under the ROC curve (DeLong et al. 1988).
#[must_use]
pub fn delong(first: &[Judged], second: &[Judged]) -> Option<AucDifference> {
    let (one, other) = (placements(first)?, placements(second)?);
    let differences: Vec<f64> = one.iter().zip(&other).map(|(a, b)| b - a).collect();
    let (difference, variance) = mean_and_variance(first, &differences);
    let error = variance.sqrt();
    let p = if error > 0.0 {
        libm::erfc((difference / error).abs() / std::f64::consts::SQRT_2)
    } else if difference == 0.0 {
        1.0
    } else {
        0.0
    };
    let reach = crate::interval::Z * error;
    let difference =
        Estimate { value: difference, low: difference - reach, high: difference + reach };
    Some(AucDifference { difference, p })
}
