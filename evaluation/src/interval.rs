//! Figures with 95 % intervals.

use serde::Serialize;

/// The normal quantile of a 95 % interval.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// A figure and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// What was measured.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Estimate {
    /// A figure with a standard error: the normal interval, within 0 and 1.
    pub(crate) fn normal(value: f64, error: f64) -> Self {
        let edge = |edge: f64| edge.clamp(0.0, 1.0);
        Self { value, low: edge(value - Z * error), high: edge(value + Z * error) }
    }

    /// `count` of `of`, with its Wilson interval; nothing where there is nothing to count.
    #[must_use]
    pub fn share(count: usize, of: usize) -> Option<Self> {
        (of > 0).then(|| {
            let [low, high] = wilson(count, of);
            Self { value: ratio(count, of), low, high }
        })
    }
}

/// The Wilson score interval of a share (Wilson 1927), for 95 %.
#[must_use]
pub fn wilson(count: usize, of: usize) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    let (n, p) = (real(of), ratio(count, of));
    let centre = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    [centre - reach, centre + reach].map(|edge| (edge / (1.0 + Z * Z / n)).clamp(0.0, 1.0))
}

pub(crate) fn ratio(count: usize, of: usize) -> f64 {
    real(count) / real(of)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of texts")]
pub(crate) const fn real(count: usize) -> f64 {
    count as f64
}
