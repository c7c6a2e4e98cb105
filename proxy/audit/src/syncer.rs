//! The thread that makes written records durable, while the writer goes on writing.
//!
//! INVARIANT: no other thread syncs a segment. The kernel reports a lost page to *one* caller of
//! `fdatasync` per open file; a second caller would take the silence for success.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::disk::DiskFile;
use crate::error::JournalError;
use crate::queue::{FailOnPanic, Shared};
use crate::receipt::Promise;

/// How long written bytes may wait for a sync that nobody waits for. An opened record need not be durable before
/// its request goes on, only written; syncing for it alone would double the number of syncs.
const UNHURRIED: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Inner {
    /// The file with bytes that no sync has covered.
    dirty: Option<Arc<dyn DiskFile>>,
    /// The number of the last record in it.
    last: u64,
    /// Receipts that the next sync settles.
    promises: Vec<Promise>,
    /// Whether somebody waits for the next sync.
    urgent: bool,
    syncing: bool,
    stopping: bool,
}

/// The queue between writer and syncer.
#[derive(Default)]
pub(crate) struct SyncQueue {
    inner: Mutex<Inner>,
    filled: Condvar,
    drained: Condvar,
}

impl SyncQueue {
    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what was written to `file`, up to record number `last`, leaving `promises` empty. Unless it is
    /// `urgent`, the sync may wait for something that is.
    pub(crate) fn push(
        &self,
        shared: &Shared,
        (file, last): (&Arc<dyn DiskFile>, u64),
        (promises, urgent): (&mut Vec<Promise>, bool),
    ) {
        let mut inner = self.lock();
        if let Err(failure) = shared.health() {
            drop(inner);
            promises.drain(..).for_each(|promise| promise.fail(failure.clone()));
            return;
        }
        inner.promises.append(promises);
        inner.last = last;
        let news = inner.dirty.replace(Arc::clone(file)).is_none() || (urgent && !inner.urgent);
        inner.urgent |= urgent;
        let wake = news && !inner.syncing;
        drop(inner);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Waits until everything handed over is durable.
    ///
    /// # Errors
    /// The failure that ended the journal.
    pub(crate) fn drain(&self, shared: &Shared) -> Result<(), JournalError> {
        let mut inner = self.lock();
        loop {
            shared.health()?;
            if inner.dirty.is_none() && !inner.syncing {
                return Ok(());
            }
            inner.urgent = true;
            self.filled.notify_one();
            inner = self.drained.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The syncer ends once nothing is left.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.filled.notify_one();
    }

    pub(crate) fn fail(&self, error: &JournalError) {
        let mut inner = self.lock();
        inner.dirty = None;
        inner.stopping = true;
        let promises = mem::take(&mut inner.promises);
        drop(inner);
        self.filled.notify_one();
        self.drained.notify_all();
        promises.into_iter().for_each(|promise| promise.fail(error.clone()));
    }

    /// Takes everything that the next sync covers, and the number of its last record. `None`: stop.
    fn next(&self, promises: &mut Vec<Promise>) -> Option<(Arc<dyn DiskFile>, u64)> {
        let mut inner = self.lock();
        loop {
            let due = inner.urgent || inner.stopping;
            if let Some(file) = inner.dirty.take_if(|_| due) {
                mem::swap(&mut inner.promises, promises);
                inner.urgent = false;
                inner.syncing = true;
                return Some((file, inner.last));
            }
            if inner.stopping {
                return None;
            }
            inner = if inner.dirty.is_none() {
                self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.filled.wait_timeout(inner, UNHURRIED);
                let (mut inner, timer) = waited.unwrap_or_else(PoisonError::into_inner);
                inner.urgent |= timer.timed_out();
                inner
            };
        }
    }

    fn done(&self) {
        self.lock().syncing = false;
        self.drained.notify_all();
    }
}

/// The syncer's thread: one sync covers everything that was written before it began.
pub(crate) fn run(shared: &Shared) {
    let _guard = FailOnPanic(shared);
    let mut promises = Vec::new();
    while let Some((file, last)) = shared.syncs.next(&mut promises) {
        let began = Instant::now();
        match file.sync() {
            Ok(()) => {
                shared.counters.synced(began.elapsed(), promises.len());
                shared.counters.reached(last);
                shared.syncs.done();
                promises.drain(..).for_each(Promise::durable);
            }
            Err(error) => {
                // Never retried: after an error the kernel may count the lost pages as clean.
                let error = JournalError::failed("syncing the journal", error);
                shared.fail(error.clone());
                promises.drain(..).for_each(|promise| promise.fail(error.clone()));
            }
        }
    }
}
