//! The thread that owns the chain: it numbers, links and hashes records and writes whole batches.

use std::io;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;

use crate::anchor::Anchors;
use crate::checkpoint::{Anchor, Checkpoint};
use crate::disk::{self, Disk, DiskFile};
use crate::entry::{Abandoned, Body, Own, Sealed, Started};
use crate::error::{JournalError, Misuse};
use crate::keys::Keys;
use crate::ledger::{Ledger, OPEN_LIMIT};
use crate::line::{FRAME_BYTES, Head};
use crate::queue::{Batch, Content, FailOnPanic, Pending, Shared, Step, Taken};
use crate::receipt::Promise;
use crate::record::Text;
use crate::segment;
use crate::tree::Tree;
use crate::words::StartReason;

/// Most bytes of one write: a batch beyond it is split, so that the first records of a large batch
/// need not wait for the last to be hashed.
const WRITE_BYTES: usize = 1 << 20;

/// Up to so many open requests, each record is written as it comes.
const FEW_OPEN: usize = 8;

/// How long records are gathered for each request that is open: of so many that are under way, some are about to end,
/// and they wait for each other at the disk anyway.
const GATHER_EACH: Duration = Duration::from_micros(15);

/// How long records are gathered at most.
const GATHER: Duration = Duration::from_millis(1);

/// How often what was written is signed: so much is covered by the chain alone. Whoever verifies allows some more.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// How often a checkpoint is noted elsewhere, besides at the end of a segment and of the journal.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// Whether a checkpoint is noted elsewhere in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noted {
    AtOnce,
    NowAndThen,
    /// It covers nothing that the one before does not.
    No,
}

/// What `started` records name as their writer.
const SOFTWARE: &str = concat!("portcullis ", env!("CARGO_PKG_VERSION"));

/// The open segment.
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Length in bytes, up to the last batch that was written in full.
    pub(crate) length: u64,
}

/// Everything that the writer's thread owns.
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) segment: Segment,
    pub(crate) head: Head,
    pub(crate) ledger: Ledger,
    /// Bytes of records, after the `started` record, that fill a segment.
    pub(crate) segment_bytes: u64,
    /// Bytes of records in this segment, written or staged, after its `started` record.
    pub(crate) filled: u64,
    /// What signs, and fingerprints texts.
    pub(crate) keys: Keys,
    pub(crate) signing: Signing,
    /// Lines to write next, and the receipts that go with them.
    pub(crate) staged: Staged,
}

/// What is to be signed next.
pub(crate) struct Signing {
    /// The hashes of the records of this segment.
    pub(crate) tree: Tree,
    /// The number of its first record.
    pub(crate) segment: u64,
    /// Records behind the last checkpoint.
    pub(crate) unsigned: u64,
    /// When the last checkpoint was signed.
    pub(crate) signed: Timestamp,
    /// Who notes checkpoints elsewhere, and when the last one was given to them.
    pub(crate) anchors: Option<Anchors>,
    pub(crate) anchored: Option<Instant>,
}

impl Signing {
    /// How long until the next checkpoint is due. By the clock that records are dated by, so that none of them is dated
    /// much later than the checkpoint before it; a clock that was put back makes it due now.
    fn until_due(&self) -> Duration {
        let since = Duration::try_from(Timestamp::now().duration_since(self.signed));
        SIGN_EVERY.saturating_sub(since.unwrap_or(SIGN_EVERY))
    }
}

/// What the next write holds.
#[derive(Default)]
pub(crate) struct Staged {
    lines: Vec<u8>,
    promises: Vec<Promise>,
    /// Whether somebody waits until this is durable: all but opened records.
    urgent: bool,
    /// Reused for the bodies of the journal's own records.
    body: Vec<u8>,
}

