//! What can go wrong.

use std::path::PathBuf;

use proxy_audit::ReadError;

use crate::found::Unsound;
use crate::store::StoreError;

/// Why the index cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file or the server cannot be used. A file can be deleted: it is made anew from the log.
    #[error("the index `{place}` cannot be used{}", advice(place))]
    Unusable {
        /// The file, or the server without the password.
        place: String,
        /// What SQLite or PostgreSQL said.
        #[source]
        source: Box<StoreError>,
    },
    /// Others read the file all the time, so it cannot be rid of what was deleted.
    #[error(
        "the index `{place}` is in use: words of what was deleted are still in it; try again, or delete it"
    )]
    InUse {
        /// The file.
        place: String,
    },
    /// The question takes longer than [`Index::limited`](crate::Index::limited) allows.
    #[error("this takes too long: narrow the filter")]
    TooSlow,
    /// Some of the log is not sound.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// A log that many proxies share an index with must have a name: its public key.
    #[error("the log's public key `{}` cannot be read", file.display())]
    NoName {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The log cannot be read, or a record that is asked for is not sound.
    #[error(transparent)]
    Log(#[from] ReadError),
}

fn advice(place: &str) -> &'static str {
    match place.starts_with("postgres://") {
        true => "",
        false => "; if it is damaged delete it, it is made anew from the log",
    }
}
