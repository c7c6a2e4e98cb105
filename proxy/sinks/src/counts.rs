//! What operators are told about a sink.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What became of records.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    known: AtomicU64,
    left_out: AtomicU64,
    missed: AtomicU64,
    failures: AtomicU64,
    up: AtomicBool,
    /// The number of the last record that was taken, or that there is nothing to send before.
    reached: AtomicU64,
}

impl Counts {
    /// A record was taken, or the server had it already.
    pub(crate) fn taken(&self, known: bool) {
        let count = if known { &self.known } else { &self.sent };
        count.fetch_add(1, Ordering::Relaxed);
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!("the audit log is sent on");
        }
    }

    /// A record is longer than the server takes; its place was sent.
    pub(crate) fn left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// So many records were gone, or damaged, before they could be sent.
    pub(crate) fn missed(&self, records: u64) {
        self.missed.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.down();
    }

    /// Nothing is sent.
    pub(crate) fn down(&self) {
        self.up.store(false, Ordering::Relaxed);
    }

    /// Everything up to record number `seq` was taken.
    pub(crate) fn reached(&self, seq: u64) {
        self.reached.store(seq, Ordering::Relaxed);
    }

    /// Whether everything up to record number `seq` was taken.
    pub(crate) fn has_reached(&self, seq: u64) -> bool {
        self.reached.load(Ordering::Relaxed) >= seq
    }

    /// All of it in the text format of Prometheus, where the log has `last` durable records.
    pub(crate) fn write(&self, text: &mut String, sink: &str, last: u64) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut add = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (label, value) in values {
                text.push_str(&format!("{name}{{sink=\"{sink}\"{label}}} {value}\n"));
            }
        };
        let up = u64::from(self.up.load(Ordering::Relaxed));
        add("guard_sink_up", "gauge", "1: the server takes records.", &[("", up)]);
        let behind = last.saturating_sub(get(&self.reached));
        let help = "Durable records that the sink has not taken.";
        add("guard_sink_behind_records", "gauge", help, &[("", behind)]);
        let records = [
            (",result=\"sent\"", get(&self.sent)),
            (",result=\"known\"", get(&self.known)),
            (",result=\"left_out\"", get(&self.left_out)),
            (",result=\"missed\"", get(&self.missed)),
        ];
        let help = "Records by what became of them.";
        add("guard_sink_records_total", "counter", help, &records);
        let help = "Connections that could not be made, broke or did not take a record.";
        add("guard_sink_failures_total", "counter", help, &[("", get(&self.failures))]);
    }
}
