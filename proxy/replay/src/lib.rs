//! From a recorded decision back to the evidence it was made from.
//!
//! Records keep, for each check and hazard, the strongest score, and whether there was an exact place. That is
//! all a decision depends on, except where several findings of one hazard differ in having a place.

use std::sync::Arc;

use classifiers_core::{Category, Direction};
use policies::{Evidence, Failure, Observation, Policy, Request, Spoken};
use proxy_audit::{CheckStatus, Decided, DecidedCheck, DecidedRuling};

/// Makes evidence; names that occur again and again are made once.
#[derive(Debug, Default)]
pub struct Replay {
    names: Vec<Arc<str>>,
    nowhere: Arc<str>,
}

impl Replay {
    /// What was known about the request or the answer that `ruling` is about.
    pub fn evidence(&mut self, ruling: &DecidedRuling<'_>, own: Direction) -> Evidence {
        let mut evidence = Evidence::default();
        for check in &ruling.checks {
            let name = self.name(&check.name);
            if check.status != CheckStatus::Ok {
                // The record does not say which of the texts; at least those that are not of tools.
                let reason = check.status.as_str().to_owned();
                evidence.failures.push(Failure {
                    direction: own,
                    check: Arc::clone(&name),
                    reason,
                });
            }
            // Where texts of tools were judged, the record tells them from the others.
            let apart = !check.tools.0.is_empty();
            let others = if apart { &check.dialogue } else { &check.scores };
            for (pairs, direction) in [(others, own), (&check.tools, Direction::Tools)] {
                let seen = pairs.0.iter().filter_map(|(category, score)| {
                    let category: Category = category.parse().ok()?;
                    Some(Observation {
                        direction,
                        category,
                        score: *score,
                        classifier: Arc::clone(&name),
                        at: Arc::clone(&self.nowhere),
                        span: is_placed(check, category).then_some(0..1),
                    })
                });
                evidence.observations.extend(seen);
            }
        }
        evidence.languages.extend(
            ruling
                .languages
                .iter()
                .map(|language| Spoken { direction: own, language: Arc::from(&**language) }),
        );
        evidence
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&new));
        new
    }
}

/// Whether the check said where it is.
fn is_placed(check: &DecidedCheck<'_>, category: Category) -> bool {
    check.spans.iter().any(|span| span.category == category.name())
}

/// What `policy` would have applied to the request behind `decided`, on the day it came. Headers are not
/// recorded, so no route by header is taken.
#[must_use]
pub fn applied(policy: &Policy, decided: &Decided<'_>) -> Policy {
    let request = Request {
        key: key(decided),
        model: decided.model.as_deref(),
        path: decided.origin.as_ref().map(|origin| &*origin.route),
        header: &|_| None,
    };
    let day = decided.time.to_zoned(jiff::tz::TimeZone::UTC).date();
    policy.for_request(&request, Some(day))
}

/// The caller's key: its name, or its fingerprint.
#[must_use]
pub fn key<'d>(decided: &'d Decided<'_>) -> Option<&'d str> {
    let fingerprint = || decided.origin.as_ref()?.key.as_deref();
    decided.key_name.as_deref().or_else(fingerprint)
}
