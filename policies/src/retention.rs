//! What is kept of the texts, and who may read it.

use std::fmt;
use std::time::Duration;

use classifiers_core::Category;

/// How much of the examined texts is kept in the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TextRetention {
    /// All of it.
    Full,
    /// All but what `redact` lists: that is masked.
    #[default]
    Redacted,
    /// A keyed hash, by which the same text can be recognised.
    Fingerprint,
    /// Nothing but where texts stood and how long they were.
    None,
}

impl TextRetention {
    /// Every choice, the most text first.
    pub const ALL: [Self; 4] = [Self::Full, Self::Redacted, Self::Fingerprint, Self::None];

    /// The name used in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Redacted => "redacted",
            Self::Fingerprint => "fingerprint",
            Self::None => "none",
        }
    }
}

impl fmt::Display for TextRetention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is masked unless a policy says otherwise.
pub(crate) const MASKED: [Category; 2] = [Category::Secrets, Category::PersonalData];

/// The `audit` section: what the owner wants kept, reviewed and revealed.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// How much of the texts is kept.
    pub text: TextRetention,
    /// What is masked in kept texts.
    pub redact: Vec<Category>,
    /// How long records are kept; without a value, for ever.
    pub keep: ByOutcome<Duration>,
    /// The share, 0 to 1, that lands in the review queue.
    pub review: ByOutcome<f64>,
    /// Roles that may see kept texts.
    pub reveal_roles: Vec<String>,
    /// Whether they must say why.
    pub reveal_needs_reason: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            text: TextRetention::default(),
            redact: MASKED.to_vec(),
            keep: ByOutcome::default(),
            review: ByOutcome::default(),
            reveal_roles: Vec::new(),
            reveal_needs_reason: false,
        }
    }
}

impl Retention {
    /// What must be masked before a text is kept.
    #[must_use]
    pub fn masks(&self) -> &[Category] {
        if self.text == TextRetention::Redacted { &self.redact } else { &[] }
    }
}

/// A value for each way in which an exchange may end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByOutcome<T> {
    /// It passed.
    pub allowed: Option<T>,
    /// It was marked, or parts were cut out.
    pub flagged: Option<T>,
    /// It did not pass.
    pub blocked: Option<T>,
}
