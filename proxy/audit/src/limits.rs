//! How much of a text or list reaches a record. A client chooses its model name and how many texts
//! it sends; neither may grow the log without bound. A text that was cut ends in `…`, within its
//! limit. Cut lists of checks, spans and unchecked parts are followed by the number of entries that
//! were left out; the others have one entry per category or rule, which no client adds to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::{Closed, Text};

/// Longest short word (method, reason, trace id, category, key fingerprint), in bytes.
pub const WORD_BYTES: usize = 64;
/// Longest name (model, route, policy, instance, check, revision), in bytes.
pub const NAME_BYTES: usize = 256;
/// Longest JSON pointer or explanation, in bytes.
pub const POINTER_BYTES: usize = 512;
/// Most entries in `because`, `unchecked`, `checks`, `scores` and `at` each.
pub const LIST_ENTRIES: usize = 64;
/// Most spans of one check.
pub const SPAN_ENTRIES: usize = 64;

/// What a cut text ends in.
const ELLIPSIS: &str = "…";

/// The longest beginning of `text` that fits `limit` bytes, marked where something was cut.
fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    let kept = text.get(..end).unwrap_or_default();
    Cow::Owned(format!("{kept}{ELLIPSIS}"))
}

/// Serialises a text cut to `LIMIT` bytes.
pub(crate) fn text<const LIMIT: usize, S: Serializer>(
    value: &Text,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&cut(value, LIMIT))
}

/// Serialises a text cut to `LIMIT` bytes, if there is one.
pub(crate) fn option<const LIMIT: usize, S: Serializer>(
    value: &Option<Text>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_some(cut(value, LIMIT).as_ref()),
        None => serializer.serialize_none(),
    }
}

/// Serialises a list of names, each cut to [`NAME_BYTES`].
pub(crate) fn names<S: Serializer>(values: &[Text], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    for value in values.iter().take(LIST_ENTRIES) {
        list.serialize_element(cut(value, NAME_BYTES).as_ref())?;
    }
    list.end()
}

/// Serialises category → JSON pointer.
pub(crate) fn pointers<S: Serializer>(
    values: &BTreeMap<Text, Text>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (category, at) in values.iter().take(LIST_ENTRIES) {
        map.serialize_entry(cut(category, WORD_BYTES).as_ref(), cut(at, POINTER_BYTES).as_ref())?;
    }
    map.end()
}

/// Category → score. JSON has no word for a value that is not a number: it is written as `null` and
/// read back as NaN, so that a record with one stays readable.
pub(crate) mod scores {
    use super::{
        BTreeMap, Deserialize, Deserializer, LIST_ENTRIES, SerializeMap, Serializer, Text,
        WORD_BYTES, cut,
    };

    pub(crate) fn serialize<S: Serializer>(
        values: &BTreeMap<Text, f32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (category, score) in values.iter().take(LIST_ENTRIES) {
            let score = score.is_finite().then_some(*score);
            map.serialize_entry(cut(category, WORD_BYTES).as_ref(), &score)?;
        }
        map.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Text, f32>, D::Error> {
        let map = BTreeMap::<Text, Option<f32>>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, score)| (key, score.unwrap_or(f32::NAN))).collect())
    }
}

/// A measured number: `null` on disk and NaN in memory where it is none.
pub(crate) mod number {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
    }
}

/// The record itself, or a copy with its lists cut and the cut entries counted. The copy is rare:
/// ordinary records are within the limits.
pub(crate) fn within(closed: &Closed) -> Cow<'_, Closed> {
    let fits = closed.unchecked.len() <= LIST_ENTRIES
        && rulings(closed).all(|ruling| {
            ruling.checks.len() <= LIST_ENTRIES
                && ruling.checks.iter().all(|check| check.spans.len() <= SPAN_ENTRIES)
        });
    if fits {
        return Cow::Borrowed(closed);
    }
    let mut copy = closed.clone();
    shorten(&mut copy.unchecked, LIST_ENTRIES, &mut copy.unchecked_left_out);
    for ruling in copy.input.iter_mut().chain(copy.output.iter_mut()) {
        shorten(&mut ruling.checks, LIST_ENTRIES, &mut ruling.checks_left_out);
        for check in &mut ruling.checks {
            shorten(&mut check.spans, SPAN_ENTRIES, &mut check.spans_left_out);
        }
    }
    Cow::Owned(copy)
}

fn rulings(closed: &Closed) -> impl Iterator<Item = &crate::record::Ruling> {
    closed.input.iter().chain(closed.output.iter())
}

fn shorten<T>(list: &mut Vec<T>, limit: usize, left_out: &mut u32) {
    let extra = u32::try_from(list.len().saturating_sub(limit)).unwrap_or(u32::MAX);
    *left_out = left_out.saturating_add(extra);
    list.truncate(limit);
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_cut_text_keeps_its_characters_whole_and_its_limit() {
        assert_eq!(cut("short", 64), "short");
        for limit in 3..64 {
            let text = "añ€😀".repeat(20);
            let kept = cut(&text, limit);
            assert!(kept.len() <= limit && kept.ends_with('…'), "{limit}: {kept}");
            assert!(text.starts_with(kept.trim_end_matches('…')));
        }
    }
}
