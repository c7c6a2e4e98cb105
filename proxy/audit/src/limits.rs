//! How much of a text or list reaches a record. A client chooses its model name and how many texts
//! it sends; neither may grow the log without bound. A text that was cut ends in `…`, within its
//! limit. Cut lists of checks, spans and unchecked parts are followed by the number of entries that
//! were left out; the others have one entry per category or rule, which no client adds to.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::by_category::ByCategory;

/// Longest short word (method, reason, trace id, category, key fingerprint), in bytes.
pub const WORD_BYTES: usize = 64;
/// Longest name (model, route, policy, instance, check, revision), in bytes.
pub const NAME_BYTES: usize = 256;
/// Longest JSON pointer or explanation, in bytes.
pub const POINTER_BYTES: usize = 512;
/// Most entries in `because`, `unchecked`, `checks`, `scores` and `at` each.
pub const LIST_ENTRIES: usize = 64;
/// Most texts of one `released` record: as many as a request may ask for choices, with a few texts each.
pub const RELEASED_ENTRIES: usize = 1024;
/// Most texts of one `examined` record: of more, the last ones.
pub const EXAMINED_ENTRIES: usize = 256;
/// Most bytes of all texts of one `examined` record: of more, the last ones are kept whole.
pub const EXAMINED_BYTES: usize = 128 << 10;
/// Longest beginning of a text that is kept, in bytes.
pub const TEXT_BYTES: usize = 32 << 10;
/// Most masked stretches of a text that are listed. All are masked.
pub const MASKED_ENTRIES: usize = 64;
/// Longest comment of a person, in bytes.
pub const COMMENT_BYTES: usize = 4096;
/// Most decisions that one record of a verdict is about.
pub const REVIEWED_ENTRIES: usize = 1000;
/// Most spans of one check.
pub const SPAN_ENTRIES: usize = 64;

/// What a cut text ends in.
const ELLIPSIS: &str = "…";

/// The longest beginning of `text` that fits `limit` bytes, marked where something was cut.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(limit.saturating_sub(ELLIPSIS.len()));
    let kept = text.get(..end).unwrap_or_default();
    Cow::Owned(format!("{kept}{ELLIPSIS}"))
}

/// Category → score. JSON has no word for a value that is not a number: it is written as `null` and
/// read back as NaN, so that a record with one stays readable.
pub(crate) fn scores<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ByCategory<f32>, D::Error> {
    let map = ByCategory::<Option<f32>>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(category, score)| (category, score.unwrap_or(f32::NAN))).collect())
}

/// A measured number: `null` on disk and NaN in memory where it is none.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
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
