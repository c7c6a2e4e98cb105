//! Bounds as `server.yaml` writes them.

use std::time::Duration;

use proxy_stack::Limits;
use serde::Deserialize;

/// How long answers under way may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// `limits`; what is not said is [`Limits::default`]'s.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    request_bytes: Option<usize>,
    request_seconds: Option<u64>,
    answer_bytes: Option<usize>,
    upstream_seconds: Option<u64>,
    upstream_idle_seconds: Option<u64>,
    upstream_concurrent: Option<usize>,
    upstream_failures: Option<u32>,
    concurrent: Option<usize>,
    drain_seconds: Option<u64>,
}

impl LimitsFile {
    /// Everything that an exchange may cost.
    pub(crate) fn limits(&self, checks: Option<bool>) -> Limits {
        let base = Limits::default();
        Limits {
            request_bytes: self.request_bytes.unwrap_or(base.request_bytes),
            request_time: seconds(self.request_seconds, base.request_time),
            answer_bytes: self.answer_bytes.unwrap_or(base.answer_bytes),
            upstream_time: seconds(self.upstream_seconds, base.upstream_time),
            upstream_idle: seconds(self.upstream_idle_seconds, base.upstream_idle),
            upstream_concurrent: self.upstream_concurrent,
            upstream_failures: self.upstream_failures.unwrap_or(base.upstream_failures),
            concurrent: self.concurrent.unwrap_or(base.concurrent),
            checks: checks.unwrap_or(base.checks),
            keep_alive: base.keep_alive,
        }
    }

    /// How long answers under way may take after the server was told to stop.
    pub(crate) fn drain(&self) -> Duration {
        seconds(self.drain_seconds, DRAIN)
    }
}

fn seconds(given: Option<u64>, default: Duration) -> Duration {
    given.map_or(default, Duration::from_secs)
}
