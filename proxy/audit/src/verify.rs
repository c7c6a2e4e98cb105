//! Checking a whole journal.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;

use crate::disk::{Disk, RealDisk};
use crate::error::ReadError;
use crate::fault::{Fault, Problem};
use crate::line::Digest;
use crate::scan::{End, Scan, ScanError};
use crate::segment::{self, Lines};

/// What a sound journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Segment files.
    pub segments: u64,
    /// Records of all kinds.
    pub records: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Requests accepted.
    pub opened: u64,
    /// Parts of streamed answers that were let go before the end.
    pub released: u64,
    /// Requests that ended with a decision.
    pub closed: u64,
    /// Requests that a crash ended.
    pub abandoned: u64,
    /// Requests of whose texts something is kept.
    pub examined: u64,
    /// Verdicts, looks at texts and other acts of people.
    pub acts: u64,
    /// Records of kinds that this version does not know.
    pub unknown: u64,
    /// Requests without an end: under way, or killed and not yet marked by a restart.
    pub still_open: u64,
    /// When the first record was written.
    pub first_time: Option<Timestamp>,
    /// When the last record was written.
    pub last_time: Option<Timestamp>,
    /// Number of the last record; 0 if there is none.
    pub head_seq: u64,
    /// Hash of the last record. Noted down elsewhere, it shows later whether records were removed
    /// from the end, or the whole log was written anew.
    pub head: Digest,
    /// How the journal ends.
    pub ending: Ending,
}

/// How a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a `sealed` record: it was closed in order.
    Sealed,
    /// With another whole record: a process is writing it, or was killed, or records were removed
    /// from the end, which cannot be told apart without a head hash noted elsewhere.
    NotSealed,
    /// In the middle of a line: a write is under way, or was cut short. The next start moves the
    /// line aside.
    Torn {
        /// Bytes after the last whole line.
        bytes: u64,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed => f.write_str("sealed"),
            Self::NotSealed => f.write_str("not sealed: still open, killed, or cut at the end"),
            Self::Torn { bytes } => {
                write!(f, "not sealed: the last {bytes} bytes are an unfinished record")
            }
        }
    }
}

/// Reads the whole journal in `dir` and checks every record: its hash, its place in the chain, its
/// number, and that every close has its open. May run beside a process that writes the journal, and
/// then sees some recent state of it.
///
/// Reads as a stream: memory is bounded by the requests of one segment.
///
/// # Errors
/// [`ReadError::Damaged`] with the first bad record, [`ReadError::NoJournal`] if there is none,
/// [`ReadError::Io`] if a file cannot be read.
pub fn verify(dir: &Path) -> Result<Report, ReadError> {
    verify_on(&RealDisk::new(dir))
}

pub(crate) fn verify_on(disk: &dyn Disk) -> Result<Report, ReadError> {
    let io = |name: &str, source| ReadError::Io { path: disk.dir().join(name), source };
    let segments = segment::sorted(disk.files().map_err(|error| io("", error))?);
    let Some(last) = segments.last() else {
        return Err(ReadError::NoJournal { dir: disk.dir().into() });
    };
    let mut scan = Scan::from_genesis();
    let mut torn = None;
    for name in &segments {
        let before = scan.counts.records;
        let source = disk.read(name, 0).map_err(|error| io(name, error))?;
        let end = scan.segment(name, Lines::new(source, 0)).map_err(|error| match error {
            ScanError::Io(error) => io(name, error),
            ScanError::Fault(fault) => ReadError::Damaged(fault),
        })?;
        let offset = match end {
            End::Torn { offset, length } => {
                torn = Some(length);
                offset
            }
            End::Whole => 0,
        };
        if name != last && (torn.is_some() || scan.counts.records == before) {
            let (segment, seq) = (name.clone(), Some(scan.head().seq + 1));
            let fault = Fault { segment, line: None, offset, seq, problem: Problem::Incomplete };
            return Err(ReadError::Damaged(Box::new(fault)));
        }
    }
    Ok(report(&scan, segments.len() as u64, torn))
}

fn report(scan: &Scan, segments: u64, torn: Option<u64>) -> Report {
    let (first_time, last_time) = scan.times();
    let (head, counts) = (scan.head(), scan.counts);
    Report {
        segments,
        records: counts.records,
        bytes: counts.bytes,
        opened: counts.opened,
        released: counts.released,
        closed: counts.closed,
        abandoned: counts.abandoned,
        examined: counts.examined,
        acts: counts.acts,
        unknown: counts.unknown,
        still_open: scan.ledger.open_count() as u64,
        first_time,
        last_time,
        head_seq: head.seq,
        head: head.hash,
        ending: match torn {
            Some(bytes) => Ending::Torn { bytes },
            None if scan.sealed => Ending::Sealed,
            None => Ending::NotSealed,
        },
    }
}
