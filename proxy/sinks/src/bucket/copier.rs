//! Copies a log as it grows: whole segments, and meanwhile the end of the last one in parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path as Key;
use proxy_audit::files::{self, Segment};
use proxy_audit::{Follower, Journal, Place, PublicKey, ReadError};
use tokio::sync::watch;

use super::names::Name;
use super::store::{Objects, Store, unusable};
use super::{Bucket, folder_of};
use crate::counts::Counts;
use crate::error::{SinkError, chain};
use crate::position::{Position, PositionFile};
use crate::sink::Wish;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What is sent of the end at once: a little more than this, up to the end of a record.
const TAIL_BYTES: usize = 4 << 20;

/// A log on its way to an object store.
#[derive(Debug)]
pub(crate) struct Copier {
    bucket: Bucket,
    dir: PathBuf,
    /// Where it is remembered what is there.
    file: PositionFile,
    journal: Arc<Journal>,
    counts: Arc<Counts>,
    /// The last record of the last segment up to which all are there, whole and compared.
    kept: u64,
    /// The last record that is there, in a segment or in a part of one.
    reached: u64,
}

/// A session's view of the store.
struct Session {
    store: Store,
    log: Key,
    /// What is there.
    there: Objects,
    /// Whether parts that nobody needs any more can be removed, as far as is known.
    may_remove: bool,
}

impl Copier {
    /// The log in `dir`, from where the sink that counts here was left.
    pub(crate) fn open(
        bucket: Bucket,
        dir: &Path,
        journal: Arc<Journal>,
        counts: Arc<Counts>,
    ) -> Result<Self, SinkError> {
        let (file, kept) = PositionFile::open(dir, counts.sink, |known| is_of(known, dir))?;
        let (dir, kept) = (dir.to_owned(), kept.seq);
        counts.reached(kept);
        Ok(Self { bucket, dir, file, journal, counts, kept, reached: kept })
    }

    /// The number of the last record that is there.
    pub(crate) fn reached(&self) -> u64 {
        self.reached
    }

    /// Copies what there is until it is to finish; never ends well before that.
    pub(crate) async fn session(
        &mut self,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Result<(), SinkError> {
        let mut session = self.begin().await?;
        let mut tail_due = Instant::now();
        loop {
            // Looked at before the log: what was written before the wish is sent, and what is durable is in its files.
            let finish = *wishes.borrow_and_update() == Wish::Finish;
            let durable = self.journal.stats().last_durable;
            let live = self.segments(&mut session, durable).await?;
            if let Some(live) = live
                && (finish || tail_due <= Instant::now())
            {
                self.tail(&mut session, live.first, durable).await?;
                tail_due = Instant::now() + self.bucket.settings.tail_every;
            }
            if finish {
                return Ok(());
            }
            // Whoever wishes something wakes it.
            drop(tokio::time::timeout(LOOK_EVERY, wishes.changed()).await);
        }
    }

    /// What is there is asked anew for each session: it counts, whatever is remembered here.
    async fn begin(&self) -> Result<Session, SinkError> {
        let store = self.bucket.open()?;
        let file = self.dir.join(files::PUBLIC_KEY);
        let text = std::fs::read_to_string(&file).map_err(unusable(&file))?;
        let log = store.log(&folder(&text).map_err(unusable(&file))?);
        let there = store.objects(&log).await?;
        let session = Session { store, log, there, may_remove: true };
        if !session.there.public_key {
            session.put_same(Name::PublicKey, text.into(), &file).await?;
        }
        self.counts.well();
        Ok(session)
    }

    /// Sees that all segments are there but the one that is written; that one, if they are.
    async fn segments(
        &mut self,
        session: &mut Session,
        durable: u64,
    ) -> Result<Option<Segment>, SinkError> {
        let segments = files::segments(&self.dir)?;
        session.notes(&self.dir).await?;
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.first > durable {
                return Ok(None);
            }
            self.missed(segment.first);
            self.segment(session, segment, next.first).await?;
        }
        session.clear(self.kept).await;
        Ok(segments.into_iter().next_back())
    }

    /// Says so if records before number `first` were gone before they were sent.
    fn missed(&mut self, first: u64) {
        let missed = first.saturating_sub(self.kept + 1);
        if self.kept > 0 && missed > 0 {
            let last = first - 1;
            tracing::error!(
                first = self.kept + 1,
                last,
                "segments were gone from the log before they were sent on"
            );
            self.counts.missed(missed);
            self.kept = last;
        }
    }

    /// Sees that a segment is there, behind which the one with record `next` begins.
    async fn segment(
        &mut self,
        session: &mut Session,
        segment: &Segment,
        next: u64,
    ) -> Result<(), SinkError> {
        let Segment { first, ref path, bytes } = *segment;
        let (last, known) = (next - 1, session.there.segments.get(&first));
        if last <= self.kept && known == Some(&bytes) {
            return Ok(());
        }
        if last <= self.kept && known.is_none() {
            tracing::warn!(
                segment = first,
                "a segment is gone from the object store; it is sent again"
            );
        }
        let made =
            session.store.keep(&Name::Segment(first).below(&session.log), path, bytes).await?;
        session.there.segments.insert(first, bytes);
        if last > self.kept {
            self.remember(next)?;
            self.counts.taken(last - first + 1, !made);
        }
        Ok(())
    }

