//! Writing the records of an exchange.
//!
//! By hand, not through serde: every request pays for this, and fixed names need no search for characters to
//! escape. What is written here is read back by the types' `Deserialize`.

use jiff::Timestamp;
use jiff::tz::Offset;
use uuid::Uuid;

use crate::by_category::ByCategory;
use crate::json;
use crate::limits::{
    LIST_ENTRIES, NAME_BYTES, POINTER_BYTES, RELEASED_ENTRIES, SPAN_ENTRIES, WORD_BYTES, cut,
};
use crate::record::{
    Check, Closed, Opened, ReadSummary, Released, Ruling, Span, Text, Timing, Unchecked,
};

/// Appends the inside of an `opened` record's JSON object.
pub(crate) fn opened(out: &mut Vec<u8>, record: &Opened) {
    head(out, "opened", record.id, record.time);
    text(out, r#","instance":"#, &record.instance, NAME_BYTES);
    text(out, r#","route":"#, &record.route, NAME_BYTES);
    optional(out, r#","key":"#, record.key.as_ref(), WORD_BYTES);
    if let Some(remote) = record.remote {
        word(out, r#","remote":"#, &remote.to_string());
    }
    text(out, r#","method":"#, &record.method, WORD_BYTES);
    optional(out, r#","trace_id":"#, record.trace_id.as_ref(), WORD_BYTES);
}

/// Appends the inside of a `released` record's JSON object.
pub(crate) fn released(out: &mut Vec<u8>, record: &Released) {
    head(out, "released", record.id, record.time);
    word(out, r#","action":"#, record.action.as_str());
    raw(out, r#","until":{"#);
    for (index, (at, length)) in record.until.iter().take(RELEASED_ENTRIES).enumerate() {
        raw(out, if index == 0 { "" } else { "," });
        string(out, &cut(at, POINTER_BYTES));
        count(out, ":", *length);
    }
    raw(out, "}");
}

/// Appends the inside of a `closed` record's JSON object.
pub(crate) fn closed(out: &mut Vec<u8>, record: &Closed) {
    head(out, "closed", record.id, record.time);
    word(out, r#","outcome":"#, record.outcome.as_str());
    count(out, r#","status":"#, record.status.into());
    optional(out, r#","reason":"#, record.reason.as_ref(), WORD_BYTES);
    raw(out, if record.stream { r#","stream":true"# } else { r#","stream":false"# });
    optional(out, r#","model":"#, record.model.as_ref(), NAME_BYTES);
    optional(out, r#","policy":"#, record.policy.as_ref(), NAME_BYTES);
    optional(out, r#","profile":"#, record.profile.as_ref(), WORD_BYTES);
    optional(out, r#","key_name":"#, record.key_name.as_ref(), NAME_BYTES);
    word(out, r#","mode":"#, record.mode.as_str());
    for (name, decided) in [(r#","input":"#, &record.input), (r#","output":"#, &record.output)] {
        if let Some(decided) = decided {
            raw(out, name);
            ruling(out, decided);
        }
    }
    if !record.unchecked.is_empty() {
        list(out, r#","unchecked":"#, &record.unchecked, LIST_ENTRIES, unchecked);
    }
    let extra = record.unchecked.len().saturating_sub(LIST_ENTRIES);
    left_out(out, r#","unchecked_left_out":"#, record.unchecked_left_out, extra);
    count(out, r#","read":{"passages":"#, record.read.passages.into());
    count(out, r#","bytes":"#, record.read.bytes);
    if record.answered != ReadSummary::default() {
        count(out, r#"},"answered":{"passages":"#, record.answered.passages.into());
        count(out, r#","bytes":"#, record.answered.bytes);
    }
    count(out, r#"},"released_bytes":"#, record.released_bytes);
    let Timing { total, guard_input, upstream, guard_output } = record.timing_ms;
    number(out, r#","timing_ms":{"total":"#, total);
    number(out, r#","guard_input":"#, guard_input);
    number(out, r#","upstream":"#, upstream);
    number(out, r#","guard_output":"#, guard_output);
    raw(out, "}");
}

pub(crate) fn head(out: &mut Vec<u8>, kind: &'static str, id: Uuid, time: Timestamp) {
    word(out, r#""kind":"#, kind);
    word(out, r#","id":"#, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    raw(out, r#","time":"#);
    moment(out, time);
}

fn ruling(out: &mut Vec<u8>, ruling: &Ruling) {
    word(out, r#"{"verdict":"#, ruling.verdict.as_str());
    word(out, r#","action":"#, ruling.action.as_str());
    if let Some(would) = ruling.would {
        word(out, r#","would":"#, would.as_str());
    }
    let name = |out: &mut Vec<u8>, name: &Text| string(out, &cut(name, NAME_BYTES));
    list(out, r#","because":"#, &ruling.because, LIST_ENTRIES, name);
    for (field, names) in
        [(r#","exemptions":"#, &ruling.exemptions), (r#","languages":"#, &ruling.languages)]
    {
        if !names.is_empty() {
            list(out, field, names, LIST_ENTRIES, name);
        }
    }
    list(out, r#","checks":"#, &ruling.checks, LIST_ENTRIES, check);
    let extra = ruling.checks.len().saturating_sub(LIST_ENTRIES);
    left_out(out, r#","checks_left_out":"#, ruling.checks_left_out, extra);
    raw(out, "}");
}

fn check(out: &mut Vec<u8>, check: &Check) {
    text(out, r#"{"name":"#, &check.name, NAME_BYTES);
    text(out, r#","revision":"#, &check.revision, NAME_BYTES);
    word(out, r#","status":"#, check.status.as_str());
    number(out, r#","ms":"#, check.ms);
    count(out, r#","passages":"#, check.passages.into());
    map(out, r#","scores":"#, &check.scores, |out, score| decimal(out, *score));
    for (field, scores) in [
        (r#","tools":"#, &check.tools),
        (r#","dialogue":"#, &check.dialogue),
        (r#","measures":"#, &check.measures),
    ] {
        if !scores.is_empty() {
            map(out, field, scores, |out, score| decimal(out, *score));
        }
    }
    if !check.at.is_empty() {
        map(out, r#","at":"#, &check.at, |out, at| string(out, &cut(at, POINTER_BYTES)));
    }
    if !check.spans.is_empty() {
        list(out, r#","spans":"#, &check.spans, SPAN_ENTRIES, span);
    }
    let extra = check.spans.len().saturating_sub(SPAN_ENTRIES);
    left_out(out, r#","spans_left_out":"#, check.spans_left_out, extra);
    raw(out, "}");
}

fn span(out: &mut Vec<u8>, span: &Span) {
    text(out, r#"{"at":"#, &span.at, POINTER_BYTES);
    count(out, r#","start":"#, span.start);
    count(out, r#","end":"#, span.end);
    text(out, r#","category":"#, &span.category, WORD_BYTES);
    raw(out, "}");
}

fn unchecked(out: &mut Vec<u8>, unchecked: &Unchecked) {
    text(out, r#"{"at":"#, &unchecked.at, POINTER_BYTES);
    text(out, r#","why":"#, &unchecked.why, POINTER_BYTES);
    raw(out, "}");
}

/// Every function below that takes a `name` writes it as it is, with the comma before and the colon after it.
fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

/// A word that needs no escapes.
pub(crate) fn word(out: &mut Vec<u8>, name: &'static str, value: &str) {
    raw(out, name);
    quoted(out, value);
}

pub(crate) fn text(out: &mut Vec<u8>, name: &'static str, value: &str, limit: usize) {
    raw(out, name);
    string(out, &cut(value, limit));
}

fn optional(out: &mut Vec<u8>, name: &'static str, value: Option<&Text>, limit: usize) {
    if let Some(value) = value {
        text(out, name, value, limit);
    }
}

pub(crate) fn count(out: &mut Vec<u8>, name: &'static str, value: u64) {
    raw(out, name);
    raw(out, itoa::Buffer::new().format(value));
}

pub(crate) fn left_out(out: &mut Vec<u8>, name: &'static str, before: u32, extra: usize) {
    let all = u64::from(before).saturating_add(extra as u64).min(u32::MAX.into());
    if all > 0 {
        count(out, name, all);
    }
}

fn number(out: &mut Vec<u8>, name: &'static str, value: f32) {
    raw(out, name);
    decimal(out, value);
}

pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    name: &'static str,
    items: &[T],
    limit: usize,
    write: impl Fn(&mut Vec<u8>, &T),
) {
    raw(out, name);
    out.push(b'[');
    for (index, item) in items.iter().take(limit).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn map<T>(
    out: &mut Vec<u8>,
    name: &'static str,
    entries: &ByCategory<T>,
    write: impl Fn(&mut Vec<u8>, &T),
) {
    raw(out, name);
    out.push(b'{');
    for (index, (category, value)) in entries.iter().take(LIST_ENTRIES).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, &cut(category, WORD_BYTES));
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    raw(out, text);
    out.push(b'"');
}

/// A string, with everything escaped that JSON asks for or that deceives a reader.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Without an early exit this compiles to a few vector instructions.
    let plain = text
        .bytes()
        .fold(true, |plain, b| plain & (b' '..0x7f).contains(&b) & (b != b'"') & (b != b'\\'));
    if plain {
        quoted(out, text);
    } else {
        json::write_string(out, text);
    }
}

/// A number; `null` where it is none. Scores and times have at most four decimals, which are quick to write.
fn decimal(out: &mut Vec<u8>, value: f32) {
    if value.to_bits() == 0 {
        return raw(out, "0.0");
    }
    const UNIT: u64 = 10_000;
    // Whatever does not fit saturates, and is then not what it came from.
    let units = (f64::from(value) * UNIT as f64 + 0.5) as u64;
    if !value.is_finite() {
        return raw(out, "null");
    }
    if (units as f64 / UNIT as f64) as f32 != value || value.is_sign_negative() {
        return json::write_number(out, value);
    }
    raw(out, itoa::Buffer::new().format(units / UNIT));
    out.push(b'.');
    let decimals: [u8; 4] = digits(units % UNIT);
    let zeros = decimals.iter().rev().take(3).take_while(|digit| **digit == b'0').count();
    out.extend_from_slice(decimals.get(..decimals.len() - zeros).unwrap_or(&decimals));
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T06:03:28.112Z`.
fn moment(out: &mut Vec<u8>, time: Timestamp) {
    let at = Offset::UTC.to_datetime(time);
    let Ok(year) = u64::try_from(at.year()) else {
        return quoted(out, &json::time::text(&time));
    };
    out.push(b'"');
    out.extend_from_slice(&digits::<4>(year));
    let parts = [
        (b'-', at.month()),
        (b'-', at.day()),
        (b'T', at.hour()),
        (b':', at.minute()),
        (b':', at.second()),
    ];
    for (separator, part) in parts {
        out.push(separator);
        out.extend_from_slice(&digits::<2>(part.unsigned_abs().into()));
    }
    out.push(b'.');
    out.extend_from_slice(&digits::<3>(at.millisecond().unsigned_abs().into()));
    raw(out, "Z\"");
}

/// The last `N` decimal digits of `value`.
fn digits<const N: usize>(value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::{decimal, moment, string};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("records are UTF-8")
    }

    proptest! {
        #[test]
        fn a_number_is_read_back_as_it_was(value in any::<f32>(), score in 0_u16..=10_000, ms in 0_u32..1 << 24) {
            for value in [value, f32::from(score) / 10_000.0, ms as f32 / 1_000.0] {
                let read: Option<f32> = serde_json::from_str(&written(|out| decimal(out, value))).unwrap();
                prop_assert_eq!(read.map(f32::to_bits), value.is_finite().then_some(value.to_bits()));
            }
        }

        #[test]
        fn a_string_is_read_back_as_it_was(text in any::<String>()) {
            let read: String = serde_json::from_str(&written(|out| string(out, &text))).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn a_time_has_milliseconds(at in Timestamp::MIN.as_millisecond()..Timestamp::MAX.as_millisecond(), ns in 0_i32..1_000_000) {
            let time = Timestamp::new(at.div_euclid(1000), (at.rem_euclid(1000) as i32) * 1_000_000 + ns);
            let time = time.unwrap_or(Timestamp::MAX);
            prop_assert_eq!(written(|out| moment(out, time)), format!("\"{time:.3}\""));
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.0376, "0.0376"),
            (0.07, "0.07"),
            (958.2, "958.2"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(written(|out| decimal(out, value)), text);
        }
    }
}
