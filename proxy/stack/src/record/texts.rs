//! The texts of an exchange on their way to the record.
//!
//! Nothing is copied here but pointers: the journal's thread masks, cuts and writes them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{Category, Passage, Role};
use jiff::Timestamp;
use policies::{Policy, TextRetention};
use proxy_audit::limits::TEXT_BYTES;
use proxy_audit::{Examined, Keep, Kept, Masked};
use proxy_dialects::joins;
use proxy_stream::Place;
use uuid::Uuid;

/// Whose texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Answer,
}

/// What the checks found that the policy wants masked.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Which passage, where in it, and what.
    pub(crate) stretches: Vec<(usize, Range<usize>, Category)>,
    /// Why that may not be all of it: then no text is kept.
    pub(crate) blind: Option<&'static str>,
}

/// What a record will say about texts.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    keep: Option<Keep>,
    input: Vec<Kept>,
    output: Vec<Kept>,
    /// By pointer.
    streamed: BTreeMap<Arc<str>, Streamed>,
}

/// A text that comes piece by piece.
#[derive(Debug)]
struct Streamed {
    role: Role,
    /// Its beginning, as far as a record holds it.
    text: String,
    bytes: usize,
    masked: Vec<Masked>,
    why: Option<&'static str>,
}

/// Why a text is not kept of which a masked stretch cannot be told.
const SPREAD: &str = "what is to be masked is spread over several texts or hidden by escapes";
/// Why a text has no fingerprint.
const LONG: &str = "the text came in pieces and is longer than a record holds";

impl Texts {
    /// Adds `passages`, as `policy` says.
    pub(crate) fn add(
        &mut self,
        (side, policy): (Side, &Policy),
        passages: &[Passage],
        hidden: &Hidden,
    ) {
        self.keep = Some(kept_by(policy));
        let mut kept: Vec<Kept> =
            passages.iter().map(|passage| of(passage, hidden.blind)).collect();
        for (index, span, category) in &hidden.stretches {
            let Some(passage) = passages.get(*index) else { continue };
            if let Some(kept) = kept.get_mut(*index) {
                kept.masked.push(stretch(span.clone(), *category));
            }
            if joins(passages, *index).is_some() {
                mask_parts(&mut kept, (passages, *index), span, *category);
            } else if let Some(base) = base(&passage.origin.at) {
                let secret = passage.text.get(span.clone()).unwrap_or_default();
                mask_originals(&mut kept, base, secret, *category);
            }
        }
        let shown = kept.into_iter().enumerate();
        let shown = shown.filter(|(index, _)| joins(passages, *index).is_none());
        let shown = shown.map(|(_, kept)| kept);
        match side {
            Side::Request => self.input.extend(shown),
            Side::Answer => self.output.extend(shown),
        }
    }

    /// Adds a window of a streamed answer. `places` says where a stretch of a passage stands in the whole.
    pub(crate) fn stream(
        &mut self,
        policy: &Policy,
        passages: &[Passage],
        hidden: &Hidden,
        places: impl Fn(&str, &Range<usize>) -> Vec<Place>,
    ) {
        self.keep = Some(kept_by(policy));
        let mut loose = Vec::new();
        for (index, passage) in passages.iter().enumerate() {
            let places = places(&passage.origin.at, &(0..passage.text.len()));
            if places.is_empty() {
                loose.push((index, passage));
            }
            for Place { channel, within, span } in places {
                let text = passage.text.get(within).unwrap_or_default();
                self.streamed(channel, passage.origin.role).grow(text, span);
            }
        }
        for (index, span, category) in &hidden.stretches {
            let Some(passage) = passages.get(*index) else { continue };
            let places = places(&passage.origin.at, span);
            match (places.is_empty(), base(&passage.origin.at)) {
                (false, _) => {}
                (true, Some(base)) => {
                    self.streamed(base.into(), passage.origin.role).why = Some(SPREAD);
                }
                // Nobody can tell where it stands.
                (true, None) => self.streamed.values_mut().for_each(|t| t.why = Some(SPREAD)),
            }
            for Place { channel, span, .. } in places {
                self.streamed(channel, passage.origin.role).mask(stretch(span, *category));
            }
        }
        if let Some(why) = hidden.blind {
            self.streamed.values_mut().for_each(|text| text.why = Some(why));
        }
        for (index, passage) in loose {
            let mut kept = of(passage, hidden.blind);
            let own = hidden.stretches.iter().filter(|(of, ..)| *of == index);
            kept.masked.extend(own.map(|(_, span, category)| stretch(span.clone(), *category)));
            self.output.retain(|known| known.at != kept.at);
            self.output.push(kept);
        }
    }