impl Writer {
    /// The thread: batch after batch until the journal closes, then the seal.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _guard = FailOnPanic(&shared);
        let mut batch = Batch::default();
        loop {
            let taken = self.next(&mut batch);
            if taken == Taken::Closed {
                break;
            }
            if let Err(error) = self.write_batch(&mut batch) {
                self.abort(&mut batch, error);
                return;
            }
        }
        if let Err(error) = self.seal() {
            self.abort(&mut batch, error);
        }
        shared.syncs.stop();
    }

    /// The next batch. While many requests are open, more records are about to come: waiting for them a moment
    /// saves writes, syncs and wake-ups.
    fn next(&self, batch: &mut Batch) -> Taken {
        let open = self.ledger.open_count();
        if open > FEW_OPEN {
            let each = u32::try_from(open).unwrap_or(u32::MAX);
            thread::sleep(GATHER_EACH.saturating_mul(each).min(GATHER));
        }
        let unsigned = self.signing.unsigned > 0;
        self.shared.queue.take(batch, unsigned.then(|| self.signing.until_due()))
    }

    /// Writes the first records of this process: `started`, the end of every request that the process before left open,
    /// and their signature. Nothing is acknowledged before they are durable.
    pub(crate) fn begin(&mut self, reason: StartReason) -> io::Result<Vec<Uuid>> {
        let open = self.ledger.open_ids();
        self.stage_started(reason, open.clone())?;
        for id in &open {
            let abandoned = Abandoned { id: *id, time: Timestamp::now() };
            self.stage_own(Own::Abandoned(&abandoned))?;
            self.ledger.close(*id).map_err(io::Error::other)?;
        }
        self.checkpoint(Noted::AtOnce)?;
        self.write_staged()?;
        self.segment.file.sync()?;
        self.disk.sync()?;
        self.shared.counters.reached(self.head.seq);
        self.staged.promises.drain(..).for_each(Promise::durable);
        Ok(open)
    }

    fn write_batch(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        self.sign_first().map_err(unencoded)?;
        let mut rest = batch.bytes.as_slice();
        while let Some(Pending { content, step, promise }) = batch.pending.pop_front() {
            match content {
                Content::Body(length) => {
                    let (body, after) = rest.split_at_checked(length).unwrap_or_default();
                    rest = after;
                    self.stage((step, promise), body)?;
                }
                Content::Late(examined) => {
                    let mut body = mem::take(&mut self.staged.body);
                    body.clear();
                    examined.render(&mut body, Some(&self.keys.text));
                    let staged = self.stage((step, promise), &body);
                    self.staged.body = body;
                    staged?;
                }
            }
        }
        batch.bytes.clear();
        batch.late_bytes = 0;
        self.flush()
    }

    /// Signs before anything is written that comes too long after the last checkpoint, also where that covers all there
    /// is: by its date nobody could tell it from a forgery, and the process may be killed before it is signed.
    fn sign_first(&mut self) -> io::Result<()> {
        if !self.signing.until_due().is_zero() {
            return Ok(());
        }
        let noted = if self.signing.unsigned > 0 { Noted::NowAndThen } else { Noted::No };
        self.checkpoint(noted)
    }

    /// Adds a checkpoint of everything before it to the next write. Nobody waits for it.
    fn checkpoint(&mut self, noted: Noted) -> io::Result<()> {
        let signed = (self.signing.segment, self.signing.tree.root());
        let checkpoint = Checkpoint::sign(&self.keys, self.head, signed, Timestamp::now());
        let Head { seq, hash } = self.head;
        let (urgent, filled) = (self.staged.urgent, self.filled);
        self.stage_own(Own::Checkpoint(&checkpoint))?;
        // It is not counted, as `started` is not, so that a segment of small size still takes records.
        (self.staged.urgent, self.filled) = (urgent, filled);
        (self.signing.unsigned, self.signing.signed) = (0, checkpoint.time);
        let due = self.signing.anchored.is_none_or(|then| then.elapsed() >= ANCHOR_EVERY);
        let is_noted = noted == Noted::AtOnce || (noted == Noted::NowAndThen && due);
        if let Some(anchors) = self.signing.anchors.as_ref().filter(|_| is_noted) {
            let (promise, receipt) = Promise::new();
            self.staged.promises.push(promise);
            self.signing.anchored = Some(Instant::now());
            // Nobody notes anything any more if that thread is gone; then it has said so.
            drop(anchors.send((Anchor { seq, hash, checkpoint }, receipt)));
        }
        Ok(())
    }

    /// Adds one record to the next write.
    fn stage(&mut self, (step, promise): (Step, Promise), body: &[u8]) -> Result<(), JournalError> {
        if self.filled.saturating_add((body.len() + FRAME_BYTES) as u64) > self.segment_bytes
            && self.filled > 0
            && let Err(error) = self.rotate()
        {
            self.shared.fail(error.clone());
            promise.fail(error.clone());
            return Err(error);
        }
        self.staged.urgent |= !matches!(step, Step::Open(_) | Step::Examine(_));
        if let Err(refusal) = self.book(step) {
            promise.fail(refusal);
            return Ok(());
        }
        self.stage_body(body);
        self.staged.promises.push(promise);
        if self.staged.lines.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Refuses what the verifier would not accept.
    fn book(&mut self, step: Step) -> Result<(), JournalError> {
        let (id, booked) = match step {
            Step::Open(_) if self.ledger.open_count() >= OPEN_LIMIT => {
                return Err(JournalError::Overloaded);
            }
            Step::Open(id) => (id, self.ledger.open(id)),
            Step::Release(id) | Step::Examine(id) => (id, self.ledger.release(id)),
            Step::Close(id) => (id, self.ledger.close(id)),
            Step::Note => return Ok(()),
        };
        booked.map_err(|misuse: Misuse| JournalError::Misuse { id, misuse })
    }

    fn stage_body(&mut self, body: &[u8]) {
        let before = self.staged.lines.len();
        self.head.write(&mut self.staged.lines, body);
        self.filled += (self.staged.lines.len() - before) as u64;
        self.signing.tree.push(self.head.hash);
        self.signing.unsigned += 1;
    }

    /// Adds a record of the journal itself.
    fn stage_own(&mut self, record: Own<'_>) -> io::Result<()> {
        let mut buffer = mem::take(&mut self.staged.body);
        let body = Body::Own(record).render(&mut buffer)?;
        self.stage_body(body);
        self.staged.urgent = true;
        self.staged.body = buffer;
        Ok(())
    }

    fn stage_started(&mut self, reason: StartReason, open: Vec<Uuid>) -> io::Result<()> {
        self.ledger.restart(&open);
        let (time, software) = (Timestamp::now(), Text::Borrowed(SOFTWARE));
        let filled = self.filled;
        self.stage_own(Own::Started(&Started { time, reason, software, open }))?;
        // It is not counted: a segment that begins with many open requests still takes records.
        self.filled = filled;
        Ok(())
    }

    /// Writes what is staged, in one call where the system takes it at once.
    fn flush(&mut self) -> Result<(), JournalError> {
        if self.staged.lines.is_empty() {
            return Ok(());
        }
        self.write_staged()
            .map_err(|error| JournalError::failed("writing to the journal", error))?;
        self.staged.promises.iter().for_each(Promise::written);
        let urgent = mem::take(&mut self.staged.urgent);
        let settled = (&mut self.staged.promises, urgent);
        self.shared.syncs.push(&self.shared, (&self.segment.file, self.head.seq), settled);
        Ok(())
    }

    fn write_staged(&mut self) -> io::Result<()> {
        if let Err(error) = disk::write_all(&*self.segment.file, &self.staged.lines) {
            // A part of it may be in the file. Nobody was told that it is; take it out again if the
            // disk still lets us, else the restart finds a torn line or records without receipts.
            drop(self.segment.file.truncate(self.segment.length));
            return Err(error);
        }
        self.segment.length += self.staged.lines.len() as u64;
        self.staged.lines.clear();
        Ok(())
    }

    /// Goes on in a new segment. The old one is durable before the new one exists, so a power cut
    /// can never keep the new and lose the end of the old.
    fn rotate(&mut self) -> Result<(), JournalError> {
        self.checkpoint(Noted::AtOnce).map_err(unencoded)?;
        self.flush()?;
        self.shared.syncs.drain(&self.shared)?;
        let name = segment::name(self.head.seq + 1);
        let begun = self.disk.create(&name).and_then(|file| {
            self.disk.sync()?;
            self.segment = Segment { file, length: 0 };
            self.filled = 0;
            (self.signing.tree, self.signing.segment) = (Tree::default(), self.head.seq + 1);
            self.stage_started(StartReason::Rotated, self.ledger.open_ids())?;
            self.checkpoint(Noted::NowAndThen)
        });
        begun.map_err(|error| JournalError::failed("beginning a segment", error))
    }

    fn seal(&mut self) -> Result<(), JournalError> {
        self.shared.health()?;
        let still_open = self.ledger.open_count() as u64;
        self.sign_first()
            .and_then(|()| {
                self.stage_own(Own::Sealed(&Sealed { time: Timestamp::now(), still_open }))
            })
            .and_then(|()| self.checkpoint(Noted::AtOnce))
            .map_err(unencoded)?;
        self.flush()?;
        self.shared.syncs.drain(&self.shared)
    }

    /// Fails the journal, then everything that this thread holds: whoever is told of a failure finds
    /// it in the journal's health.
    fn abort(&mut self, batch: &mut Batch, error: JournalError) {
        self.shared.fail(error.clone());
        self.staged.promises.drain(..).for_each(|promise| promise.fail(error.clone()));
        batch.pending.drain(..).for_each(|pending| pending.promise.fail(error.clone()));
    }
}

fn unencoded(error: io::Error) -> JournalError {
    JournalError::failed("encoding a record", error)
}
