//! All classifiers together, asked about all texts of one message.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use classifiers_core::{
    Assessment, BoxClassify, Category, ClassifierId, ClassifyError, Direction, Finding, Passage,
    Role, TestTriggers,
};
use futures_util::future::join_all;
use policies::{Action, Evidence, Failure, Observation, Policy};
use proxy_audit::CheckStatus;
use tower::ServiceExt;

/// From this score on a record says where the strongest finding stands.
const NOTEWORTHY: f32 = 0.4;

/// One classifier as the proxy knows it.
#[derive(Clone, Debug)]
pub struct Check {
    id: ClassifierId,
    service: BoxClassify,
}

impl Check {
    /// The classifier `id`, asked through `service`.
    #[must_use]
    pub const fn new(id: ClassifierId, service: BoxClassify) -> Self {
        Self { id, service }
    }

    /// Which classifier this is.
    #[must_use]
    pub const fn id(&self) -> &ClassifierId {
        &self.id
    }
}

/// The classifiers that every text is shown to.
#[derive(Clone, Debug)]
pub struct Panel {
    checks: Arc<[Check]>,
}

/// What the panel says.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) evidence: Evidence,
    pub(crate) checks: Vec<proxy_audit::Check>,
}

impl Panel {
    /// A panel of `checks`.
    pub fn new(checks: impl IntoIterator<Item = Check>) -> Self {
        Self { checks: checks.into_iter().collect() }
    }

    /// Which classifiers are on it.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Asks every classifier about every passage, all at once. A check that has not answered everything within
    /// the policy's deadline has answered nothing. A panel without classifiers gives no verdict either.
    ///
    /// Of several findings about one category in one direction the strongest is kept, except where `policy` cuts
    /// them out: then each counts.
    pub async fn judge(&self, passages: &[Passage], policy: &Policy) -> Evidence {
        self.ask(passages, policy).await.evidence
    }

    pub(crate) async fn ask(&self, passages: &[Passage], policy: &Policy) -> Judgement {
        let timeout = policy.timeout();
        let answers = join_all(self.checks.iter().map(|check| check.ask(passages, timeout))).await;
        let mut judgement = Judgement::default();
        if self.checks.is_empty() {
            let failed = Failed { check: "panel".into(), reason: "no classifier is configured" };
            judgement.evidence.failures = failed.everywhere(passages);
        }
        for answer in answers {
            answer.add_to(&mut judgement, passages, policy);
        }
        judgement
    }
}

impl Check {
    async fn ask(&self, passages: &[Passage], timeout: Duration) -> Answer<'_> {
        let started = Instant::now();
        let asked = passages.iter().map(|passage| self.service.clone().oneshot(passage.clone()));
        let verdicts = tokio::time::timeout(timeout, join_all(asked))
            .await
            .unwrap_or_else(|_| vec![Err(ClassifyError::Timeout(timeout)); passages.len()]);
        Answer { check: self, verdicts, elapsed: started.elapsed() }
    }
}

/// What one check said about each passage.
struct Answer<'a> {
    check: &'a Check,
    verdicts: Vec<Result<Assessment, ClassifyError>>,
    elapsed: Duration,
}

/// The strongest finding of each direction and category.
type Strongest = [[Option<Best>; Category::ALL.len()]; Direction::ALL.len()];

#[derive(Clone)]
struct Best {
    score: f32,
    span: Option<Range<usize>>,
    /// Which passage it is about.
    passage: usize,
}

