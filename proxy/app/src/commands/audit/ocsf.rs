//! Decisions as Detection Findings of the Open Cybersecurity Schema Framework, 1.8, with its profiles
//! `security_control` and `ai_operation`.

use proxy_audit::Action;
use proxy_index::Row;
use serde_json::{Value, json};

/// Findings.
const CATEGORY: u32 = 2;
/// Detection Finding.
const CLASS: u32 = 2004;
/// Create: a finding is new.
const ACTIVITY: u32 = 1;

/// The finding that `row` is.
pub(super) fn finding(row: &Row) -> Value {
    let title = if row.hazards.is_empty() { row.outcome.clone() } else { row.hazards.join(", ") };
    let (action, disposition) = consequence(row);
    json!({
        "activity_id": ACTIVITY,
        "category_uid": CATEGORY,
        "class_uid": CLASS,
        "type_uid": CLASS * 100 + ACTIVITY,
        "time": row.time.as_millisecond(),
        "severity_id": severity(row),
        "status_id": 1,
        "action_id": action,
        "disposition_id": disposition,
        "metadata": {
            "version": "1.8.0",
            "profiles": ["security_control", "ai_operation"],
            "uid": row.id,
            "sequence": row.seq,
            "correlation_uid": row.trace,
            "product": { "name": "Portcullis", "vendor_name": "Portcullis", "version": env!("CARGO_PKG_VERSION") },
        },
        "finding_info": {
            "uid": row.id,
            "title": title,
            "types": row.hazards,
            "analytic": { "type_id": 1, "type": "Rule", "name": row.policy, "category": row.profile },
        },
        "confidence_score": row.score.map(|score| (score * 100.0).round()),
        "ai_model": { "ai_provider": "upstream", "name": row.model },
        "unmapped": {
            "action": row.action, "would": row.would, "outcome": row.outcome, "mode": row.mode, "reason": row.reason,
            "route": row.route, "key": row.key, "key_name": row.key_name, "instance": row.instance,
            "status": row.status, "category": row.category, "review": row.review,
        },
    })
}

/// Informational, low, medium or high, by what was done.
fn severity(row: &Row) -> u32 {
    match row.action {
        Some(Action::Block) => 4,
        Some(Action::Redact) => 3,
        Some(Action::Flag) => 2,
        _ => 1,
    }
}

/// Whether it was allowed (1) or denied (2), and how it was disposed of.
fn consequence(row: &Row) -> (u32, u32) {
    const BLOCKED: u32 = 2;
    const CORRECTED: u32 = 11;
    const DETECTED: u32 = 15;
    const LOGGED: u32 = 17;
    const ERROR: u32 = 27;
    match (row.outcome.as_str(), row.action) {
        ("blocked" | "refused", _) => (2, BLOCKED),
        ("guard_unavailable" | "failed" | "abandoned" | "upstream_failed" | "client_gone", _) => {
            (2, ERROR)
        }
        (_, Some(Action::Redact)) => (1, CORRECTED),
        _ if row.would.is_some() => (1, LOGGED),
        (_, Some(Action::Flag)) => (1, DETECTED),
        _ => (1, 1),
    }
}
