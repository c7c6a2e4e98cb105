//! What is kept of the texts that were examined.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::limits::{
    EXAMINED_BYTES, EXAMINED_ENTRIES, MASKED_ENTRIES, POINTER_BYTES, TEXT_BYTES, WORD_BYTES, cut,
};
use crate::record::Text;
use crate::render::{count, head, left_out, list, string, text, word};
use crate::words::Keep;

/// The texts of a request and its answer that were examined, and what is kept of them. Written before the record that
/// closes it.
///
/// Whoever appends one hands over the texts as they were; the journal's own thread masks, cuts and fingerprints them, so
/// that the exchange does not wait for that. What is read back is what was kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Examined {
    /// The id of the [`Opened`](crate::Opened) record.
    pub id: Uuid,
    /// When it was written.
    #[serde(deserialize_with = "crate::json::time::deserialize")]
    pub time: Timestamp,
    /// How much the policy lets be kept.
    pub keep: Keep,
    /// Texts of the request, in its order.
    #[serde(default)]
    pub input: Vec<Kept>,
    /// Texts of the answer, in its order.
    #[serde(default)]
    pub output: Vec<Kept>,
    /// Texts beyond what a record holds: the first ones of the request. Leave it 0.
    #[serde(default)]
    pub left_out: u32,
}

/// One text, and what is kept of it. Byte offsets of findings fit it: what is masked keeps its length.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Kept {
    /// JSON pointer of the text.
    pub at: Arc<str>,
    /// Who speaks, such as `user` or `tool`.
    pub role: Text,
    /// How long the whole text was, in bytes.
    pub bytes: u64,
    /// The text, or its beginning if that is shorter than `bytes`; nothing if it was not kept.
    #[serde(default)]
    pub text: Option<Arc<str>>,
    /// A keyed hash of the whole text, by which the same text can be recognised; where not all of it is kept.
    #[serde(default)]
    pub fingerprint: Option<Text>,
    /// What is masked in it: each byte is a `*`.
    #[serde(default)]
    pub masked: Vec<Masked>,
    /// Why the text is not kept although the policy lets it; nothing if that is not so. Text that has this is not
    /// written.
    #[serde(default)]
    pub why: Option<Text>,
}

/// A stretch of a text that is masked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Masked {
    /// First byte, counted in the text's UTF-8.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What was found there.
    pub category: Text,
}

/// A key for fingerprints of texts.
pub(crate) type TextKey = [u8; blake3::KEY_LEN];

