//! Removing old segments.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::disk::{Disk, RealDisk};
use crate::entry::Record;
use crate::error::ReadError;
use crate::fault::{Fault, Problem};
use crate::follow::Follower;
use crate::keys;
use crate::removed::{self, Removed};
use crate::scan::Scan;
use crate::segment::{self, Lines, Piece};
use crate::trust::Signatures;
use crate::verify::{check_left_over, complete};

/// Name of the file that whoever removes segments has locked. It holds nothing; the lock ends with the process.
const LOCK: &str = "removed.lock";

/// Removes the oldest segments that hold nothing but records before number `seq`, and leaves a signed note in their place:
/// the rest still verifies. The last segment with a record is never removed. May run beside the process that writes the log; a second
/// removal waits for the first. `None`: there is no such segment.
///
/// # Errors
/// [`ReadError::Damaged`] if what is to be removed is not as the journal wrote it: nothing is signed then that would say
/// it was. [`ReadError::Io`] if the directory cannot be read or written.
pub fn remove_before(dir: &Path, seq: u64, why: &str) -> Result<Option<Removed>, ReadError> {
    // Of two notes about the same records one would be false for ever.
    let _lock = lock(dir).map_err(|source| ReadError::Io { path: dir.join(LOCK), source })?;
    remove_on(&RealDisk::new(dir), seq, why)
}

fn lock(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(dir.join(LOCK))?;
    file.lock()?;
    Ok(file)
}

pub(crate) fn remove_on(
    disk: &dyn Disk,
    seq: u64,
    why: &str,
) -> Result<Option<Removed>, ReadError> {
    let io = |name: &str, source| ReadError::Io { path: disk.dir().join(name), source };
    let keys = keys::ready(disk).map_err(|error| io(keys::KEY, error))?;
    let signatures = Signatures::of(keys.public());
    let notes = removed::read(disk).map_err(|error| io(removed::FILE, error))?;
    let from = removed::last(&notes, &signatures).map_err(not_a_note)?;
    let mut scan = from.map_or_else(Scan::from_genesis, Scan::from_removed);
    scan.signatures = signatures;
    let from = scan.head();
    let gone = before(disk, seq).map_err(|error| io("", error))?;
    if gone.is_empty() {
        return Ok(None);
    }
    let (left_over, new) = removed::split(gone.clone(), from.seq);
    check_left_over(disk, &left_over, from)?;
    new.iter().try_for_each(|name| complete(disk, &mut scan, name))?;
    let note = match new.is_empty() {
        false => {
            let note = Removed::sign(&keys, from, scan.head(), why);
            removed::add(disk, &note).map_err(|error| io(removed::FILE, error))?;
            Some(note)
        }
        // A removal that was interrupted has left its note, maybe not on the disk yet.
        true => {
            removed::sync(disk).map_err(|error| io(removed::FILE, error))?;
            notes.last().cloned()
        }
    };
    for name in &gone {
        disk.remove(name).map_err(|error| io(name, error))?;
        // Each before the next, so that what an interruption leaves hangs together.
        disk.sync().map_err(|error| io("", error))?;
    }
    Ok(note)
}

/// The segments behind which another one begins with record number `seq` or before, oldest first.
fn before(disk: &dyn Disk, seq: u64) -> io::Result<Vec<String>> {
    let mut segments = segment::sorted(disk.files()?);
    if let Some(last) = segments.last()
        && !is_begun(disk, last)?
    {
        // A restart would need the segment before it.
        segments.pop();
    }
    let next: Vec<u64> = segments.iter().filter_map(|name| segment::first(name)).skip(1).collect();
    let old = segments.into_iter().zip(next).filter(|(_, next)| *next <= seq);
    Ok(old.map(|(name, _)| name).collect())
}

/// Whether a segment has its first record, which names the requests that are open; it is then on the disk.
fn is_begun(disk: &dyn Disk, name: &str) -> io::Result<bool> {
    let begun = matches!(Lines::new(disk.read(name, 0)?, 0).next()?, Piece::Line(_));
    if begun {
        disk.append(name)?.sync()?;
    }
    Ok(begun)
}

fn not_a_note(problem: Problem) -> ReadError {
    let (segment, line, offset, seq) = (removed::FILE.to_owned(), None, 0, None);
    ReadError::Damaged(Box::new(Fault { segment, line, offset, seq, problem }))
}

/// The first record that must stay, if records are looked at segment by segment, oldest first: the segment's in which
/// `stays` says so of a record. 0 if there is no segment but the last.
///
/// # Errors
/// [`ReadError::NoJournal`] if there is none, [`ReadError::Damaged`] if a record is not sound, [`ReadError::Io`] if a
/// file cannot be read.
pub fn first_that_stays(
    dir: &Path,
    mut stays: impl FnMut(&Record) -> bool,
) -> Result<u64, ReadError> {
    let mut follower = Follower::first(dir)?;
    let mut segment = 0;
    while let Some((place, entry)) = follower.next_placed()? {
        segment = place.segment;
        if stays(&entry.record) {
            break;
        }
    }
    Ok(segment)
}
