//! What a check knows beside the document.

use jiff::civil::Date;

/// The world a document is checked in. The document itself has no clock and opens no file.
pub struct Context<'a> {
    /// The day of the check.
    pub today: Date,
    /// Whether there is a file of this name, relative to the policy.
    pub has_file: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("today", &self.today).finish_non_exhaustive()
    }
}
