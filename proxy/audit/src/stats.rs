//! What a journal counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a journal is, at some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that are durable, of those that this process has appended.
    pub durable: u64,
    /// The number of the last record that is durable, of the journal's own too: it and all before it stand.
    pub last_durable: u64,
    /// Records that were not taken, because the disk does not keep up or because the journal has failed.
    pub refused: u64,
    /// Syncs that have returned.
    pub syncs: u64,
    /// How long they took together.
    pub sync_time: Duration,
    /// How long the slowest took.
    pub slowest_sync: Duration,
    /// Bytes of records that wait for the writer.
    pub queued_bytes: u64,
    /// Checkpoints that were noted elsewhere.
    pub anchored: u64,
    /// Checkpoints that could not be noted elsewhere.
    pub not_anchored: u64,
    /// Whether the journal has failed for good.
    pub failed: bool,
}

/// The counts, shared by the threads of one journal.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    durable: AtomicU64,
    last_durable: AtomicU64,
    refused: AtomicU64,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    slowest_nanos: AtomicU64,
    anchored: AtomicU64,
    not_anchored: AtomicU64,
}

impl Counters {
    /// A sync returned after so long and made so many records durable.
    pub(crate) fn synced(&self, time: Duration, records: usize) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.slowest_nanos.fetch_max(nanos, Ordering::Relaxed);
        self.durable.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Record number `seq` is durable, and all before it.
    pub(crate) fn reached(&self, seq: u64) {
        self.last_durable.fetch_max(seq, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn anchored(&self, well: bool) {
        let count = if well { &self.anchored } else { &self.not_anchored };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            durable: get(&self.durable),
            last_durable: get(&self.last_durable),
            refused: get(&self.refused),
            syncs: get(&self.syncs),
            sync_time: Duration::from_nanos(get(&self.sync_nanos)),
            slowest_sync: Duration::from_nanos(get(&self.slowest_nanos)),
            anchored: get(&self.anchored),
            not_anchored: get(&self.not_anchored),
            ..Stats::default()
        }
    }
}
