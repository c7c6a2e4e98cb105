//! The journal as its callers see it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use jiff::Timestamp;

use crate::anchor;
use crate::disk::{Disk, RealDisk};
use crate::entry::{Body, Own};
use crate::error::JournalError;
use crate::examined::Examined;
use crate::keys;
use crate::line::{FRAME_BYTES, LINE_BYTES};
use crate::people::{Acted, Revealed, Reviewed};
use crate::queue::{Shared, Step};
use crate::receipt::{Promise, Receipt};
use crate::record::{Closed, Opened, Released};
use crate::recover::{self, Recovery};
use crate::stats::Stats;
use crate::syncer;
use crate::writer::{Signing, Staged, Writer};

/// Default size of a segment, in bytes: a restart reads one in well under a second.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Default limit of the queue, in bytes: some 30 000 records, seconds of load on a slow disk.
const QUEUE_BYTES: usize = 32 << 20;

/// A scratch buffer beyond this many bytes is given back instead of kept for the next record.
const SCRATCH_BYTES: usize = 64 << 10;

thread_local! {
    /// Where a thread renders its records, reused so that appending does not allocate.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What an operator may want to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes after which a new segment is begun. A restart reads one segment.
    pub segment_bytes: u64,
    /// Bytes of records that may wait for the disk. New requests are refused at half of it, so that
    /// the decisions about accepted ones still find room.
    pub queue_bytes: usize,
    /// A file elsewhere to which signed checkpoints are appended, so that a log that was cut or put back shows.
    pub anchor: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, queue_bytes: QUEUE_BYTES, anchor: None }
    }
}

/// An open journal. Appending never blocks and needs no particular runtime.
///
/// Dropping it closes it, which blocks until everything is on the disk; prefer [`Journal::close`],
/// which says whether that worked.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<()>,
    syncer: JoinHandle<()>,
    anchorer: Option<JoinHandle<()>>,
    /// Released after both threads have ended.
    _lock: Box<dyn Send>,
}

impl Journal {
    /// Opens the journal in `dir`, creating it if need be, and gets it ready: an unfinished last
    /// line is moved aside and requests without an end are marked abandoned. Reads the last segment.
    /// Blocks; when it returns, its own first records are on the disk.
    ///
    /// # Errors
    /// [`JournalError::Locked`] if another process has the directory, [`JournalError::Damaged`] if
    /// its last segment is not sound, [`JournalError::Directory`] if the system refuses.
    pub fn open(dir: &Path, options: &Options) -> Result<(Self, Recovery), JournalError> {
        Self::open_on(Arc::new(RealDisk::new(dir)), options)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        options: &Options,
    ) -> Result<(Self, Recovery), JournalError> {
        let unusable = |during, error| recover::unusable(&*disk, during, error);
        disk.prepare().map_err(|error| unusable("creating it", error))?;
        let lock = disk.lock().map_err(|error| unusable("locking it", error))?;
        let lock = lock.ok_or_else(|| JournalError::Locked { dir: disk.dir().into() })?;
        let keys = keys::ready(&*disk).map_err(|error| unusable("reading its key", error))?;
        let recovered = recover::recover(&*disk, keys.public())?;
        let shared = Arc::new(Shared::new(options.queue_bytes));
        let (reason, mut report) = (recovered.reason, recovered.report.clone());
        let (anchors, anchorer) = match options.anchor.clone() {
            None => (None, None),
            Some(file) => {
                let started = anchor::start(file, &disk, &shared);
                let (anchors, thread) =
                    started.map_err(|error| unusable("opening the file for checkpoints", error))?;
                (Some(anchors), Some(thread))
            }
        };
        let signing = Signing {
            tree: recovered.scan.signatures.tree.clone(),
            segment: recovered.first,
            unsigned: 0,
            signed: Timestamp::now(),
            anchors,
            anchored: None,
        };
        let mut writer = Writer {
            disk: Arc::clone(&disk),
            shared: Arc::clone(&shared),
            head: recovered.head(),
            filled: recovered.segment.length,
            segment: recovered.segment,
            ledger: recovered.scan.ledger,
            segment_bytes: options.segment_bytes,
            keys,
            signing,
            staged: Staged::default(),
        };
        report.abandoned =
            writer.begin(reason).map_err(|error| unusable("writing its first records", error))?;
        let threads = start(&shared, writer, (lock, anchorer))
            .map_err(|error| unusable("starting its threads", error))?;
        Ok((Self { shared, threads: Mutex::new(Some(threads)) }, report))
    }