    fn streamed(&mut self, at: Arc<str>, role: Role) -> &mut Streamed {
        self.streamed.entry(at).or_insert_with(|| Streamed {
            role,
            text: String::new(),
            bytes: 0,
            masked: Vec::new(),
            why: None,
        })
    }

    /// What is written about the exchange `id`; nothing if no text was examined.
    pub(crate) fn examined(self, id: Uuid, time: Timestamp) -> Option<Box<Examined>> {
        let Self { keep, input, mut output, streamed } = self;
        let keep = keep?;
        output.extend(streamed.into_iter().map(|(at, text)| text.kept(at, keep)));
        Some(Box::new(Examined { id, time, keep, input, output, left_out: 0 }))
    }
}

impl Streamed {
    /// Takes in a window that lies at `span`: what is new in it, as far as a record holds it.
    fn grow(&mut self, window: &str, span: Range<usize>) {
        let known = self.text.len();
        if known == self.bytes && known < TEXT_BYTES && span.end > known {
            // Windows overlap and leave no gaps.
            let new = known.checked_sub(span.start).and_then(|from| window.get(from..));
            let new = new.unwrap_or_default();
            let room = new.floor_char_boundary(new.len().min(TEXT_BYTES - known));
            self.text.push_str(new.get(..room).unwrap_or_default());
        }
        self.bytes = self.bytes.max(span.end);
    }

    fn mask(&mut self, stretch: Masked) {
        if !self.masked.contains(&stretch) {
            self.masked.push(stretch);
        }
    }

    fn kept(self, at: Arc<str>, keep: Keep) -> Kept {
        let Self { role, text, bytes, masked, why } = self;
        let long = (keep == Keep::Fingerprint && text.len() < bytes).then_some(LONG);
        Kept {
            at,
            role: role.name().into(),
            bytes: bytes as u64,
            text: Some(text.into()),
            fingerprint: None,
            masked,
            why: why.or(long).map(Into::into),
        }
    }
}

fn kept_by(policy: &Policy) -> Keep {
    match policy.keeps() {
        TextRetention::Full => Keep::Full,
        TextRetention::Redacted => Keep::Redacted,
        TextRetention::Fingerprint => Keep::Fingerprint,
        TextRetention::None => Keep::None,
    }
}

fn of(passage: &Passage, blind: Option<&'static str>) -> Kept {
    Kept {
        at: Arc::clone(&passage.origin.at),
        role: passage.origin.role.name().into(),
        bytes: passage.text.len() as u64,
        text: Some(Arc::clone(&passage.text)),
        fingerprint: None,
        masked: Vec::new(),
        why: blind.map(Into::into),
    }
}

fn stretch(span: Range<usize>, category: Category) -> Masked {
    let (start, end) = (span.start as u64, span.end as u64);
    Masked { start, end, category: category.name().into() }
}

/// The pointer of the text that a passage was made from that is not in the document as it stands.
fn base(at: &str) -> Option<&str> {
    ["#joined", "#lines", "#unescaped"].into_iter().find_map(|note| at.strip_suffix(note))
}

/// Masks `span` of the passage at `index` in all the texts that it joins.
fn mask_parts(
    kept: &mut [Kept],
    (passages, index): (&[Passage], usize),
    span: &Range<usize>,
    category: Category,
) {
    for (number, place) in joins(passages, index).into_iter().flatten() {
        let (from, to) = (span.start.max(place.start), span.end.min(place.end));
        if from >= to {
            continue;
        }
        let own = from - place.start..to - place.start;
        mask_parts(kept, (passages, number), &own, category);
        if let Some(kept) = kept.get_mut(number) {
            kept.masked.push(stretch(own, category));
        }
    }
}

/// Masks `secret`, which was found in a reading of the texts at `base`, wherever it stands in them. If it stands in none
/// of them as it is, none of them is kept.
fn mask_originals(kept: &mut [Kept], base: &str, secret: &str, category: Category) {
    let own = |kept: &&mut Kept| is_under(&kept.at, base);
    let mut found = false;
    for text in kept.iter_mut().filter(own) {
        let Some(whole) = text.text.clone().filter(|_| !secret.is_empty()) else { continue };
        for (start, _) in whole.match_indices(secret) {
            found = true;
            text.masked.push(stretch(start..start + secret.len(), category));
        }
    }
    if !found {
        kept.iter_mut().filter(own).for_each(|text| text.why = Some(SPREAD.into()));
    }
}

fn is_under(at: &str, base: &str) -> bool {
    at.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
