//! When a request goes to the model server.

use std::fmt;

/// When a request goes to the model server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forward {
    /// When it was judged: the model sees nothing that was not let through.
    #[default]
    AfterVerdict,
    /// While it is being judged. The model may see what is then blocked; the caller gets nothing before the verdict.
    Race,
}

impl Forward {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::AfterVerdict, Self::Race];

    /// The name used in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfterVerdict => "after_verdict",
            Self::Race => "race",
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
