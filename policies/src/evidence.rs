//! What a decision is made from, and what comes out.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{Category, Direction};

use crate::Action;

/// One finding of one classifier, with the place it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The policy column that governs the text.
    pub direction: Direction,
    /// What was looked for.
    pub category: Category,
    /// How sure the classifier is, 0 (absent) to 1 (certain). Anything else is a failed check.
    pub score: f32,
    /// The name of the classifier.
    pub classifier: Arc<str>,
    /// JSON pointer of the text.
    pub at: Arc<str>,
    /// The bytes of the text that the finding is about, where the classifier can tell.
    pub span: Option<Range<usize>>,
}

/// One finding about a hazard that a policy describes in its own words.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomObservation {
    /// The policy column that governs the text.
    pub direction: Direction,
    /// The hazard's name in the policy.
    pub hazard: Arc<str>,
    /// How sure the classifier is, 0 (absent) to 1 (certain). Anything else is a failed check.
    pub score: f32,
}

/// The language of a text, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spoken {
    /// The policy column that governs the text.
    pub direction: Direction,
    /// Its tag (BCP 47), such as `en`; `und` where the writing is none of any language that is known.
    pub language: Arc<str>,
}

/// A check that gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The policy column that governs the text that was to be checked.
    pub direction: Direction,
    /// The check that failed, usually a classifier's name.
    pub check: Arc<str>,
    /// Why, for the record.
    pub reason: String,
}

/// Everything known about one request or answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// What the classifiers said, low scores too.
    pub observations: Vec<Observation>,
    /// What they said about the policy's own hazards.
    pub custom: Vec<CustomObservation>,
    /// The languages of the texts. Left out where no policy asks.
    pub languages: Vec<Spoken>,
    /// What could not be checked. Never to be read as "nothing found".
    pub failures: Vec<Failure>,
}

/// What a policy says about some evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The strongest action the rules ask for, those in shadow included.
    pub verdict: Action,
    /// What is done: the strongest action of the rules that are enforced.
    pub action: Action,
    /// What would have been done without shadow, where that differs from `action`.
    pub would: Option<Action>,
    /// The reasons, strongest first: what carries the verdict, then, where shadow made them differ, what
    /// carries the action. Among equals findings come before failures, and higher scores first. No
    /// duplicates; empty when all is allowed.
    pub because: Vec<Because>,
    /// The exemptions without which something would have been done, or more of it, in alphabetical order.
    pub exemptions: Vec<Arc<str>>,
    /// What is to be cut out, in order of place: filled exactly when `action` is [`Action::Redact`].
    pub redactions: Vec<Redaction>,
    /// The action is a block that comes from a failed check alone: nothing was found, nothing is known.
    pub unavailable: bool,
}

/// A stretch of text to cut out. Stretches of different categories may overlap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redaction {
    /// JSON pointer of the text.
    pub at: Arc<str>,
    /// The bytes of that text; never empty.
    pub span: Range<usize>,
    /// What was found there.
    pub category: Category,
}

/// A reason for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Because {
    /// Something was found.
    Hazard(Category),
    /// Something was found that the policy describes in its own words.
    Custom(Arc<str>),
    /// The text is in a language that the policy does not list as checked.
    Languages,
    /// A check gave no verdict.
    OnFailure,
}

impl Because {
    /// The reasons that are no hazards.
    pub(crate) const WORDS: [&'static str; 2] = ["languages", "on_failure"];

    /// The name used in policies and records.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Hazard(category) => category.name(),
            Self::Custom(name) => name,
            Self::Languages => "languages",
            Self::OnFailure => "on_failure",
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
