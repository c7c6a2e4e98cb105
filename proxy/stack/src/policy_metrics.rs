//! What operators are told about the policy in force.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ActivePolicy;
use crate::metrics::header;
use crate::signed::Signed;

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
    if let Some(signed) = policies.signed() {
        write_signed(text, signed, policies);
    }
}

/// Appends what is known of a policy by its signature, and what came of looking for the next one.
fn write_signed(text: &mut String, signed: Signed, policies: &ActivePolicy) {
    let mut gauge = |name: &str, help: &str, value: i128| {
        header(text, name, "gauge", help);
        text.push_str(&format!("{name} {value}\n"));
    };
    gauge("guard_policy_serial", "The serial of the signed policy in force.", signed.serial.into());
    if let Some(end) = signed.expires {
        let (name, help) = ("guard_policy_expires_timestamp_seconds", "When it expires.");
        gauge(name, help, end.as_second().into());
    }
    let over = signed.is_over(Timestamp::now());
    gauge("guard_policy_expired", "Whether it has expired.", over.into());
    let (name, help) = (
        "guard_policy_confirmed_timestamp_seconds",
        "When its place last held it; 0 if not since the start.",
    );
    gauge(name, help, policies.fetches().confirmed().into());
    let name = "guard_policy_fetches_total";
    header(text, name, "counter", "Looks for a newer signed policy, by what came of them.");
    for (result, count) in policies.fetches().each() {
        text.push_str(&format!("{name}{{result=\"{result}\"}} {count}\n"));
    }
}
