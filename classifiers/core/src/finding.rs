//! What a classifier answers.

use std::ops::Range;
use std::time::Duration;

use crate::{Category, ClassifierId};

/// One thing a classifier says about a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was looked for.
    pub category: Category,
    /// How sure the classifier is, 0 (absent) to 1 (certain).
    pub score: f32,
    /// The bytes of the passage that the finding is about, where the classifier can tell.
    pub span: Option<Range<usize>>,
}

impl Finding {
    /// A finding about the passage as a whole.
    #[must_use]
    pub const fn whole(category: Category, score: f32) -> Self {
        Self { category, score, span: None }
    }
}

/// A classifier's whole answer about one passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Who says so, and in which revision.
    pub classifier: ClassifierId,
    /// At least one finding for each category the classifier covers, low scores too.
    pub findings: Vec<Finding>,
    /// What it measured on the way to its findings, by name, the most telling first: passages are compared by it. For
    /// the record: nothing is decided by it.
    pub measures: Vec<(&'static str, f32)>,
}

impl Assessment {
    /// `findings` of `classifier`, without measures.
    #[must_use]
    pub const fn new(classifier: ClassifierId, findings: Vec<Finding>) -> Self {
        Self { classifier, findings, measures: Vec::new() }
    }

    /// Whether its measures say worse than `others` do.
    #[must_use]
    pub fn measures_more_than(&self, others: &[(&'static str, f32)]) -> bool {
        let telling = |measures: &[(&'static str, f32)]| measures.first().map(|(_, value)| *value);
        telling(&self.measures) > telling(others)
    }
}

/// Why there is no verdict. Never to be read as "nothing found".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassifyError {
    /// The classifier did not answer in time.
    #[error("no verdict within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The queue before the classifier is full.
    #[error("the classifier is overloaded")]
    Overloaded,
    /// The classifier failed, or answered something that is not a verdict.
    #[error("the classifier failed: {0}")]
    Failed(String),
}

impl ClassifyError {
    /// A short, stable word for metrics and records.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Overloaded => "overloaded",
            Self::Failed(_) => "failed",
        }
    }
}
