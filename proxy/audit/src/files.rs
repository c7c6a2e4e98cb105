//! The files of a log, for whoever copies them as they stand.
//!
//! Segments, `journal.pub` and, where segments were removed, `removed.jsonl` are what [`crate::verify`] needs.

use std::path::{Path, PathBuf};

use crate::disk::{Disk as _, RealDisk};
use crate::error::ReadError;
use crate::{keys, removed, segment};

/// Name of the file that holds the public key.
pub const PUBLIC_KEY: &str = keys::PUBLIC;
/// Name of the file that holds the secret. It is never copied.
pub const SECRET_KEY: &str = keys::KEY;
/// Name of the file that holds the notes about removed segments.
pub const REMOVED: &str = removed::FILE;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The number of its first record.
    pub first: u64,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes. Nothing changes it once there is a later segment.
    pub bytes: u64,
}

/// The notes about removed segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    /// The number of the last record that is gone.
    pub last: u64,
    /// The whole lines of the file.
    pub text: String,
}

/// The segments of the log in `dir`, oldest first.
///
/// # Errors
/// When the directory or a file in it cannot be read.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, ReadError> {
    let disk = RealDisk::new(dir);
    let io = |path: PathBuf| |source| ReadError::Io { path, source };
    let names = removed::kept(&disk).map_err(io(dir.to_owned()))?;
    let segments = names.into_iter().filter_map(|name| {
        let (first, path) = (segment::first(&name)?, dir.join(&name));
        match disk.length(&name) {
            Ok(bytes) => Some(Ok(Segment { first, path, bytes })),
            // It has just been removed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(io(path)(error))),
        }
    });
    segments.collect()
}

/// The notes about what was removed from the log in `dir`, if something was.
///
/// # Errors
/// When they cannot be read.
pub fn notes(dir: &Path) -> Result<Option<Notes>, ReadError> {
    let disk = RealDisk::new(dir);
    let read = removed::text(&disk).and_then(|text| Ok((removed::parse(&text)?, text)));
    let (notes, text) = read.map_err(|source| ReadError::Io { path: dir.join(REMOVED), source })?;
    Ok(notes.last().map(|note| Notes { last: note.last, text }))
}

/// The name of the segment whose first record has this number.
#[must_use]
pub fn name(first: u64) -> String {
    segment::name(first)
}

/// The number of the first record, from a segment's name; nothing for any other name.
#[must_use]
pub fn first(name: &str) -> Option<u64> {
    segment::first(name)
}