    /// Appends that a request was accepted. Refusals come through the receipt.
    pub fn append_opened(&self, opened: &Opened) -> Receipt {
        self.append(&Body::Opened(opened), Step::Open(opened.id))
    }

    /// Appends that part of an answer is let go. Refusals come through the receipt.
    pub fn append_released(&self, released: &Released) -> Receipt {
        self.append(&Body::Released(released), Step::Release(released.id))
    }

    /// Appends what is kept of the texts of a request that is open. Refusals come through the receipt.
    ///
    /// The texts are moved, not copied: masking, cutting and writing them is left to the journal's thread.
    pub fn append_examined(&self, examined: Box<Examined>) -> Receipt {
        self.shared.push_late(examined)
    }

    /// Appends how a request ended. Refusals come through the receipt.
    pub fn append_closed(&self, closed: &Closed) -> Receipt {
        self.append(&Body::Closed(closed), Step::Close(closed.id))
    }

    /// Appends what somebody says about decisions. Refusals come through the receipt.
    pub fn append_reviewed(&self, reviewed: &Reviewed) -> Receipt {
        self.append(&Body::Own(Own::Reviewed(reviewed)), Step::Note)
    }

    /// Appends that somebody is shown kept text: wait until it is durable before showing any. Refusals come through
    /// the receipt.
    pub fn append_revealed(&self, revealed: &Revealed) -> Receipt {
        self.append(&Body::Own(Own::Revealed(revealed)), Step::Note)
    }

    /// Appends what somebody did. Refusals come through the receipt.
    pub fn append_acted(&self, acted: &Acted) -> Receipt {
        self.append(&Body::Own(Own::Acted(acted)), Step::Note)
    }

    /// The caller's thread renders its own record, so the one writer is left with copying, hashing
    /// and writing.
    fn append(&self, body: &Body<'_>, step: Step) -> Receipt {
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        let receipt = match body.render(&mut scratch) {
            Ok(body) if body.len() > LINE_BYTES - FRAME_BYTES => refused(JournalError::TooLong),
            Ok(body) => self.shared.push(body, step),
            Err(error) => refused(JournalError::failed("encoding a record", error.into())),
        };
        if scratch.capacity() <= SCRATCH_BYTES {
            // It fails only while the thread ends, when there is nothing to keep it for.
            SCRATCH.try_with(|cell| cell.set(scratch)).unwrap_or_default();
        }
        receipt
    }

    /// Whether the journal still takes records.
    ///
    /// # Errors
    /// The failure that ended it: the proxy must not accept requests any more.
    pub fn health(&self) -> Result<(), JournalError> {
        self.shared.health()
    }

    /// What it has counted, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Writes and syncs everything that was appended, ends the journal with a `sealed` record and
    /// gives up the directory. Blocks until that is done; a second call has nothing to do.
    ///
    /// # Errors
    /// The failure that ended the journal, now or earlier: it is then not sealed.
    pub fn close(&self) -> Result<(), JournalError> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Threads { writer, syncer, anchorer, _lock }) = threads {
            self.shared.queue.close();
            // A thread that panicked has failed the journal before it ended.
            drop(writer.join());
            self.shared.syncs.stop();
            drop(syncer.join());
            anchorer.map(anchor::finish).unwrap_or_default();
        }
        self.shared.health()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.close());
    }
}

fn refused(error: JournalError) -> Receipt {
    let (promise, receipt) = Promise::new();
    promise.fail(error);
    receipt
}

fn start(
    shared: &Arc<Shared>,
    writer: Writer,
    (lock, anchorer): (Box<dyn Send>, Option<JoinHandle<()>>),
) -> std::io::Result<Threads> {
    let syncs = Arc::clone(shared);
    let syncer = Builder::new().name("audit-sync".into()).spawn(move || syncer::run(&syncs))?;
    match Builder::new().name("audit-write".into()).spawn(move || writer.run()) {
        Ok(writer) => Ok(Threads { writer, syncer, anchorer, _lock: lock }),
        Err(error) => {
            shared.syncs.stop();
            drop(syncer.join());
            Err(error)
        }
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Threads")
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("health", &self.health()).finish_non_exhaustive()
    }
}
