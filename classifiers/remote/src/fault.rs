//! Why a server gave no verdict.

use std::time::Duration;

use classifiers_core::ClassifyError;

/// Why a server gave no verdict. Its text never repeats what was sent or answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There was no connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// There was no answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
    /// The server has too much to do.
    #[error("it is overloaded")]
    Busy,
    /// The server refused.
    #[error("it answers with status {0}{remedy}", remedy = remedy(*.0))]
    Status(u16),
    /// The answer is not a verdict.
    #[error("its answer is no verdict: {0}")]
    Odd(String),
    /// Every server has failed repeatedly and is left alone for a moment.
    #[error("every endpoint has failed; the next try is within {} s", .0.as_secs().max(1))]
    NoneLeft(Duration),
}

/// What usually helps.
const fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => " (is the key right?)",
        404 => " (are the URL and the model's name right?)",
        413 | 422 => " (is its input limit that of the model?)",
        _ => "",
    }
}

impl Fault {
    /// An answer that is no verdict.
    pub(crate) fn odd(why: impl Into<String>) -> Self {
        Self::Odd(why.into())
    }

    /// Whether another server may do better with the same question. Judging changes nothing, so asking twice is safe.
    #[must_use]
    pub const fn may_go_elsewhere(&self) -> bool {
        !matches!(self, Self::Status(400 | 413 | 422) | Self::NoneLeft(_))
    }

    /// Whether it speaks against the server, rather than against the question or the moment.
    #[must_use]
    pub const fn is_the_servers(&self) -> bool {
        !matches!(self, Self::Busy | Self::Status(400 | 413 | 422) | Self::NoneLeft(_))
    }
}

impl From<Fault> for ClassifyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Slow(time) => Self::Timeout(time),
            Fault::Busy => Self::Overloaded,
            other => Self::Failed(other.to_string()),
        }
    }
}
