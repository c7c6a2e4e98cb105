//! What operators are told about a sink.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What became of records.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The sink's name in metrics and beside the log.
    pub(crate) sink: &'static str,
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
    pub(crate) fn of(sink: &'static str) -> Self {
        Self { sink, ..Self::default() }
    }

    /// So many records were taken, or the server had them already.
    pub(crate) fn taken(&self, records: u64, known: bool) {
        let count = if known { &self.known } else { &self.sent };
        count.fetch_add(records, Ordering::Relaxed);
        self.well();
    }

    /// The server does what it is asked.
    pub(crate) fn well(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!(sink = self.sink, "the audit log is sent on");
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
}

/// What became of records in each of these sinks, in the text format of Prometheus. Each comes with the number of its
/// log's last durable record.
pub(crate) fn write(text: &mut String, sinks: &[(&Counts, u64)]) {
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut add = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Counts, u64) -> u64| {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (counts, last) in sinks {
            let sink = counts.sink;
            text.push_str(&format!("{name}{{sink=\"{sink}\"}} {}\n", value(counts, *last)));
        }
    };
    let help = "1: the server takes records.";
    add("guard_sink_up", "gauge", help, &|counts, _| counts.up.load(Ordering::Relaxed).into());
    let help = "Durable records that the sink has not taken.";
    let behind = |counts: &Counts, last: u64| last.saturating_sub(get(&counts.reached));
    add("guard_sink_behind_records", "gauge", help, &behind);
    let help = "Connections that could not be made, broke or did not take a record.";
    add("guard_sink_failures_total", "counter", help, &|counts, _| get(&counts.failures));
    let name = "guard_sink_records_total";
    text.push_str(&format!(
        "# HELP {name} Records by what became of them.\n# TYPE {name} counter\n"
    ));
    for (counts, _) in sinks {
        let sink = counts.sink;
        let results = [
            ("sent", &counts.sent),
            ("known", &counts.known),
            ("left_out", &counts.left_out),
            ("missed", &counts.missed),
        ];
        for (result, count) in results {
            let count = get(count);
            text.push_str(&format!("{name}{{sink=\"{sink}\",result=\"{result}\"}} {count}\n"));
        }
    }
}
