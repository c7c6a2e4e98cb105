//! Checking a whole journal.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;

use crate::disk::{Disk, RealDisk};
use crate::error::ReadError;
use crate::fault::{Fault, Problem};
use crate::keys::{self, PublicKey};
use crate::line::{Digest, Head};
use crate::removed;
use crate::scan::{End, Scan, ScanError};
use crate::segment::{self, Lines};
use crate::trust::{Signatures, Trust};

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
    /// Number of the last record that was removed with its segment; 0 if none was.
    pub removed: u64,
    /// Segments among them that are still there, because a removal was interrupted.
    pub left_over: u64,
    /// Number of the last record that a checkpoint covers. What comes after it is covered by the chain alone, until the
    /// next one: with a key given, some seconds at most.
    pub signed: u64,
    /// When that checkpoint was signed.
    pub signed_time: Option<Timestamp>,
    /// Who must have signed; nothing if nobody said.
    pub key: Option<PublicKey>,
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
/// number, that every close has its open, and every signature. May run beside a process that writes the journal, and
/// then sees some recent state of it.
///
/// Whoever must have signed is said by the file `journal.pub` in `dir`, which is worth no more than `dir` itself; see
/// [`verify_with`].
///
/// Reads as a stream: memory is bounded by the requests of one segment.
///
/// # Errors
/// [`ReadError::Damaged`] with the first bad record, [`ReadError::NoJournal`] if there is none,
/// [`ReadError::Io`] if a file cannot be read.
pub fn verify(dir: &Path) -> Result<Report, ReadError> {
    verify_on(&RealDisk::new(dir))
}

/// The same, against a key and checkpoints that were noted elsewhere.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(dir: &Path, trust: &Trust) -> Result<Report, ReadError> {
    against(&RealDisk::new(dir), trust)
}

pub(crate) fn verify_on(disk: &dyn Disk) -> Result<Report, ReadError> {
    let key = keys::public(disk)
        .map_err(|error| ReadError::Io { path: disk.dir().join(keys::PUBLIC), source: error })?;
    against(disk, &key.map(Trust::key).unwrap_or_default())
}

pub(crate) fn against(disk: &dyn Disk, trust: &Trust) -> Result<Report, ReadError> {
    let io = |name: &str, source| ReadError::Io { path: disk.dir().join(name), source };
    let segments = segment::sorted(disk.files().map_err(|error| io("", error))?);
    let about = |segment: &str, problem| fault(segment, (0, None), problem);
    let signatures = Signatures::new(trust).map_err(|problem| about("anchors", problem))?;
    let notes = removed::read(disk).map_err(|error| io(removed::FILE, error))?;
    let gone =
        removed::last(&notes, &signatures).map_err(|problem| about(removed::FILE, problem))?;
    let mut scan = gone.map_or_else(Scan::from_genesis, Scan::from_removed);
    scan.signatures = signatures;
    let (left_over, segments) = removed::split(segments, scan.head().seq);
    check_left_over(disk, &left_over, scan.head())?;
    let Some((last, before)) = segments.split_last() else {
        return Err(ReadError::NoJournal { dir: disk.dir().into() });
    };
    before.iter().try_for_each(|name| complete(disk, &mut scan, name))?;
    let torn = match one(disk, &mut scan, last)? {
        End::Torn { length, .. } => Some(length),
        End::Whole => None,
    };
    if let Some(fault) = scan.uncovered.take().filter(|_| scan.signatures.are_due()) {
        return Err(ReadError::Damaged(fault));
    }
    if let Some(seq) = scan.signatures.beyond(scan.head()) {
        let place = (0, Some(scan.head().seq + 1));
        return Err(fault(last, place, Problem::RolledBack { seq }));
    }
    let removed = gone.map_or(0, |head| head.seq);
    Ok(Report {
        removed,
        left_over: left_over.len() as u64,
        key: trust.keys.first().copied(),
        ..report(&scan, segments.len() as u64, torn)
    })
}

/// Follows the chain through one segment.
fn one(disk: &dyn Disk, scan: &mut Scan, name: &str) -> Result<End, ReadError> {
    let io = |source| ReadError::Io { path: disk.dir().join(name), source };
    let lines = Lines::new(disk.read(name, 0).map_err(io)?, 0);
    scan.segment(name, lines).map_err(|error| match error {
        ScanError::Io(error) => io(error),
        ScanError::Fault(fault) => ReadError::Damaged(fault),
    })
}

/// Follows the chain through a segment behind which another one follows.
pub(crate) fn complete(disk: &dyn Disk, scan: &mut Scan, name: &str) -> Result<(), ReadError> {
    let before = scan.counts.records;
    let (is_whole, offset) = match one(disk, scan, name)? {
        End::Torn { offset, .. } => (false, offset),
        End::Whole => (scan.counts.records > before, 0),
    };
    let place = (offset, Some(scan.head().seq + 1));
    if !is_whole {
        return Err(fault(name, place, Problem::Incomplete));
    }
    if scan.signatures.are_due() && !scan.signatures.at_end {
        return Err(fault(name, place, Problem::Unsigned));
    }
    Ok(())
}

/// Checks segments that a removal which was interrupted has left. They are the newest of what its note says is gone, and
/// the note has the hash of their last record: `gone`.
pub(crate) fn check_left_over(
    disk: &dyn Disk,
    names: &[String],
    gone: Head,
) -> Result<(), ReadError> {
    let mut scan = Scan::from_any_segment();
    names.iter().try_for_each(|name| complete(disk, &mut scan, name))?;
    match names.first() {
        Some(first) if scan.head() != gone => Err(fault(first, (0, None), Problem::NotRemoved)),
        _ => Ok(()),
    }
}

fn fault(segment: &str, (offset, seq): (u64, Option<u64>), problem: Problem) -> ReadError {
    let segment = segment.to_owned();
    ReadError::Damaged(Box::new(Fault { segment, line: None, offset, seq, problem }))
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
        removed: 0,
        left_over: 0,
        signed: scan.signatures.signed,
        signed_time: scan.signatures.signed_at,
        key: None,
        head_seq: head.seq,
        head: head.hash,
        ending: match torn {
            Some(bytes) => Ending::Torn { bytes },
            None if scan.sealed && (scan.signatures.at_end || !scan.signatures.are_due()) => {
                Ending::Sealed
            }
            None => Ending::NotSealed,
        },
    }
}
