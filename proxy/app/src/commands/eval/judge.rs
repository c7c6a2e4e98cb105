//! Who judges the texts: the classifiers of this program under a policy, or a guard somewhere.

use std::sync::Arc;

use classifiers_core::Category;
use evaluation::{Example, Outcome};
use policies::{Action, Evidence, Observation, Policy, decide};
use proxy_stack::{Check, Panel};

use crate::config;
use crate::failure::Failure;
use crate::registry::{self, Models};
use crate::remote::Remote;

/// Who judges.
pub(super) enum Judge {
    Here(Box<Here>),
    There(Box<Remote>),
}

/// The classifiers of this program.
pub(super) struct Here {
    panel: Panel,
    policy: Policy,
    guard: String,
    /// Whose the scores are that stand in the data in place of texts.
    scored_by: Arc<str>,
}

/// Whose scores stand in the data.
pub(super) struct Scored<'a> {
    pub(super) classifier: &'a str,
    pub(super) revision: Option<&'a str>,
}

impl Here {
    pub(super) fn new(
        policy: &str,
        models: &Models,
        scored: Option<&Scored<'_>>,
    ) -> Result<Self, Failure> {
        let policy = config::policy(policy)?;
        let panel = registry::panel(models, policy.timeout())?;
        let policy = policy.calibrated(registry::calibrations(&panel)?);
        let guard = match scored {
            Some(Scored { classifier, revision }) => {
                format!("{classifier}@{}, scores from the data", revision.unwrap_or("?"))
            }
            None => {
                let names = panel.checks().iter().map(|check| check.id().to_string());
                names.collect::<Vec<_>>().join(", ")
            }
        };
        let first = panel.checks().first().map(|check| Arc::clone(&Check::id(check).name));
        let scored_by = scored.map(|scored| scored.classifier.into()).or(first).unwrap_or_default();
        Ok(Self { panel, policy, guard, scored_by })
    }

    pub(super) async fn judge(&self, example: &Example) -> Outcome {
        let evidence = match (example.passage(), &example.scores) {
            (_, Some(scores)) => self.given(example, scores),
            (Some(passage), None) => self.panel.judge(&[passage], &self.policy).await,
            (None, None) => Evidence::default(),
        };
        self.decided(&evidence)
    }

    fn given(
        &self,
        example: &Example,
        scores: &std::collections::BTreeMap<Category, f32>,
    ) -> Evidence {
        let observation = |(category, score): (&Category, &f32)| Observation {
            direction: example.direction(),
            category: *category,
            score: *score,
            classifier: Arc::clone(&self.scored_by),
            at: "/text".into(),
            span: None,
        };
        Evidence { observations: scores.iter().map(observation).collect(), ..Evidence::default() }
    }

    /// What the policy makes of it. Without every classifier's answer there is no outcome.
    fn decided(&self, evidence: &Evidence) -> Outcome {
        if let Some(failure) = evidence.failures.first() {
            return Outcome::failed(format!("{}: {}", failure.check, failure.reason));
        }
        let mut outcome = Outcome {
            scores: Some(std::collections::BTreeMap::new()),
            blocked: decide(&self.policy, evidence).action == Action::Block,
            ..Outcome::default()
        };
        for seen in &evidence.observations {
            let name = seen.category.name().to_owned();
            if self.policy.counts(seen.category, seen.direction, &seen.classifier, seen.score) {
                outcome.found.insert(name.clone());
            }
            if let Some(scores) = &mut outcome.scores {
                let best = scores.entry(name).or_insert(seen.score);
                *best = best.max(seen.score);
            }
        }
        outcome
    }
}

impl Judge {
    pub(super) async fn judge(&self, example: &Example) -> Outcome {
        match self {
            Self::Here(here) => here.judge(example).await,
            Self::There(remote) => remote.ask(example).await,
        }
    }

    /// What judged, and what decided.
    pub(super) fn names(&self) -> (String, String) {
        match self {
            Self::Here(here) => (here.guard.clone(), here.policy.label().to_owned()),
            Self::There(remote) => (remote.name(), "the guard's own".to_owned()),
        }
    }
}
