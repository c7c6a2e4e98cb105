//! What can go wrong.

use std::path::PathBuf;

use proxy_audit::ReadError;

use crate::found::Unsound;

/// Why the index cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file cannot be used. It can be deleted: it is made anew from the log.
    #[error("the index `{}` cannot be used; if it is damaged delete it, it is made anew from the log", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Others read the file all the time, so it cannot be rid of what was deleted.
    #[error("the index `{}` is in use: words of what was deleted are still in it; try again, or delete it", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The question takes longer than [`Index::limited`](crate::Index::limited) allows.
    #[error("this takes too long: narrow the filter")]
    TooSlow,
    /// Some of the log is not sound.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// The log cannot be read, or a record that is asked for is not sound.
    #[error(transparent)]
    Log(#[from] ReadError),
}
