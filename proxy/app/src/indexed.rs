//! The index of the log, kept up to date.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proxy_index::{Following, Index, Place};

use crate::failure::{Failure, chain};

/// Names the index of the log, so that its password need not be on a command line or in a file.
pub(crate) const ENV: &str = "PORTCULLIS_AUDIT_INDEX";

/// How long one question to the index may take: some tens of millions of decisions.
const QUESTION: Duration = Duration::from_secs(20);

/// An index, and what reads the log into it.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) index: Arc<Index>,
    _following: Following,
}

impl Indexed {
    /// Opens the index of the log in `dir`, at its own place unless another is named, and follows the log.
    pub(crate) fn start(dir: &Path, place: Option<&Place>) -> Result<Self, Failure> {
        let index = match place {
            Some(place) => Index::at(dir, place),
            None => Index::open(dir),
        };
        let index =
            index.map_err(|error| Failure::environment("the log cannot be searched", &error))?;
        let index = Arc::new(index.limited(QUESTION));
        let failed = |error: &proxy_index::IndexError| {
            tracing::error!(error = %chain(error), "the index of the audit log is not up to date");
        };
        let following = Following::start(Arc::clone(&index), failed)
            .map_err(|error| Failure::environment("the log cannot be followed", &error))?;
        Ok(Self { index, _following: following })
    }
}

/// Where an index is, as somebody has written it.
pub(crate) fn place(text: &str) -> Result<Place, Failure> {
    // What was written may hold a password, so it is not repeated.
    text.parse().map_err(|error| Failure::environment("the audit index cannot be used", &error))
}
