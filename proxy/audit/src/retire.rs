//! Removing old segments.

use std::io;
use std::path::Path;

use crate::disk::{Disk, RealDisk};
use crate::entry::{Entry, Record};
use crate::error::ReadError;
use crate::follow::Follower;
use crate::keys;
use crate::line::Head;
use crate::removed::{self, Removed};
use crate::segment::{self, Lines, Piece};

/// Removes the oldest segments that hold nothing but records before number `seq`, and leaves a signed note in their place:
/// the rest still verifies. The last segment is never removed. May run beside the process that writes the log. `None`:
/// there is no such segment.
///
/// # Errors
/// [`ReadError::NoJournal`] if there is none, [`ReadError::Damaged`] if a segment to be removed is not sound,
/// [`ReadError::Io`] if the directory cannot be read or written.
pub fn remove_before(dir: &Path, seq: u64, why: &str) -> Result<Option<Removed>, ReadError> {
    let disk = RealDisk::new(dir);
    let io = |name: &str, source| ReadError::Io { path: dir.join(name), source };
    let segments = disk.files().map(segment::sorted).map_err(|error| io("", error))?;
    let firsts = segments.iter().filter_map(|name| segment::first(name));
    let next: Vec<u64> = firsts.skip(1).collect();
    let gone = segments.iter().zip(next).filter(|(_, next)| *next <= seq);
    let gone: Vec<(&String, u64)> = gone.collect();
    let Some((last, next)) = gone.last() else { return Ok(None) };
    let notes = removed::read(&disk).map_err(|error| io(removed::FILE, error))?;
    let from = notes.last().map_or(Head::GENESIS, |note| Head { seq: note.last, hash: note.hash });
    let to = Head { seq: next - 1, hash: last_hash(&disk, last)? };
    let note = match to.seq > from.seq {
        true => {
            let keys = keys::ready(&disk).map_err(|error| io(keys::KEY, error))?;
            let note = Removed::sign(&keys, from, to, why);
            removed::add(&disk, &note).map_err(|error| io(removed::FILE, error))?;
            Some(note)
        }
        // A removal that was interrupted has left its note.
        false => notes.last().cloned(),
    };
    for (name, _) in &gone {
        disk.remove(name).map_err(|error| io(name, error))?;
    }
    disk.sync().map_err(|error| io("", error))?;
    Ok(note)
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

fn last_hash(disk: &RealDisk, name: &str) -> Result<crate::Digest, ReadError> {
    let io = |source| ReadError::Io { path: disk.dir().join(name), source };
    let mut lines = Lines::new(disk.read(name, 0).map_err(io)?, 0);
    let mut last = Vec::new();
    while let Piece::Line(line) = lines.next().map_err(io)? {
        last.clear();
        last.extend_from_slice(line);
    }
    let entry = Entry::from_line(&last);
    entry.map(|entry| entry.hash).map_err(|problem| io(io::Error::other(problem.to_string())))
}
