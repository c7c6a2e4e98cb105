//! What became of spans.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::header;

/// Counts spans that have ended, by what became of them.
#[derive(Debug, Default)]
pub struct SpanCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl SpanCounts {
    /// The collector has taken so many.
    pub fn exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// So many found no room in the queue: the collector is slower than the traffic.
    pub fn dropped(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// The collector has not taken so many.
    pub fn failed(&self, spans: usize) {
        self.failed.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// All of it in the text format of Prometheus.
    pub(crate) fn write(&self, text: &mut String) {
        let name = "guard_trace_spans_total";
        header(text, name, "counter", "Spans of traces, by what became of them.");
        let counts = [&self.exported, &self.dropped, &self.failed];
        for (result, count) in ["exported", "dropped", "failed"].into_iter().zip(counts) {
            let count = count.load(Ordering::Relaxed);
            text.push_str(&format!("{name}{{result=\"{result}\"}} {count}\n"));
        }
    }
}
