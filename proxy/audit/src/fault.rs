//! What can be wrong with a journal, in plain words.

use std::fmt;

use uuid::Uuid;

use crate::keys::PublicKey;
use crate::line::Digest;

/// The first bad record of a journal, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// File name of the segment.
    pub segment: String,
    /// Line in the segment, counted from 1, where the segment was read from its beginning.
    pub line: Option<u64>,
    /// First byte of that line in the segment.
    pub offset: u64,
    /// The sequence number that a sound record would have there, where it is known.
    pub seq: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment `{}`", self.segment)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ", byte {}", self.offset)?;
        if let Some(seq) = self.seq {
            write!(f, ", record {seq}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The line does not have the frame of a record.
    #[error("this line is not a record")]
    NotARecord,
    /// The hash in the line is not the hash of its bytes.
    #[error("the record was changed after it was written: its hash does not match its content")]
    Changed,
    /// The frame is sound and the content is not what a record holds.
    #[error("the record cannot be read: {why}")]
    Unreadable {
        /// The JSON error.
        why: String,
    },
    /// The line claims a newer format.
    #[error("the record has format version {version}, and this program reads version 1")]
    Version {
        /// The field `v`.
        version: u32,
    },
    /// The line is longer than any record.
    #[error("the line is longer than any record may be")]
    TooLong,
    /// Another sequence number was due.
    #[error("record {found} stands here: records were removed, repeated or reordered")]
    Sequence {
        /// The field `seq`.
        found: u64,
    },
    /// The record continues another line than the one before it.
    #[error("the record continues {found}, which is not the hash of the record before it")]
    Link {
        /// The field `prev`.
        found: Digest,
    },
    /// The segment's name is not the number of its first record.
    #[error("the segment's name does not fit its first record, number {found}")]
    Name {
        /// The field `seq` of the first record.
        found: u64,
    },
    /// A segment must begin with a `started` record.
    #[error("the segment does not begin with a `started` record")]
    NoStart,
    /// The `started` record names other open requests than the records before it leave open.
    #[error("the `started` record does not name the requests that are open here")]
    OpenSet,
    /// A segment before the last one has no record, or an unfinished last line.
    #[error("the segment is not complete although another one follows")]
    Incomplete,
    /// Something other than `started` follows the end of a closed journal.
    #[error("a record follows `sealed` without a `started` in between")]
    AfterSeal,
    /// A checkpoint is not of what stands before it.
    #[error("the checkpoint is not of what stands before it, or its signature is wrong")]
    Signature,
    /// A checkpoint was signed by somebody else.
    #[error("the checkpoint was signed by {key}, which is not trusted")]
    Signer {
        /// Who signed.
        key: Box<PublicKey>,
    },
    /// There is no checkpoint at the end of a complete segment, or where one was noted elsewhere.
    #[error("a signed checkpoint must stand here")]
    Unsigned,
    /// No checkpoint covers the record, which is dated later than one must have been written.
    #[error(
        "nothing signed covers this record, and a checkpoint is written every second: \
         it is forged, or its checkpoints were removed"
    )]
    Uncovered,
    /// A record is another than was noted elsewhere.
    #[error("another record was noted elsewhere: {noted}. The log was written anew")]
    NotAsNoted {
        /// The hash that was noted.
        noted: Digest,
    },
    /// The log ends before a record that was noted elsewhere.
    #[error(
        "record {seq} was noted elsewhere and is not here: the log was cut, or put back to an older state"
    )]
    RolledBack {
        /// The last record that was noted.
        seq: u64,
    },
    /// What was noted elsewhere was not signed by a trusted key.
    #[error("the note about record {seq} elsewhere was not signed by a trusted key")]
    FalseAnchor {
        /// The record.
        seq: u64,
    },
    /// A note about removed segments was not signed by a trusted key, or does not continue the one before it.
    #[error("the note about the removed records {first} to {last} is not as it was written")]
    FalseNote {
        /// The first record that was removed.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// A segment stands where one was removed, and is not what the note about that says.
    #[error("a signed note says that this segment was removed, and this is not what it held")]
    NotRemoved,
    /// The request is open already.
    #[error("request {0} is opened twice")]
    OpenedTwice(Uuid),
    /// The id of a closed request is used again.
    #[error("the id of the closed request {0} is used again")]
    Reused(Uuid),
    /// The request is not open.
    #[error("the record is about request {0}, which is not open")]
    NotOpen(Uuid),
    /// The request was closed before.
    #[error("request {0} is closed twice")]
    ClosedTwice(Uuid),
}
