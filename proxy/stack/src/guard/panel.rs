//! All classifiers together, asked about all texts of one message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use classifiers_core::{
    Assessment, BoxClassify, Category, ClassifierId, ClassifyError, Direction, Passage, Role,
    TestTriggers,
};
use futures_util::future::join_all;
use policies::{Evidence, Failure, Observation};
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
    /// `timeout` has answered nothing. A panel without classifiers gives no verdict either.
    pub async fn judge(&self, passages: &[Passage], timeout: Duration) -> Evidence {
        self.ask(passages, timeout).await.evidence
    }

    pub(crate) async fn ask(&self, passages: &[Passage], timeout: Duration) -> Judgement {
        let answers = join_all(self.checks.iter().map(|check| check.ask(passages, timeout))).await;
        let mut judgement = Judgement::default();
        if self.checks.is_empty() {
            let failed = Failed { check: "panel".into(), reason: "no classifier is configured" };
            judgement.evidence.failures = failed.everywhere(passages);
        }
        for answer in answers {
            answer.add_to(&mut judgement, passages);
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

/// The strongest score of each direction and category, and which passage has it.
type Strongest = [[Option<(f32, usize)>; Category::ALL.len()]; Direction::ALL.len()];

impl Answer<'_> {
    fn add_to(self, judgement: &mut Judgement, passages: &[Passage]) {
        let name = &self.check.id.name;
        let mut strongest: Strongest = Default::default();
        let mut status = CheckStatus::Ok;
        for (index, (passage, verdict)) in passages.iter().zip(&self.verdicts).enumerate() {
            let result = match verdict {
                Ok(assessment) => {
                    self.tally(assessment, (index, passage), &mut strongest, judgement)
                }
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = result {
                status = status_of(&error);
                let failed = Failed { check: Arc::clone(name), reason: error.reason() };
                failed.add_to(judgement, passage.origin.direction);
            }
        }
        let record = self.record(status, &strongest, passages, &judgement.evidence.observations);
        for (direction, row) in Direction::ALL.into_iter().zip(&strongest) {
            for (category, best) in Category::ALL.into_iter().zip(row) {
                let Some((score, index)) = *best else { continue };
                let Some(passage) = passages.get(index) else { continue };
                judgement.evidence.observations.push(Observation {
                    direction,
                    category,
                    score,
                    classifier: Arc::clone(name),
                    at: Arc::clone(&passage.origin.at),
                    span: None,
                });
            }
        }
        judgement.checks.push(record);
    }

    /// Takes in what was said about one passage: findings with a span one by one, because each may have to be
    /// cut out; of the others the strongest.
    fn tally(
        &self,
        assessment: &Assessment,
        (index, passage): (usize, &Passage),
        strongest: &mut Strongest,
        judgement: &mut Judgement,
    ) -> Result<(), ClassifyError> {
        let direction = passage.origin.direction;
        for finding in &assessment.findings {
            if !(0.0..=1.0).contains(&finding.score) {
                return Err(ClassifyError::Failed("a score is not between 0 and 1".to_owned()));
            }
            if !applies(finding.category, passage.origin.role, &self.check.id.name) {
                continue;
            }
            if finding.span.is_some() {
                judgement.evidence.observations.push(Observation {
                    direction,
                    category: finding.category,
                    score: finding.score,
                    classifier: Arc::clone(&self.check.id.name),
                    at: Arc::clone(&passage.origin.at),
                    span: finding.span.clone(),
                });
                continue;
            }
            let row = strongest.get_mut(direction as usize);
            if let Some(best) = row.and_then(|row| row.get_mut(finding.category as usize))
                && best.is_none_or(|(score, _)| finding.score > score)
            {
                *best = Some((finding.score, index));
            }
        }
        Ok(())
    }

    fn record(
        &self,
        status: CheckStatus,
        strongest: &Strongest,
        passages: &[Passage],
        spanned: &[Observation],
    ) -> proxy_audit::Check {
        let mut scores = BTreeMap::new();
        let mut at = BTreeMap::new();
        for row in strongest {
            for (category, best) in Category::ALL.into_iter().zip(row) {
                let Some((score, index)) = *best else { continue };
                keep_strongest(&mut scores, category, score);
                if score >= NOTEWORTHY
                    && let Some(passage) = passages.get(index)
                {
                    at.insert(category.name().into(), passage.origin.at.to_string().into());
                }
            }
        }
        let own = spanned.iter().filter(|seen| seen.classifier == self.check.id.name);
        let mut spans = Vec::new();
        for seen in own {
            keep_strongest(&mut scores, seen.category, seen.score);
            if seen.score >= NOTEWORTHY
                && let Some(span) = &seen.span
            {
                spans.push(proxy_audit::Span {
                    at: seen.at.to_string().into(),
                    start: span.start as u64,
                    end: span.end as u64,
                    category: seen.category.name().into(),
                });
            }
        }
        proxy_audit::Check {
            name: self.check.id.name.to_string().into(),
            revision: self.check.id.revision.to_string().into(),
            status,
            ms: self.elapsed.as_secs_f32() * 1000.0,
            passages: u32::try_from(passages.len()).unwrap_or(u32::MAX),
            scores,
            at,
            spans,
            spans_left_out: 0,
        }
    }
}

fn keep_strongest(scores: &mut BTreeMap<proxy_audit::Text, f32>, category: Category, score: f32) {
    let best = scores.entry(category.name().into()).or_insert(score);
    *best = best.max(score);
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