    /// Remembers that everything before the segment with record `next` is there.
    fn remember(&mut self, next: u64) -> Result<(), SinkError> {
        let place = Place { segment: next, offset: 0 };
        let hash = place.read(&self.dir)?.prev;
        let position = Position { place, seq: next - 1, hash };
        self.file.write(&position)?;
        self.kept = position.seq;
        self.reach(self.kept);
        Ok(())
    }

    fn reach(&mut self, seq: u64) {
        self.reached = self.reached.max(seq);
        self.counts.reached(self.reached);
    }

    /// Sends what there is of the segment that is written, up to record number `durable`, and is not there yet.
    async fn tail(
        &mut self,
        session: &mut Session,
        segment: u64,
        durable: u64,
    ) -> Result<(), SinkError> {
        loop {
            let offset = session.there.tail_end(segment);
            let part = part(&self.dir, Place { segment, offset }, durable)?;
            if part.is_empty() {
                self.reach(durable);
                return Ok(());
            }
            let (name, length) = (Name::Tail(segment, offset), part.len() as u64);
            let file = self.dir.join(files::name(segment));
            session.put_same(name, part.into(), &file).await?;
            session.there.tail.insert((segment, offset), length);
        }
    }
}

impl Session {
    /// Makes an object, or sees that the one of this name is the same.
    async fn put_same(&self, name: Name, bytes: Bytes, file: &Path) -> Result<(), SinkError> {
        let key = name.below(&self.log);
        if self.store.put(&key, bytes.clone()).await? {
            return Ok(());
        }
        let mut rest = &*bytes;
        let mut same = true;
        let read = |piece: &[u8]| {
            match rest.strip_prefix(piece) {
                Some(left) => rest = left,
                None => same = false,
            }
            Ok(())
        };
        self.store.read(&key, read).await?;
        if same && rest.is_empty() {
            return Ok(());
        }
        let (key, file) = (key.to_string(), file.to_owned());
        Err(SinkError::Different { key, file, what: "another was there before".to_owned() })
    }

    /// Sees that the notes about removed segments are there, without which what is left would not verify.
    async fn notes(&mut self, dir: &Path) -> Result<(), SinkError> {
        if let Some(notes) = files::notes(dir)?
            && !self.there.removed.contains(&notes.last)
        {
            let file = dir.join(files::REMOVED);
            self.put_same(Name::Removed(notes.last), notes.text.into(), &file).await?;
            self.there.removed.insert(notes.last);
        }
        Ok(())
    }

    /// Removes the parts of segments that are there whole, of those with records up to number `kept`. Whoever may only add
    /// leaves them.
    async fn clear(&mut self, kept: u64) {
        let whole = |segment| segment <= kept && self.there.segments.contains_key(&segment);
        let parts = self.there.tail.keys().copied().filter(|(segment, _)| whole(*segment));
        for (segment, offset) in parts.collect::<Vec<_>>() {
            if !self.may_remove {
                return;
            }
            let key = Name::Tail(segment, offset).below(&self.log);
            match self.store.remove(&key).await {
                Ok(()) => drop(self.there.tail.remove(&(segment, offset))),
                Err(error) => {
                    tracing::debug!(error = chain(&error), "parts of the log are not removed");
                    self.may_remove = false;
                }
            }
        }
    }
}

/// Whether a position is of the log in `dir`, as far as can be seen: what it speaks of may have been removed since.
fn is_of(position: &Position, dir: &Path) -> bool {
    match position.place.read(dir) {
        Ok(entry) => entry.prev == position.hash,
        Err(_) => files::segments(dir).is_ok_and(|segments| {
            segments.first().is_some_and(|oldest| oldest.first > position.place.segment)
        }),
    }
}

/// The name of the folder of the log with this public key.
fn folder(key: &str) -> std::io::Result<String> {
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let key: PublicKey = key.parse().map_err(invalid)?;
    Ok(folder_of(&key.to_string()))
}

/// Records from a place on, as they stand: of its segment, up to number `durable`, and not many more bytes than
/// [`TAIL_BYTES`].
fn part(dir: &Path, from: Place, durable: u64) -> Result<Vec<u8>, ReadError> {
    let mut follower = Follower::from(dir, from)?;
    let mut part = Vec::new();
    while part.len() < TAIL_BYTES {
        match follower.next_placed()? {
            Some((place, entry)) if place.segment == from.segment && entry.seq <= durable => {
                part.extend_from_slice(follower.last_line());
                part.push(b'\n');
            }
            _ => break,
        }
    }
    Ok(part)
}