impl Answer<'_> {
    fn add_to(self, judgement: &mut Judgement, passages: &[Passage], policy: &Policy) {
        let mut strongest: Strongest = Default::default();
        let mut cuts = Vec::new();
        let mut status = CheckStatus::Ok;
        for (index, (passage, verdict)) in passages.iter().zip(&self.verdicts).enumerate() {
            let tallied = verdict.as_ref().map_err(ClassifyError::clone).and_then(|assessment| {
                let sought = Sought { passage, index, policy };
                self.tally(assessment, &sought, &mut strongest, &mut cuts)
            });
            if let Err(error) = tallied {
                status = status_of(&error);
                let failed =
                    Failed { check: Arc::clone(&self.check.id.name), reason: error.reason() };
                failed.add_to(judgement, passage.origin.direction);
            }
        }
        let first = judgement.evidence.observations.len();
        judgement.evidence.observations.extend(cuts);
        for (direction, row) in Direction::ALL.into_iter().zip(strongest) {
            for (category, best) in Category::ALL.into_iter().zip(row) {
                let Some(Best { score, span, passage }) = best else { continue };
                let Some(passage) = passages.get(passage) else { continue };
                let at = Arc::clone(&passage.origin.at);
                let classifier = Arc::clone(&self.check.id.name);
                let seen = Observation { direction, category, score, classifier, at, span };
                judgement.evidence.observations.push(seen);
            }
        }
        let own = judgement.evidence.observations.get(first..).unwrap_or_default();
        let record = self.record(status, own, passages.len());
        judgement.checks.push(record);
    }

    /// Takes in what was said about one passage: what the policy cuts out one by one, of the rest the strongest.
    fn tally(
        &self,
        assessment: &Assessment,
        sought: &Sought<'_>,
        strongest: &mut Strongest,
        cuts: &mut Vec<Observation>,
    ) -> Result<(), ClassifyError> {
        let origin = &sought.passage.origin;
        for finding in &assessment.findings {
            let Finding { category, score, span } = finding;
            if !(0.0..=1.0).contains(score) {
                return Err(ClassifyError::Failed("a score is not between 0 and 1".to_owned()));
            }
            if !applies(*category, origin.role, &self.check.id.name) {
                continue;
            }
            let score = rounded(*score);
            let rule = sought.policy.rule(*category, origin.direction);
            if rule.action == Action::Redact && span.is_some() && score >= rule.threshold {
                cuts.push(Observation {
                    direction: origin.direction,
                    category: *category,
                    score,
                    classifier: Arc::clone(&self.check.id.name),
                    at: Arc::clone(&origin.at),
                    span: span.clone(),
                });
                continue;
            }
            let row = strongest.get_mut(origin.direction as usize);
            if let Some(best) = row.and_then(|row| row.get_mut(*category as usize))
                && best.as_ref().is_none_or(|best| score > best.score)
            {
                *best = Some(Best { score, span: span.clone(), passage: sought.index });
            }
        }
        Ok(())
    }

    /// The record of what this check observed.
    fn record(
        &self,
        status: CheckStatus,
        seen: &[Observation],
        passages: usize,
    ) -> proxy_audit::Check {
        let mut scores = BTreeMap::new();
        let mut at = BTreeMap::new();
        let mut spans = Vec::new();
        for Observation { category, score, at: place, span, .. } in seen {
            let best = scores.entry(category.name().into()).or_insert(*score);
            *best = best.max(*score);
            if *score < NOTEWORTHY {
                continue;
            }
            at.insert(category.name().into(), place.to_string().into());
            spans.extend(span.as_ref().map(|span| proxy_audit::Span {
                at: place.to_string().into(),
                start: span.start as u64,
                end: span.end as u64,
                category: category.name().into(),
            }));
        }
        proxy_audit::Check {
            name: self.check.id.name.to_string().into(),
            revision: self.check.id.revision.to_string().into(),
            status,
            ms: self.elapsed.as_secs_f32() * 1000.0,
            passages: u32::try_from(passages).unwrap_or(u32::MAX),
            scores,
            at,
            spans,
            spans_left_out: 0,
        }
    }
}

/// What a tally is about.
struct Sought<'a> {
    passage: &'a Passage,
    index: usize,
    policy: &'a Policy,
}

/// Scores have four decimals, before anything is decided: so the record holds exactly what was decided from.
fn rounded(score: f32) -> f32 {
    (score * 10_000.0).round() / 10_000.0
}

/// The operator writes instructions for the model by trade, so they are no attack; a test trigger is one
/// wherever it stands.
fn applies(category: Category, role: Role, classifier: &str) -> bool {
    role != Role::Operator || !category.is_prompt_attack() || classifier == TestTriggers::NAME
}

const fn status_of(error: &ClassifyError) -> CheckStatus {
    match error {
        ClassifyError::Timeout(_) => CheckStatus::Timeout,
        ClassifyError::Overloaded => CheckStatus::Overloaded,
        ClassifyError::Failed(_) => CheckStatus::Failed,
    }
}

struct Failed {
    check: Arc<str>,
    reason: &'static str,
}

impl Failed {
    fn add_to(&self, judgement: &mut Judgement, direction: Direction) {
        let failure = self.towards(direction);
        if !judgement.evidence.failures.contains(&failure) {
            judgement.evidence.failures.push(failure);
        }
    }

    fn towards(&self, direction: Direction) -> Failure {
        Failure { direction, check: Arc::clone(&self.check), reason: self.reason.to_owned() }
    }

    fn everywhere(&self, passages: &[Passage]) -> Vec<Failure> {
        Direction::ALL
            .into_iter()
            .filter(|direction| passages.iter().any(|p| p.origin.direction == *direction))
            .map(|direction| self.towards(direction))
            .collect()
    }
}
