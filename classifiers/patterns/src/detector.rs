//! All detectors behind one seam.

use std::ops::Range;

use classifiers_core::{Backend, Category, ClassifierId, ClassifyError, Finding, Passage};

use crate::{email, numbers, secrets::Secrets};

/// What must change whenever an answer may change.
const REVISION: &str = "1";

/// The classifier of secrets and personal data.
///
/// Scores say how much a format proves: 0.9 and more where a checksum or an unmistakable prefix was seen, less where
/// only the form or a word before it speaks for it.
#[derive(Debug)]
pub struct Patterns {
    id: ClassifierId,
    secrets: Secrets,
}

/// Something found: where, and how sure.
pub(crate) type Found = (Range<usize>, f32);

impl Patterns {
    /// The name findings carry.
    pub const NAME: &'static str = "patterns";

    /// All detectors.
    #[must_use]
    pub fn new() -> Self {
        Self { id: ClassifierId::new(Self::NAME, REVISION), secrets: Secrets::new() }
    }

    /// What is found in `text`: every place once for each category, and each category at least once, with score 0 and
    /// no place where there is nothing of it.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let bytes = text.as_bytes();
        let mut personal = Vec::new();
        email::find(bytes, &mut personal);
        numbers::find(bytes, &mut personal);
        let mut findings = Vec::new();
        add(&mut findings, Category::Secrets, self.secrets.find(bytes), text);
        add(&mut findings, Category::PersonalData, personal, text);
        findings
    }
}

impl Default for Patterns {
    fn default() -> Self {
        Self::new()
    }
}

/// Spans lie on characters because formats are ASCII; one that did not would be found as a whole, never lost.
fn add(findings: &mut Vec<Finding>, category: Category, found: Vec<Found>, text: &str) {
    if found.is_empty() {
        findings.push(Finding::whole(category, 0.0));
    }
    findings.extend(disjoint(found).into_iter().map(|(span, score)| {
        let span = text.get(span.clone()).map(|_| span);
        Finding { category, score, span }
    }));
}

/// What overlaps is one place, as sure as the surest of it: `a@b.co@d.eu` may be read as two addresses.
fn disjoint(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|(span, _)| span.start);
    let mut places: Vec<Found> = Vec::with_capacity(found.len());
    for (span, score) in found {
        match places.last_mut() {
            Some((last, best)) if span.start < last.end => {
                last.end = last.end.max(span.end);
                *best = best.max(score);
            }
            _ => places.push((span, score)),
        }
    }
    places
}

impl Backend for Patterns {
    fn id(&self) -> &ClassifierId {
        &self.id
    }

    fn covers(&self) -> &[Category] {
        &[Category::Secrets, Category::PersonalData]
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        Ok(batch.iter().map(|passage| self.find(&passage.text)).collect())
    }
}
