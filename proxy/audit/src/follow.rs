//! Reading a journal for display, also while it grows.

use std::io::{self, Read};
use std::path::Path;

use crate::disk::{Disk, RealDisk};
use crate::entry::Entry;
use crate::error::ReadError;
use crate::fault::Fault;
use crate::removed;
use crate::segment::{self, Lines, Piece};

/// Bytes read at once while looking for lines from the end.
const BLOCK_BYTES: u64 = 64 << 10;

/// The last `count` records of the journal in `dir`, oldest first.
///
/// # Errors
/// As [`Follower::last`], and the first line that is not a sound record.
pub fn tail(dir: &Path, count: u64) -> Result<Vec<Entry>, ReadError> {
    Follower::last(dir, count)?.collect()
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of its segment's first record.
    pub segment: u64,
    /// Its first byte in the segment.
    pub offset: u64,
}

impl Place {
    /// Before every record.
    pub const START: Self = Self { segment: 0, offset: 0 };

    /// The record that stands here in the journal in `dir`. Its own hash is checked.
    ///
    /// # Errors
    /// [`ReadError::Io`] if its segment cannot be read (it may have been removed), [`ReadError::Damaged`] if there is
    /// no sound record here.
    pub fn read(self, dir: &Path) -> Result<Entry, ReadError> {
        let (disk, segment) = (RealDisk::new(dir), segment::name(self.segment));
        let no_record = |kind| {
            let source = io::Error::new(kind, "no record stands there");
            ReadError::Io { path: dir.join(&segment), source }
        };
        let gone = removed::last_gone(&disk).map_err(|error| io(&disk, removed::FILE, error))?;
        if self.segment <= gone {
            return Err(no_record(io::ErrorKind::NotFound));
        }
        match Follower::at(disk, segment.clone(), self.offset).line()? {
            Some(line) => line.map_err(|fault| ReadError::Damaged(Box::new(fault))),
            None => Err(no_record(io::ErrorKind::UnexpectedEof)),
        }
    }
}

/// Reads records one after the other, over all segments.
///
/// As an iterator it yields `None` when it has caught up with the writer; asked again later, it goes
/// on with what was written since. Each record's own hash is checked, the chain is not: that is
/// [`crate::verify`]'s work. A line that is not sound yields an error, and the next call goes on
/// behind it.
pub struct Follower {
    disk: RealDisk,
    segment: String,
    /// Where the next line begins.
    offset: u64,
    lines: Option<Lines>,
    /// Where the last record that was returned stands.
    last: Place,
    /// A later segment, once it was seen: nothing is added to this one any more.
    next_segment: Option<String>,
}

impl Follower {
    /// Begins with the oldest record.
    ///
    /// # Errors
    /// [`ReadError::NoJournal`] if there is none, [`ReadError::Io`] if it cannot be read.
    pub fn first(dir: &Path) -> Result<Self, ReadError> {
        let disk = RealDisk::new(dir);
        match segments(&disk)?.into_iter().next() {
            Some(segment) => Ok(Self::at(disk, segment, 0)),
            None => Err(ReadError::NoJournal { dir: dir.into() }),
        }
    }

    /// Begins `count` records before the end, or with the oldest one if there are fewer. Reads only
    /// as much of the end as that takes.
    ///
    /// # Errors
    /// As [`Follower::first`].
    pub fn last(dir: &Path, count: u64) -> Result<Self, ReadError> {
        let disk = RealDisk::new(dir);
        let mut wanted = count;
        let mut start = None;
        for name in segments(&disk)?.into_iter().rev() {
            let (offset, found) =
                from_end(&disk, &name, wanted).map_err(|e| io(&disk, &name, e))?;
            wanted = wanted.saturating_sub(found);
            start = Some((name, offset));
            if wanted == 0 {
                break;
            }
        }
        match start {
            Some((segment, offset)) => Ok(Self::at(disk, segment, offset)),
            None => Err(ReadError::NoJournal { dir: dir.into() }),
        }
    }

