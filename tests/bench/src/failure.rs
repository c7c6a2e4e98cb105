//! Why there is no result.

use std::error::Error;
use std::io;

/// Why the benchmark ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{what}")]
    Io { what: String, source: io::Error },
    #[error("{0}")]
    Other(String),
    #[error("stopped; everything that was started is ended")]
    Stopped,
}

impl Failure {
    /// For `map_err`: what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The failure and what it came from, on one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
