//! From any number of callers to the one writer, under a short lock.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::error::JournalError;
use crate::examined::Examined;
use crate::receipt::{Promise, Receipt};
use crate::stats::{Counters, Stats};
use crate::syncer::SyncQueue;

/// What the threads of one journal share.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) syncs: SyncQueue,
    pub(crate) counters: Counters,
    /// The first failure, for good.
    health: OnceLock<JournalError>,
}

impl Shared {
    pub(crate) fn new(queue_bytes: usize) -> Self {
        Self {
            queue: Queue::new(queue_bytes),
            syncs: SyncQueue::default(),
            counters: Counters::default(),
            health: OnceLock::new(),
        }
    }

    /// # Errors
    /// The failure that ended the journal.
    pub(crate) fn health(&self) -> Result<(), JournalError> {
        self.health.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    pub(crate) fn stats(&self) -> Stats {
        let queued_bytes = self.queue.lock().batch.waiting() as u64;
        Stats { queued_bytes, failed: self.health.get().is_some(), ..self.counters.stats() }
    }

    /// Ends the journal: whatever is on its way fails, and so does whatever comes.
    ///
    /// The failure is set before the queues are emptied under their locks, so an append either sees
    /// it or is emptied.
    pub(crate) fn fail(&self, error: JournalError) {
        let error = self.health.get_or_init(|| error);
        self.queue.fail(error);
        self.syncs.fail(error);
    }

    /// Hands over a record's body and what it does to the books.
    pub(crate) fn push(&self, body: &[u8], step: Step) -> Receipt {
        self.hand_over(body.len(), step, |batch| {
            batch.bytes.extend_from_slice(body);
            Content::Body(body.len())
        })
    }

    /// Hands over texts that the writer renders. Where they do not fit, what was examined is recorded without them: no
    /// record at all would say that nothing was.
    pub(crate) fn push_late(&self, mut examined: Box<Examined>) -> Receipt {
        // Texts leave room for decisions, as new requests do.
        if !self.queue.has_room(&self.queue.lock(), examined.weight(), Step::Note) {
            examined.forget(CROWDED);
        }
        let (weight, step) = (examined.weight(), Step::Examine(examined.id));
        self.hand_over(weight, step, |batch| {
            batch.late_bytes += weight;
            Content::Late(examined)
        })
    }

    fn hand_over(
        &self,
        weight: usize,
        step: Step,
        add: impl FnOnce(&mut Batch) -> Content,
    ) -> Receipt {
        let (promise, receipt) = Promise::new();
        let mut inner = self.queue.lock();
        let refusal = match self.health.get() {
            Some(failure) => Some(failure.clone()),
            None if inner.closing => Some(JournalError::Closed),
            None if !self.queue.has_room(&inner, weight, step) => Some(JournalError::Overloaded),
            None => None,
        };
        if let Some(refusal) = refusal {
            drop(inner);
            self.counters.refused();
            promise.fail(refusal);
            return receipt;
        }
        let content = add(&mut inner.batch);
        inner.batch.pending.push_back(Pending { content, step, promise });
        let idle = mem::take(&mut inner.writer_idle);
        drop(inner);
        if idle {
            self.queue.filled.notify_one();
        }
        receipt
    }
}

/// Why texts are not kept that came too thick and fast.
const CROWDED: &str = "the audit log could not take in the text at the time";

/// What a record does to the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Open(Uuid),
    Release(Uuid),
    Close(Uuid),
    Examine(Uuid),
    /// It is not about one request.
    Note,
}

/// A record on its way to the writer.
pub(crate) struct Pending {
    pub(crate) content: Content,
    pub(crate) step: Step,
    pub(crate) promise: Promise,
}

/// What a record says.
pub(crate) enum Content {
    /// The next so many bytes of the batch.
    Body(usize),
    /// Texts that are still to be masked, cut and rendered.
    Late(Box<Examined>),
}

/// What the writer takes at once: bodies back to back, so that queueing a record allocates nothing
/// once the buffers have grown.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pending: VecDeque<Pending>,
    /// What is not in `bytes` yet.
    pub(crate) late_bytes: usize,
}

impl Batch {
    /// Bytes that wait.
    fn waiting(&self) -> usize {
        self.bytes.len().saturating_add(self.late_bytes)
    }
}

#[derive(Default)]
struct Inner {
    batch: Batch,
    closing: bool,
    /// Whether the writer sleeps: a wake-up costs a system call, and only then is it needed.
    writer_idle: bool,
}

/// What a look into the queue has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Some,
    /// Nothing came in time.
    Nothing,
    /// The journal is closing, and nothing is left.
    Closed,
}

/// The queue before the writer.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    limit: usize,
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self { inner: Mutex::default(), filled: Condvar::new(), limit }
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New requests get half of the queue: the decision about a request that is already on record
    /// still finds room when new ones are turned away.
    fn has_room(&self, inner: &Inner, length: usize, step: Step) -> bool {
        let limit = match step {
            Step::Open(_) | Step::Note => self.limit / 2,
            Step::Release(_) | Step::Examine(_) | Step::Close(_) => self.limit,
        };
        inner.batch.waiting().saturating_add(length) <= limit
    }

    /// Swaps everything that waits with the empty `batch`, sleeping until there is something, or for so long.
    pub(crate) fn take(&self, batch: &mut Batch, wait: Option<Duration>) -> Taken {
        let mut inner = self.lock();
        loop {
            if !inner.batch.pending.is_empty() {
                mem::swap(&mut inner.batch, batch);
                return Taken::Some;
            }
            if inner.closing {
                return Taken::Closed;
            }
            inner.writer_idle = true;
            let Some(wait) = wait else {
                inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.filled.wait_timeout(inner, wait);
            let (woken, timer) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = woken;
            if timer.timed_out() && inner.batch.pending.is_empty() && !inner.closing {
                inner.writer_idle = false;
                return Taken::Nothing;
            }
        }
    }

    /// No more records: the writer takes what is there and ends.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.filled.notify_one();
    }

    fn fail(&self, error: &JournalError) {
        let batch = mem::take(&mut self.lock().batch);
        for pending in batch.pending {
            pending.promise.fail(error.clone());
        }
        // The writer may be asleep while the syncer fails; it must end too.
        self.close();
    }
}

/// A panic of a thread must not leave callers waiting for a thread that is gone.
pub(crate) struct FailOnPanic<'a>(pub(crate) &'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let source = std::io::Error::other("a thread of the journal panicked");
            self.0.fail(JournalError::failed("running the journal", source));
        }
    }
}
