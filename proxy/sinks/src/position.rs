//! Up to where a sink was sent the log: a small file beside it.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proxy_audit::{Digest, Place};

use crate::error::SinkError;

const PREFIX: &str = "sink-";
const SUFFIX: &str = ".position";

/// The last record that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) place: Place,
    /// 0: none was.
    pub(crate) seq: u64,
    pub(crate) hash: Digest,
}

impl Position {
    /// Before every record.
    pub(crate) const START: Self = Self { place: Place::START, seq: 0, hash: Digest::GENESIS };

    /// As `file` says; nothing if there is no such file, or something else in it.
    fn read(file: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces `file`, so that it always holds a whole position.
    fn write(&self, file: &Path) -> io::Result<()> {
        let dir = file.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(dir)?;
        writeln!(new, "{self}")?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    }
}

/// Segment, byte, number and hash of the record.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { segment, offset } = self.place;
        write!(f, "{segment} {offset} {} {}", self.seq, self.hash)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (segment, offset, seq) = (number(), number(), number());
        let hash = words.next().and_then(|word| word.parse().ok());
        match (segment, offset, seq, hash, words.next()) {
            (Some(segment), Some(offset), Some(seq), Some(hash), None) => {
                Ok(Self { place: Place { segment, offset }, seq, hash })
            }
            _ => Err(()),
        }
    }
}

/// The file in which a sink remembers its position.
#[derive(Debug)]
pub(crate) struct PositionFile(PathBuf);

impl PositionFile {
    /// That of the sink of this name, and what it says, as far as `holds`; from now on records are kept for it.
    pub(crate) fn open(
        dir: &Path,
        name: &str,
        holds: impl FnOnce(&Position) -> bool,
    ) -> Result<(Self, Position), SinkError> {
        let file = Self(file(dir, name));
        let known = Position::read(&file.0).map_err(|source| file.unusable(source))?;
        let position = known.filter(holds).unwrap_or(Position::START);
        if known != Some(position) {
            file.write(&position)?;
        }
        Ok((file, position))
    }

    pub(crate) fn write(&self, position: &Position) -> Result<(), SinkError> {
        position.write(&self.0).map_err(|source| self.unusable(source))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn unusable(&self, source: io::Error) -> SinkError {
        SinkError::Position { path: self.0.clone(), source }
    }
}

/// Where the sink of this name remembers its position.
fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{PREFIX}{name}{SUFFIX}"))
}

/// What a sink has not been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The number of the first such record.
    pub first: u64,
    /// The file that says so. Without it nothing is kept for that sink.
    pub file: PathBuf,
}

/// The sink of the log in `dir` that is the farthest behind, if any was ever sent there.
///
/// # Errors
/// When the directory or a position cannot be read.
pub fn unsent(dir: &Path) -> io::Result<Option<Unsent>> {
    let mut behind = None::<Unsent>;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            continue;
        }
        // What says nothing was sent nothing.
        let position = Position::read(&entry.path())?.unwrap_or(Position::START);
        let one = Unsent { first: position.seq + 1, file: entry.path() };
        if behind.as_ref().is_none_or(|other| one.first < other.first) {
            behind = Some(one);
        }
    }
    Ok(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_what_was_written_and_the_farthest_behind_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unsent(dir.path()).unwrap(), None);
        let place = Place { segment: 1, offset: 420 };
        let ahead = Position { place, seq: 7, hash: Digest::GENESIS };
        let nats = file(dir.path(), "nats");
        ahead.write(&nats).unwrap();
        Position { seq: 5, ..ahead }.write(&nats).unwrap();
        assert_eq!(Position::read(&nats).unwrap(), Some(Position { seq: 5, ..ahead }));
        ahead.write(&file(dir.path(), "other")).unwrap();
        assert_eq!(unsent(dir.path()).unwrap(), Some(Unsent { first: 6, file: nats.clone() }));
        for other in ["", "1 2 3", "1 2 3 b3:", "1 2 x b3:00", "\u{0}"] {
            std::fs::write(&nats, other).unwrap();
            assert_eq!(Position::read(&nats).unwrap(), None, "{other:?}");
            assert_eq!(
                unsent(dir.path()).unwrap().unwrap().first,
                1,
                "nothing is known to be sent"
            );
        }
    }
}