impl Examined {
    /// What it takes in memory at most, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.input.iter().chain(&self.output);
        texts.map(|kept| kept.text.as_ref().map_or(0, |text| text.len()) + POINTER_BYTES).sum()
    }

    /// Lets go of the texts; `why` says the reason in their place.
    pub(crate) fn forget(&mut self, why: &'static str) {
        for kept in self.input.iter_mut().chain(&mut self.output) {
            (kept.text, kept.why) = (None, Some(why.into()));
        }
    }

    /// Appends the inside of its JSON object. `key` is given where the texts are still as they were.
    pub(crate) fn render(&self, out: &mut Vec<u8>, key: Option<&TextKey>) {
        head(out, "examined", self.id, self.time);
        word(out, r#","keep":"#, self.keep.as_str());
        let extra = (self.input.len() + self.output.len()).saturating_sub(EXAMINED_ENTRIES);
        let from_output = extra.saturating_sub(self.input.len());
        let input = self.input.get(extra.min(self.input.len())..).unwrap_or_default();
        let output = self.output.get(from_output..).unwrap_or_default();
        // What was said last says most about a decision, so it is cut last.
        let mut room = EXAMINED_BYTES;
        let said = grant(output, &mut room);
        let asked = grant(input, &mut room);
        for (name, kept, granted) in
            [(r#","input":"#, input, asked), (r#","output":"#, output, said)]
        {
            if !kept.is_empty() {
                let pairs: Vec<_> = kept.iter().zip(granted).collect();
                list(out, name, &pairs, EXAMINED_ENTRIES, |out, (kept, granted)| {
                    kept.render(out, (self.keep, *granted), key);
                });
            }
        }
        left_out(out, r#","left_out":"#, self.left_out, extra);
    }
}

/// How many bytes of each text are kept.
fn grant(texts: &[Kept], room: &mut usize) -> Vec<usize> {
    let mut granted: Vec<usize> = texts
        .iter()
        .rev()
        .map(|kept| {
            let text = kept.text.as_deref().unwrap_or_default();
            let length = text.floor_char_boundary(text.len().min(TEXT_BYTES).min(*room));
            *room -= length;
            length
        })
        .collect();
    granted.reverse();
    granted
}

impl Kept {
    fn render(&self, out: &mut Vec<u8>, (keep, granted): (Keep, usize), key: Option<&TextKey>) {
        text(out, r#"{"at":"#, &self.at, POINTER_BYTES);
        text(out, r#","role":"#, &self.role, WORD_BYTES);
        count(out, r#","bytes":"#, self.bytes);
        let whole = self.text.as_deref().unwrap_or_default();
        let shown = matches!(keep, Keep::Full | Keep::Redacted) && self.why.is_none();
        if let (true, Some(beginning)) = (shown && self.text.is_some(), whole.get(..granted)) {
            out.extend_from_slice(br#","text":"#);
            string(out, &masked(beginning, &self.masked));
        }
        let lossy = !shown || !self.masked.is_empty() || granted < whole.len();
        match (&self.fingerprint, key) {
            (Some(known), _) => text(out, r#","fingerprint":"#, known, WORD_BYTES),
            (None, Some(key)) if lossy && keep != Keep::None && self.text.is_some() => {
                word(out, r#","fingerprint":"#, &fingerprint(whole, key));
            }
            _ => {}
        }
        if !self.masked.is_empty() {
            list(out, r#","masked":"#, &self.masked, MASKED_ENTRIES, |out, masked| {
                count(out, r#"{"start":"#, masked.start);
                count(out, r#","end":"#, masked.end);
                text(out, r#","category":"#, &masked.category, WORD_BYTES);
                out.push(b'}');
            });
        }
        if let Some(why) = &self.why {
            text(out, r#","why":"#, &cut(why, POINTER_BYTES), POINTER_BYTES);
        }
        out.push(b'}');
    }
}

/// Names a text without revealing it: 128 bits of a hash that only this journal can make.
fn fingerprint(text: &str, key: &TextKey) -> String {
    let hash = blake3::keyed_hash(key, text.as_bytes()).to_hex();
    format!("text-{}", hash.as_str().get(..32).unwrap_or_default())
}

/// `text` with every byte of every character in the stretches made a `*`.
fn masked<'t>(text: &'t str, stretches: &[Masked]) -> Cow<'t, str> {
    if stretches.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for stretch in stretches {
        bytes.get_mut(within(text, stretch)).into_iter().for_each(|bytes| bytes.fill(b'*'));
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

/// The whole characters of `text` that the stretch touches.
fn within(text: &str, stretch: &Masked) -> Range<usize> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
    let start = text.floor_char_boundary(place(stretch.start));
    start..text.ceil_char_boundary(place(stretch.end)).max(start)
}

/// Texts are no business of a log of the program.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept")
            .field("at", &self.at)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Masked, masked};

    proptest! {
        #[test]
        fn a_mask_keeps_the_length_and_nothing_of_what_it_covers(
            before in ".{0,8}", secret in "[^*]{1,8}", after in ".{0,8}", loose in 0_u64..3,
        ) {
            let text = format!("{before}{secret}{after}");
            let (start, end) = (before.len() as u64, (before.len() + secret.len()) as u64);
            let stretch = Masked { start, end: end + loose, category: "secrets".into() };
            let kept = masked(&text, &[stretch]);
            prop_assert_eq!(kept.len(), text.len());
            prop_assert!(kept.starts_with(&before));
            let covered = kept.get(before.len()..before.len() + secret.len());
            prop_assert!(covered.is_some_and(|text| text == "*".repeat(secret.len())));
        }
    }
}
