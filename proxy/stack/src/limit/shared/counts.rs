//! What came of asking the server, for metrics.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::link::Fault;
use crate::metrics::{Histogram, header};

/// Upper bounds of the buckets of time that a question takes, in microseconds.
const MICROSECONDS: [u64; 8] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000];

#[derive(Debug, Default)]
pub(super) struct Counts {
    time: Histogram<8>,
    timeouts: AtomicU64,
    errors: AtomicU64,
    admitted_without: AtomicU64,
    refused_without: AtomicU64,
}

impl Counts {
    /// The server answered after so long.
    pub(super) fn answered(&self, time: Duration) {
        self.time.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), &MICROSECONDS);
    }

    /// It did not.
    pub(super) fn failed(&self, fault: &Fault) {
        let count = if matches!(fault, Fault::Timeout(_)) { &self.timeouts } else { &self.errors };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// This guard decided alone.
    pub(super) fn without(&self, admitted: bool) {
        let count = if admitted { &self.admitted_without } else { &self.refused_without };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it in the text format of Prometheus.
    pub(super) fn write(&self, text: &mut String, is_up: bool, guards: NonZeroU32) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let name = "guard_shared_limits_up";
        header(text, name, "gauge", "1: limits are counted together with other guards.");
        text.push_str(&format!("{name} {}\n", u8::from(is_up)));
        let name = "guard_shared_limits_guards";
        header(text, name, "gauge", "How many guards count together.");
        text.push_str(&format!("{name} {guards}\n"));
        let name = "guard_shared_limits_seconds";
        header(text, name, "histogram", "How long the server of the limits took to answer.");
        self.time.write(text, (name, ""), &MICROSECONDS, 0.000_001);
        let name = "guard_shared_limits_failures_total";
        header(text, name, "counter", "Questions that it did not answer.");
        for (reason, count) in [("timeout", &self.timeouts), ("error", &self.errors)] {
            text.push_str(&format!("{name}{{reason=\"{reason}\"}} {}\n", get(count)));
        }
        let name = "guard_limits_alone_total";
        header(text, name, "counter", "Requests that this guard decided about alone meanwhile.");
        let counts = [("admitted", &self.admitted_without), ("refused", &self.refused_without)];
        for (result, count) in counts {
            text.push_str(&format!("{name}{{result=\"{result}\"}} {}\n", get(count)));
        }
    }
}
