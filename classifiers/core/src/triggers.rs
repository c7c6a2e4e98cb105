//! Harmless standard strings that always count as a finding, so that integrators can test their handling
//! of a block without writing anything harmful (the idea of the EICAR test file).

use memchr::memmem;

use crate::{Backend, Category, ClassifierId, ClassifyError, Finding, Passage};

const PREFIX: &str = "PORTCULLIS-TEST-";

/// The classifier that finds the test triggers: `PORTCULLIS-TEST-S1` to `-S14`, `-INJECTION`, `-JAILBREAK`,
/// `-INSECURE-CODE`, `-SECRET` and `-PERSONAL-DATA`, each with score 1 and its exact span.
#[derive(Debug)]
pub struct TestTriggers {
    id: ClassifierId,
    prefix: memmem::Finder<'static>,
}

impl TestTriggers {
    /// The name findings carry.
    pub const NAME: &'static str = "test_triggers";

    /// The test triggers, all switched on.
    #[must_use]
    pub fn new() -> Self {
        Self { id: ClassifierId::new(Self::NAME, "1"), prefix: memmem::Finder::new(PREFIX) }
    }

    fn find(&self, text: &str) -> Vec<Finding> {
        self.prefix
            .find_iter(text.as_bytes())
            .filter_map(|start| {
                let category = trigger_at(text.get(start..)?)?;
                let span = start..start + category.trigger().len();
                Some(Finding { category, score: 1.0, span: Some(span) })
            })
            .collect()
    }
}

impl Default for TestTriggers {
    fn default() -> Self {
        Self::new()
    }
}

/// The category whose trigger `text` starts with; the longest counts, because `S1` begins `S14` too.
fn trigger_at(text: &str) -> Option<Category> {
    Category::ALL
        .into_iter()
        .filter(|category| text.starts_with(category.trigger()))
        .max_by_key(|category| category.trigger().len())
}

impl Backend for TestTriggers {
    fn id(&self) -> &ClassifierId {
        &self.id
    }

    /// None: it looks for its own strings, not for any category as such.
    fn covers(&self) -> &[Category] {
        &[]
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        Ok(batch.iter().map(|passage| self.find(&passage.text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Category, &str)> {
        let triggers = TestTriggers::new();
        let spans = triggers.find(text);
        spans.into_iter().map(|f| (f.category, text.get(f.span.unwrap()).unwrap())).collect()
    }

    #[test]
    fn every_category_has_its_own_trigger_found_with_its_exact_span() {
        for category in Category::ALL {
            let text = format!("é before {} after", category.trigger());
            assert_eq!(found(&text), [(category, category.trigger())]);
        }
    }

    #[test]
    fn neighbours_and_near_misses() {
        assert_eq!(
            found("PORTCULLIS-TEST-S1PORTCULLIS-TEST-S12."),
            [
                (Category::ViolentCrimes, "PORTCULLIS-TEST-S1"),
                (Category::SexualContent, "PORTCULLIS-TEST-S12")
            ]
        );
        assert_eq!(found("portcullis-test-s1 PORTCULLIS-TEST- PORTCULLIS-TEST-X"), []);
    }
}
