//! Rates and durations.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::Date;

use crate::Quota;
use crate::document::{Node, Value};
use crate::reader::{Reader, shorten};

/// Reads a rate such as `600/min`, `2M/h` or `5/10min`.
pub(super) fn quota(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Quota> {
    let parsed = text(node).and_then(parse_quota);
    if parsed.is_none() {
        reader
            .error(node.at, format!("{what} must be a rate"))
            .expected("expected a count and a time: `/s`, `/min`, `/h` or `/d`")
            .help("such as `600/min`, `2M/h` or `5/10min`");
    }
    parsed
}

fn parse_quota(text: &str) -> Option<Quota> {
    let (count, per) = text.split_once('/')?;
    Some(Quota { count: large(count)?, per: time(per)? })
}

/// A count, in thousands (`K`), millions (`M`) or billions (`G`) if it says so.
fn large(text: &str) -> Option<NonZeroU32> {
    let units = [('K', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)];
    let unit = units.into_iter().find_map(|(unit, times)| Some((text.strip_suffix(unit)?, times)));
    let (count, times) = unit.unwrap_or((text, 1));
    digits(count)?.checked_mul(NonZeroU32::new(times)?)
}

/// A time such as `min` or `15min`; the longest is a year.
fn time(text: &str) -> Option<Duration> {
    const LONGEST: u64 = 366 * 24 * 60 * 60;
    let units = [("min", 60), ("s", 1), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let (count, seconds) =
        units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let count = if count.is_empty() { 1 } else { u64::from(digits(count)?.get()) };
    let time = count.checked_mul(seconds).filter(|time| *time <= LONGEST)?;
    Some(Duration::from_secs(time))
}

/// Reads `pause 15min`.
pub(super) fn pause(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Duration> {
    let parsed = text(node).and_then(|text| time(text.strip_prefix("pause")?.trim_start()));
    if parsed.is_none() {
        reader
            .error(node.at, format!("{what} must be a pause"))
            .expected("expected `pause` and a time: `s`, `min`, `h` or `d`")
            .help("such as `pause 15min`");
    }
    parsed
}

/// Reads a number of days such as `90d`.
pub(super) fn days(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Duration> {
    let parsed = text(node).and_then(|text| digits(text.strip_suffix('d')?));
    if parsed.is_none() {
        reader
            .error(node.at, format!("{what} must be a number of days"))
            .expected("expected a whole number and `d`")
            .help("such as `90d`");
    }
    parsed.map(|days| Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60))
}

/// Reads a share such as `0.5%`: from 0 to 1.
pub(super) fn share(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<f64> {
    let percent = text(node).and_then(|text| {
        let number = text.strip_suffix('%')?;
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        plain.then(|| number.parse::<f64>().ok()).flatten()
    });
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent));
    if share.is_none() {
        reader
            .error(node.at, format!("{what} must be a share"))
            .expected("expected a number from 0 to 100 and `%`")
            .help("such as `0.5%`");
    }
    share.map(|percent| percent / 100.0)
}

/// Reads a day such as `2027-02-15`.
pub(super) fn date(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Date> {
    let written = text(node);
    let parsed = written.filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
    if parsed.is_none() {
        let message = match written {
            Some(text) => format!("{what} cannot be `{}`", shorten(text)),
            None => format!("{what} must be a day"),
        };
        reader.error(node.at, message).expected("expected year, month and day, as in `2027-02-15`");
    }
    parsed
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Reads a duration such as `1500ms` or `2s`.
pub(super) fn duration(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    allowed: RangeInclusive<Duration>,
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
    allowed: RangeInclusive<usize>,
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
