//! What can go wrong, for the caller.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::fault::Fault;

/// Why a journal cannot be opened, or a record is not in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The queue is full: the disk does not keep up. The record was not taken; later ones may be.
    #[error("the journal's queue is full: the disk does not keep up")]
    Overloaded,
    /// The record is longer than a line may be. It was not taken.
    #[error("the record is longer than a journal line may be")]
    TooLong,
    /// The caller broke the order of records. The record was not taken; the journal is sound.
    #[error("request {id} {misuse}")]
    Misuse {
        /// The request.
        id: Uuid,
        /// What was wrong.
        misuse: Misuse,
    },
    /// A write or sync failed, now or earlier. The journal takes no more records.
    #[error("the journal failed ({during}) and takes no more records")]
    Failed {
        /// What was being done.
        during: &'static str,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The journal was closed before this record.
    #[error("the journal is closed")]
    Closed,
    /// Another process has this directory.
    #[error("the audit directory `{}` is in use by another process", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory or a file in it cannot be used.
    #[error("the audit directory `{}` cannot be used ({during})", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What was being done.
        during: &'static str,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The last segment is damaged. Nothing was changed.
    #[error(
        "the journal is damaged and will not be continued: {fault}; \
         run `portcullis audit verify {}`", dir.display()
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// The first bad record.
        fault: Box<Fault>,
    },
}

impl JournalError {
    pub(crate) fn failed(during: &'static str, source: io::Error) -> Self {
        Self::Failed { during, source: Arc::new(source) }
    }
}

/// How a caller broke the order of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// It is open already.
    #[error("is open already")]
    OpenedTwice,
    /// Its id belonged to a request that is closed.
    #[error("has the id of a request that is closed")]
    Reused,
    /// It is not open.
    #[error("is not open")]
    NotOpen,
    /// It is closed already.
    #[error("is closed already")]
    ClosedTwice,
}

/// Why a journal cannot be read or is not sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The directory holds no segment.
    #[error("there is no journal in `{}`", dir.display())]
    NoJournal {
        /// The directory.
        dir: PathBuf,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The journal is not what was written.
    #[error("{0}")]
    Damaged(Box<Fault>),
}
