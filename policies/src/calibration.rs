//! What the words `low`, `medium` and `high` mean as scores.

use std::fmt;
use std::sync::Arc;

use classifiers_core::Category;

use crate::{Diagnostics, compile};

/// The score at which a finding starts to count, for each word a policy may use.
///
/// Every shipped classifier maps its raw scores onto one reference scale, on which a threshold stands for
/// a measured number of false alarms. What was measured for one revision of a classifier is a
/// [`ClassifierCalibration`], and takes the place of [`Calibration::REFERENCE`] without a change to any policy.
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

    /// The threshold for `level`.
    #[must_use]
    pub const fn threshold(&self, level: Level) -> f32 {
        match level {
            Level::Low => self.low,
            Level::Medium => self.medium,
            Level::High => self.high,
        }
    }
}

/// A word for a sensitivity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// 1 false alarm in 1,000 clean texts.
    Low,
    /// 5 false alarms in 1,000 clean texts.
    Medium,
    /// 20 false alarms in 1,000 clean texts.
    High,
}

impl Level {
    /// Every word, the fewest false alarms first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The name used in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// How many of 1,000 clean texts it lets be taken for something.
    #[must_use]
    pub const fn false_alarms(self) -> f64 {
        match self {
            Self::Low => 1.0,
            Self::Medium => 5.0,
            Self::High => 20.0,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From when on a finding counts: a word, which each classifier's calibration turns into a score, or a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sensitivity {
    Level(Level),
    Score(f32),
}

/// What was measured for one revision of one classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierCalibration {
    /// The classifier's name, as findings carry it.
    pub classifier: Arc<str>,
    /// The exact revision that was measured; for another one this says nothing.
    pub revision: String,
    scores: [Calibration; Category::ALL.len()],
}

impl ClassifierCalibration {
    /// Reads a calibration file, as `portcullis calibrate` writes it; `file` is the name diagnostics use.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(source: &str, file: &str) -> Result<Self, Diagnostics> {
        compile::calibration(source, file)
    }

    /// The scores for `category`.
    #[must_use]
    pub fn of(&self, category: Category) -> Calibration {
        self.scores.get(category as usize).copied().unwrap_or(Calibration::REFERENCE)
    }

    pub(crate) fn new(
        classifier: &str,
        revision: &str,
        measured: impl Fn(Category) -> Option<Calibration>,
    ) -> Self {
        let scores = Category::ALL.map(|c| measured(c).unwrap_or(Calibration::REFERENCE));
        Self { classifier: Arc::from(classifier), revision: revision.to_owned(), scores }
    }
}

impl Sensitivity {
    /// The score for `category` as `classifier` gives it.
    pub(crate) fn threshold(
        self,
        category: Category,
        classifier: Option<&ClassifierCalibration>,
    ) -> f32 {
        match self {
            Self::Score(score) => score,
            Self::Level(level) => {
                classifier.map_or(Calibration::REFERENCE, |c| c.of(category)).threshold(level)
            }
        }
    }

    /// On the reference scale.
    pub(crate) const fn reference(self) -> f32 {
        match self {
            Self::Score(score) => score,
            Self::Level(level) => Calibration::REFERENCE.threshold(level),
        }
    }
}
