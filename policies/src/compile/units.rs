//! Rates and durations.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::document::{Node, Value};
use crate::policy::Quota;
use crate::reader::Reader;

/// Reads a rate such as `600/min`.
pub(super) fn quota(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Quota> {
    let parsed = match &node.value {
        Value::Text(text) => parse_quota(text),
        _ => None,
    };
    if parsed.is_none() {
        reader
            .error(node.at, format!("{what} must be a rate"))
            .expected("expected a count and a unit: `/s`, `/min` or `/h`")
            .help("such as `600/min`");
    }
    parsed
}

fn parse_quota(text: &str) -> Option<Quota> {
    let (count, unit) = text.split_once('/')?;
    let per = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 60 * 60,
        _ => return None,
    };
    Some(Quota { count: digits(count)?, per: Duration::from_secs(per) })
}

/// Reads a duration such as `1500ms` or `2s`.
pub(super) fn duration(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    allowed: std::ops::RangeInclusive<Duration>,
) -> Option<Duration> {
    let parsed = match &node.value {
        Value::Text(text) => parse_duration(text),
        _ => None,
    };
    let Some(duration) = parsed else {
        reader
            .error(node.at, format!("{what} must be a duration"))
            .expected("expected a whole number and a unit: `ms` or `s`")
            .help("such as `1500ms`");
        return None;
    };
    if !allowed.contains(&duration) {
        let (least, most) = (allowed.start().as_millis(), allowed.end().as_millis());
        reader
            .error(node.at, format!("{what} is out of range"))
            .expected(format!("expected {least}ms to {most}ms"));
        return None;
    }
    Some(duration)
}

fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(count) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(u64::from(digits(count)?.get())));
    }
    Some(Duration::from_secs(u64::from(digits(text.strip_suffix('s')?)?.get())))
}

/// Reads a length of text such as `400 chars`.
pub(super) fn characters(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    allowed: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    let parsed = match &node.value {
        Value::Text(text) => text.strip_suffix("chars").and_then(|count| whole(count.trim_end())),
        _ => None,
    };
    let (least, most) = (allowed.start(), allowed.end());
    if parsed.is_none() {
        reader
            .error(node.at, format!("{what} must be a length of text"))
            .expected("expected a whole number and `chars`")
            .help("such as `400 chars`");
    }
    let count = usize::try_from(parsed?).unwrap_or(usize::MAX);
    if !allowed.contains(&count) {
        reader
            .error(node.at, format!("{what} is out of range"))
            .expected(format!("expected {least} to {most} chars"));
        return None;
    }
    Some(count)
}

/// A whole number in digits alone, zero too.
fn whole(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A count in digits alone: no sign, no separator.
fn digits(text: &str) -> Option<NonZeroU32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
