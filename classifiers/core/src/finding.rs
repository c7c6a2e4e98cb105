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
