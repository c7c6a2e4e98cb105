//! What the words `low`, `medium` and `high` mean as scores.

/// The score at which a finding starts to count, for each word a policy may use.
///
/// Every shipped classifier maps its raw scores onto one reference scale, on which a threshold stands for
/// a measured number of false alarms. A calibration per classifier revision can take the place of
/// [`Calibration::REFERENCE`] without a change to any policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// The threshold for `low`.
    pub low: f32,
    /// The threshold for `medium`.
    pub medium: f32,
    /// The threshold for `high`.
    pub high: f32,
}

impl Calibration {
    /// On the reference scale, 1, 5 and 20 false alarms per 1,000 clean texts.
    pub const REFERENCE: Self = Self { low: 0.90, medium: 0.70, high: 0.40 };
}
