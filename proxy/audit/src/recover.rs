//! Opening a journal that may have ended anyhow: in order, by a kill, by a power cut.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use crate::disk::{self, Disk, DiskFile};
use crate::error::JournalError;
use crate::fault::{Fault, Problem};
use crate::keys::PublicKey;
use crate::line::Head;
use crate::scan::{End, Scan, ScanError};
use crate::segment::{self, Lines};
use crate::words::StartReason;
use crate::writer::Segment;

/// What opening a journal found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records in the segments that were read: the last one, or none for a new journal.
    pub records_read: u64,
    /// Whether the journal had been closed in order (or is new).
    pub was_sealed: bool,
    /// Requests that were open and are now marked abandoned.
    pub abandoned: Vec<Uuid>,
    /// Length of an unfinished last line in bytes; 0 if there was none.
    pub torn_bytes: u64,
    /// Where the unfinished line was moved.
    pub torn_file: Option<PathBuf>,
}

/// Where the writer goes on.
pub(crate) struct Recovered {
    pub(crate) segment: Segment,
    /// The number of its first record.
    pub(crate) first: u64,
    pub(crate) scan: Scan,
    pub(crate) reason: StartReason,
    pub(crate) report: Recovery,
}

impl Recovered {
    pub(crate) fn head(&self) -> Head {
        self.scan.head()
    }
}

/// Reads the last segment and gets it ready to append to. A damaged segment is left as it is.
pub(crate) fn recover(disk: &dyn Disk, key: PublicKey) -> Result<Recovered, JournalError> {
    let segments =
        segment::sorted(disk.files().map_err(|error| unusable(disk, "listing it", error))?);
    let Some((last, before)) = segments.split_last() else {
        return begin_new(disk);
    };
    let mut report = Recovery::default();
    let mut scan = scan_from(last, key);
    let file = disk.append(last).map_err(|error| unusable(disk, "opening a segment", error))?;
    if let End::Torn { offset, length } = scan_segment(disk, &mut scan, last)? {
        let name = move_aside(disk, last, offset, &*file)
            .map_err(|error| unusable(disk, "moving an unfinished line aside", error))?;
        report.torn_bytes = length;
        report.torn_file = Some(disk.dir().join(name));
    }
    if scan.counts.records == 0 {
        // The process died between creating this segment and writing its first record.
        scan = scan_before(disk, (before, last), key)?;
    }
    report.records_read = scan.counts.records;
    report.was_sealed = scan.sealed;
    let length = disk.length(last).map_err(|error| unusable(disk, "opening a segment", error))?;
    let first = segment::first(last).unwrap_or(1);
    Ok(Recovered {
        segment: Segment { file, length },
        first,
        scan,
        reason: StartReason::Restart,
        report,
    })
}

fn begin_new(disk: &dyn Disk) -> Result<Recovered, JournalError> {
    let file = disk
        .create(&segment::name(1))
        .map_err(|error| unusable(disk, "creating the first segment", error))?;
    Ok(Recovered {
        segment: Segment { file, length: 0 },
        first: 1,
        scan: Scan::from_genesis(),
        reason: StartReason::New,
        report: Recovery { was_sealed: true, ..Recovery::default() },
    })
}

/// The first segment must begin at the genesis value; a later one is taken on trust, because to
/// follow the chain further back is the verifier's work.
fn scan_from(name: &str, key: PublicKey) -> Scan {
    let first = segment::first(name) == Some(1);
    let scan = if first { Scan::from_genesis() } else { Scan::from_any_segment() };
    scan.signed_by(key)
}

/// Scans the segment before the empty `last` one, which must fit behind it.
fn scan_before(
    disk: &dyn Disk,
    (before, last): (&[String], &str),
    key: PublicKey,
) -> Result<Scan, JournalError> {
    let mut scan = Scan::from_genesis().signed_by(key);
    if let Some(name) = before.last() {
        scan = scan_from(name, key);
        let end = scan_segment(disk, &mut scan, name)?;
        if scan.counts.records == 0 || !matches!(end, End::Whole) {
            return Err(damaged(disk, name, Problem::Incomplete));
        }
    }
    if segment::first(last) != Some(scan.head().seq + 1) {
        return Err(damaged(disk, last, Problem::Name { found: scan.head().seq + 1 }));
    }
    // The writer begins this segment's tree.
    scan.signatures.begin(scan.head().seq + 1);
    Ok(scan)
}

fn scan_segment(disk: &dyn Disk, scan: &mut Scan, name: &str) -> Result<End, JournalError> {
    let source = disk.read(name, 0).map_err(|error| unusable(disk, "reading a segment", error))?;
    let damaged = |fault| JournalError::Damaged { dir: disk.dir().into(), fault };
    let end = scan.segment(name, Lines::new(source, 0)).map_err(|error| match error {
        ScanError::Io(error) => unusable(disk, "reading a segment", error),
        ScanError::Fault(fault) => damaged(fault),
    })?;
    // This start will sign what it finds: so that must be what the one before has written.
    scan.uncovered.take().map_or(Ok(end), |fault| Err(damaged(fault)))
}

/// Copies what stands behind the last newline into a file of its own, and only when that is durable
/// cuts it from the segment: nothing is ever lost silently.
fn move_aside(disk: &dyn Disk, name: &str, offset: u64, file: &dyn DiskFile) -> io::Result<String> {
    let mut bytes = Vec::new();
    disk.read(name, offset)?.read_to_end(&mut bytes)?;
    let (aside, copy) = create_aside(disk, name, offset)?;
    disk::write_all(&*copy, &bytes)?;
    copy.sync()?;
    disk.sync()?;
    file.truncate(offset)?;
    file.sync()?;
    Ok(aside)
}

/// A journal may be torn at the same place again and again; each remainder gets its own name.
fn create_aside(
    disk: &dyn Disk,
    name: &str,
    offset: u64,
) -> io::Result<(String, Arc<dyn DiskFile>)> {
    let mut attempt = 0_u32;
    loop {
        let aside = format!("{name}.torn-at-{offset}-{attempt}");
        match disk.create(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            created => return created.map(|file| (aside, file)),
        }
    }
}

pub(crate) fn unusable(disk: &dyn Disk, during: &'static str, source: io::Error) -> JournalError {
    JournalError::Directory { dir: disk.dir().into(), during, source: Arc::new(source) }
}

fn damaged(disk: &dyn Disk, name: &str, problem: Problem) -> JournalError {
    let fault = Box::new(Fault { segment: name.into(), line: None, offset: 0, seq: None, problem });
    JournalError::Damaged { dir: disk.dir().into(), fault }
}
