//! What operators are told about the audit log.

use proxy_audit::Stats;

/// Appends what the journal counts, in the text format of Prometheus.
pub(crate) fn write(text: &mut String, stats: &Stats) {
    let Stats { durable, refused, syncs, anchored, not_anchored, queued_bytes, .. } = *stats;
    let mut add = |name: &str, kind: &str, help: &str, value: f64| {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    };
    let failed = if stats.failed { 1.0 } else { 0.0 };
    add(
        "guard_audit_failed",
        "gauge",
        "1: a write or sync failed; nothing is served until a restart.",
        failed,
    );
    add("guard_audit_records_total", "counter", "Records that are on the disk.", durable as f64);
    let help = "Records that were not taken: the disk does not keep up, or the log has failed.";
    add("guard_audit_refused_total", "counter", help, refused as f64);
    let help = "Bytes of records that wait to be written.";
    add("guard_audit_queued_bytes", "gauge", help, queued_bytes as f64);
    add("guard_audit_syncs_total", "counter", "Syncs of the log.", syncs as f64);
    let seconds = stats.sync_time.as_secs_f64();
    add("guard_audit_sync_seconds_total", "counter", "How long syncs took together.", seconds);
    let slowest = stats.slowest_sync.as_secs_f64();
    add("guard_audit_sync_seconds_max", "gauge", "How long the slowest sync took.", slowest);
    let help = "Checkpoints that were noted elsewhere.";
    add("guard_audit_anchored_total", "counter", help, anchored as f64);
    let help = "Checkpoints that could not be noted elsewhere.";
    add("guard_audit_anchor_failures_total", "counter", help, not_anchored as f64);
}
