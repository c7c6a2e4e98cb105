//! What became of every question to a check, for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use classifiers_core::ClassifyError;

use crate::metrics::{Histogram, MILLISECONDS, header};

/// How a question to a check can end without a verdict, as [`ClassifyError::reason`] has it.
const REASONS: [&str; 3] = ["timeout", "overloaded", "failed"];

/// Counts of all checks of a panel. Labels are names of checks, which the server's settings bound.
#[derive(Debug)]
pub(crate) struct Counts {
    checks: Vec<Count>,
    /// Who judged in whose place.
    degraded: Vec<(Arc<str>, Arc<str>, AtomicU64)>,
}

#[derive(Debug)]
struct Count {
    check: Arc<str>,
    time: Histogram<8>,
    passages: AtomicU64,
    failures: [AtomicU64; 3],
}

impl Counts {
    /// For `checks`, in whose place `standbys` may judge.
    pub(super) fn new(checks: &[Arc<str>], standbys: &[Arc<str>]) -> Self {
        let pairs = checks.iter().flat_map(|check| {
            standbys
                .iter()
                .map(|standby| (Arc::clone(check), Arc::clone(standby), AtomicU64::new(0)))
        });
        let mut names: Vec<&Arc<str>> = checks.iter().chain(standbys).collect();
        names.sort();
        names.dedup();
        let count = |check: &Arc<str>| Count {
            check: Arc::clone(check),
            time: Histogram::default(),
            passages: AtomicU64::new(0),
            failures: Default::default(),
        };
        Self { checks: names.into_iter().map(count).collect(), degraded: pairs.collect() }
    }

    /// `check` was asked about so many passages and took so long.
    pub(super) fn asked(&self, check: &str, passages: usize, time: Duration) {
        if let Some(count) = self.checks.iter().find(|count| *count.check == *check) {
            count.passages.fetch_add(passages as u64, Ordering::Relaxed);
            count.time.add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &MILLISECONDS);
        }
    }

    /// `check` gave no verdict about a passage.
    pub(super) fn failed(&self, check: &str, error: &ClassifyError) {
        let count = self.checks.iter().find(|count| *count.check == *check);
        let at = REASONS.iter().position(|reason| *reason == error.reason());
        if let Some(failures) = count.and_then(|count| count.failures.get(at?)) {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `standby` judged so many passages in place of `check`.
    pub(super) fn degraded(&self, check: &str, standby: &str, passages: usize) {
        let mut pairs = self.degraded.iter();
        if let Some((.., count)) = pairs.find(|(c, s, _)| **c == *check && **s == *standby) {
            count.fetch_add(passages as u64, Ordering::Relaxed);
        }
    }

    /// All of it in the text format of Prometheus.
    pub(crate) fn write(&self, text: &mut String) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let name = "guard_check_passages_total";
        header(text, name, "counter", "Passages that a check was asked about.");
        for count in &self.checks {
            text.push_str(&format!(
                "{name}{{check=\"{}\"}} {}\n",
                count.check,
                get(&count.passages)
            ));
        }
        let name = "guard_check_failures_total";
        header(text, name, "counter", "Passages about which a check gave no verdict.");
        for count in &self.checks {
            for (reason, failures) in REASONS.iter().zip(&count.failures) {
                let labels = format!("check=\"{}\",reason=\"{reason}\"", count.check);
                text.push_str(&format!("{name}{{{labels}}} {}\n", get(failures)));
            }
        }
        let name = "guard_degraded_total";
        header(text, name, "counter", "Passages judged in place of a check that gave no verdict.");
        for (check, standby, count) in &self.degraded {
            let labels = format!("check=\"{check}\",rung=\"{standby}\"");
            text.push_str(&format!("{name}{{{labels}}} {}\n", get(count)));
        }
        let name = "guard_check_seconds";
        header(text, name, "histogram", "How long a check took for all passages of a message.");
        for count in &self.checks {
            let labels = format!("check=\"{}\"", count.check);
            count.time.write(text, (name, &labels), &MILLISECONDS, 0.001);
        }
    }
}
