//! Lists in one column.

use proxy_audit::Place;
use uuid::Uuid;

/// One score of a decision: of which classifier and category, by their numbers in `names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) classifier: u16,
    pub(crate) category: u16,
    pub(crate) output: bool,
    /// In ten thousandths.
    pub(crate) units: u16,
}

/// Scores have four decimals in the log.
pub(crate) const UNITS: f32 = 10_000.0;
/// The highest bit of a score says that it is of the answer.
const OUTPUT: u16 = 1 << 15;
const SCORE_BYTES: usize = 6;
const PLACE_BYTES: usize = 16;

pub(crate) fn scores(scores: &[Score]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(scores.len() * SCORE_BYTES);
    for score in scores {
        let units = score.units | if score.output { OUTPUT } else { 0 };
        bytes.extend(score.classifier.to_le_bytes());
        bytes.extend(score.category.to_le_bytes());
        bytes.extend(units.to_le_bytes());
    }
    bytes
}

pub(crate) fn each_score(bytes: &[u8]) -> impl Iterator<Item = Score> {
    bytes.as_chunks::<SCORE_BYTES>().0.iter().map(|[a, b, c, d, e, f]| {
        let units = u16::from_le_bytes([*e, *f]);
        Score {
            classifier: u16::from_le_bytes([*a, *b]),
            category: u16::from_le_bytes([*c, *d]),
            output: units & OUTPUT != 0,
            units: units & !OUTPUT,
        }
    })
}

pub(crate) fn add_place(bytes: &mut Vec<u8>, place: Place) {
    bytes.extend(place.segment.to_le_bytes());
    bytes.extend(place.offset.to_le_bytes());
}

pub(crate) fn each_place(bytes: &[u8]) -> impl Iterator<Item = Place> {
    bytes.as_chunks::<PLACE_BYTES>().0.iter().map(|place| {
        let (segment, offset) = place.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
        Place { segment: number(segment), offset: number(offset) }
    })
}

/// An id as it is stored; a text that is none matches nothing.
pub(crate) fn id(text: &str) -> Vec<u8> {
    text.parse::<Uuid>().map(|id| id.as_bytes().to_vec()).unwrap_or_default()
}

/// Where an id stands among all, from 0 to 1: its end is random.
pub(crate) fn share(id: &[u8]) -> Option<f64> {
    let end = id.last_chunk::<4>()?;
    Some(f64::from(u32::from_be_bytes(*end)) / 2f64.powi(32))
}
