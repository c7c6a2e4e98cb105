//! What operators are told about the policy in force.

use jiff::tz::TimeZone;

use crate::ActivePolicy;
use crate::metrics::header;

/// Appends when exemptions end, and what became of new policies, in the text format of Prometheus.
pub(crate) fn write(text: &mut String, policies: &ActivePolicy) {
    let name = "guard_policy_reloads_total";
    header(text, name, "counter", "New policies, by what became of them.");
    let (replaced, refused) = policies.counts();
    for (result, count) in [("replaced", replaced), ("refused", refused)] {
        text.push_str(&format!("{name}{{result=\"{result}\"}} {count}\n"));
    }
    let name = "guard_exemption_expires_timestamp_seconds";
    header(text, name, "gauge", "When the last day of an exemption begins, in UTC.");
    for exemption in policies.policy().exemptions() {
        if let Ok(day) = exemption.expires.to_zoned(TimeZone::UTC) {
            let (id, second) = (&exemption.id, day.timestamp().as_second());
            text.push_str(&format!("{name}{{id=\"{id}\"}} {second}\n"));
        }
    }
}
