//! Records as they go out, one after the other, and up to where they were taken.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_audit::{Follower, Journal, ReadError};

use crate::counts::Counts;
use crate::error::SinkError;
use crate::position::{Position, PositionFile};

/// How often the position is written while records are taken: what a killed process sends again.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// A record on its way.
pub(crate) struct Outgoing {
    pub(crate) at: Position,
    /// As it stands in the log.
    pub(crate) line: Vec<u8>,
}

/// The log as one sink reads it.
pub(crate) struct Feed {
    dir: PathBuf,
    file: PositionFile,
    journal: Arc<Journal>,
    counts: Arc<Counts>,
    follower: Option<Follower>,
    /// The number of the last record that was read.
    read: u64,
    /// The number of the last durable record, as it was when it was last asked for.
    durable: u64,
    taken: Position,
    kept: Position,
    kept_at: Instant,
}

impl Feed {
    /// The log in `dir`, from where the sink that counts here was left, or from the oldest record.
    pub(crate) fn open(
        dir: &Path,
        journal: Arc<Journal>,
        counts: Arc<Counts>,
    ) -> Result<Self, SinkError> {
        let (file, taken) = PositionFile::open(dir, counts.sink, |_| true)?;
        let (dir, kept_at) = (dir.to_owned(), Instant::now());
        counts.reached(taken.seq);
        let (follower, read, durable) = (None, 0, 0);
        Ok(Self {
            dir,
            file,
            journal,
            counts,
            follower,
            read,
            durable,
            taken,
            kept: taken,
            kept_at,
        })
    }

    /// Goes back behind the last record that was taken.
    pub(crate) fn rewind(&mut self) -> Result<(), ReadError> {
        self.follower = None;
        if self.taken.seq > 0 {
            match self.taken.place.read(&self.dir) {
                Ok(entry) if entry.seq == self.taken.seq && entry.hash == self.taken.hash => {
                    let mut follower = Follower::from(&self.dir, self.taken.place)?;
                    follower.next_placed()?;
                    (self.follower, self.read) = (Some(follower), self.taken.seq);
                    return Ok(());
                }
                // It was removed; what is missing shows by the numbers.
                Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(ReadError::Io { path, source }) if !is_end(&source) => {
                    return Err(ReadError::Io { path, source });
                }
                _ => {
                    tracing::warn!(
                        file = %self.file.path().display(),
                        "what was sent last is not in this log: all of it is sent again"
                    );
                    self.taken = Position::START;
                }
            }
        }
        let follower = Follower::first(&self.dir)?;
        self.read = follower.place().segment.saturating_sub(1);
        self.counts.reached(self.read);
        self.follower = Some(follower);
        Ok(())
    }

    /// The next record, or `None` if there is none yet that is durable.
    pub(crate) fn next(&mut self) -> Result<Option<Outgoing>, ReadError> {
        if self.read >= self.durable {
            self.durable = self.journal.stats().last_durable;
        }
        let Some(follower) = self.follower.as_mut().filter(|_| self.read < self.durable) else {
            return Ok(None);
        };
        loop {
            match follower.next_placed() {
                Ok(Some((place, entry))) => {
                    self.read = entry.seq;
                    let at = Position { place, seq: entry.seq, hash: entry.hash };
                    return Ok(Some(Outgoing { at, line: follower.last_line().to_vec() }));
                }
                Ok(None) => return Ok(None),
                Err(ReadError::Damaged(fault)) => {
                    tracing::error!(%fault, "a record of the log cannot be sent on");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The sink has taken everything up to here.
    pub(crate) fn taken(&mut self, at: Position) {
        let missed = at.seq.saturating_sub(self.taken.seq + 1);
        if self.taken.seq > 0 && missed > 0 {
            tracing::error!(
                first = self.taken.seq + 1,
                last = at.seq - 1,
                "records were gone from the log before they were sent on"
            );
            self.counts.missed(missed);
        }
        self.taken = at;
        self.counts.reached(at.seq);
    }

    /// The number of the last record that was taken.
    pub(crate) fn reached(&self) -> u64 {
        self.taken.seq
    }

    /// Remembers up to where, if that is due.
    pub(crate) fn keep_sometimes(&mut self) -> Result<(), SinkError> {
        if self.kept_at.elapsed() >= KEEP_EVERY { self.keep() } else { Ok(()) }
    }

    /// Remembers up to where.
    pub(crate) fn keep(&mut self) -> Result<(), SinkError> {
        if self.taken != self.kept {
            self.file.write(&self.taken)?;
            self.kept = self.taken;
        }
        self.kept_at = Instant::now();
        Ok(())
    }
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