    /// Goes on at `place`, where a record begins or will begin.
    ///
    /// # Errors
    /// As [`Follower::first`].
    pub fn from(dir: &Path, place: Place) -> Result<Self, ReadError> {
        if place == Place::START {
            return Self::first(dir);
        }
        Ok(Self::at(RealDisk::new(dir), segment::name(place.segment), place.offset))
    }

    /// Where the next record stands or will stand, unless it begins a later segment.
    #[must_use]
    pub fn place(&self) -> Place {
        let segment = segment::first(&self.segment).unwrap_or_default();
        Place { segment, offset: self.offset }
    }

    /// The next record and where it stands, or `None` if the writer has not finished one yet.
    ///
    /// # Errors
    /// A line that is not sound, or a file that cannot be read.
    pub fn next_placed(&mut self) -> Result<Option<(Place, Entry)>, ReadError> {
        let Some(entry) = self.advance()? else { return Ok(None) };
        Ok(Some((self.last, entry)))
    }

    /// The line of the record that was returned last, without its end.
    #[must_use]
    pub fn last_line(&self) -> &[u8] {
        self.lines.as_ref().map(Lines::last).unwrap_or_default()
    }

    fn at(disk: RealDisk, segment: String, offset: u64) -> Self {
        Self { disk, segment, offset, lines: None, last: Place::START, next_segment: None }
    }

    /// The next record, or `None` if the writer has not finished one yet.
    fn advance(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            if let Some(line) = self.line()? {
                return line.map(Some).map_err(|fault| ReadError::Damaged(Box::new(fault)));
            }
            match self.next_segment.take() {
                Some(next) => {
                    let disk = RealDisk::new(self.disk.dir());
                    *self = Self::at(disk, next, 0);
                }
                // Look for a later segment, then once more at the end of this one: what was added
                // between the two looks must not be passed over.
                None => {
                    let mut later = segments(&self.disk)?.into_iter();
                    self.next_segment = later.find(|name| *name > self.segment);
                    if self.next_segment.is_none() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads the next whole line of this segment, if there is one.
    fn line(&mut self) -> Result<Option<Result<Entry, Fault>>, ReadError> {
        let fail = |error| io(&self.disk, &self.segment, error);
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => {
                let source = self.disk.read(&self.segment, self.offset).map_err(fail)?;
                Lines::new(source, self.offset)
            }
        };
        let (length, entry) = match lines.next().map_err(fail)? {
            Piece::Line(line) => (line.len() as u64 + 1, Entry::from_line(line)),
            // An unfinished line is read again from its beginning next time.
            Piece::Torn(_) | Piece::TooLong | Piece::End => return Ok(None),
        };
        let offset = self.offset;
        self.last = self.place();
        self.offset += length;
        self.lines = Some(lines);
        let (segment, line, seq) = (self.segment.clone(), None, None);
        Ok(Some(entry.map_err(|problem| Fault { segment, line, offset, seq, problem })))
    }
}

impl Iterator for Follower {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("segment", &self.segment)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

fn segments(disk: &RealDisk) -> Result<Vec<String>, ReadError> {
    removed::kept(disk).map_err(|error| io(disk, "", error))
}

fn io(disk: &RealDisk, name: &str, source: io::Error) -> ReadError {
    ReadError::Io { path: disk.dir().join(name), source }
}

/// Where the last `wanted` whole lines of a file begin, and how many there are.
fn from_end(disk: &RealDisk, name: &str, wanted: u64) -> io::Result<(u64, u64)> {
    let mut end = disk.length(name)?;
    // A line begins behind a newline, so the newline before the first wanted line is looked for.
    let mut newlines = 0;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK_BYTES);
        let mut block = Vec::new();
        disk.read(name, begin)?.take(end - begin).read_to_end(&mut block)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            newlines += 1;
            if newlines > wanted {
                return Ok((begin + index as u64 + 1, wanted));
            }
        }
        end = begin;
    }
    Ok((0, newlines))
}
