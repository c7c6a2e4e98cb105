//! All classifiers together, asked about all texts of one message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use classifiers_core::{
    Assessment, BoxClassify, Category, ClassifierId, ClassifyError, Direction, Finding, Origin,
    Passage, Role, TestTriggers,
};
use futures_util::future::join_all;
use policies::{Evidence, Failure, Observation, Policy};
use proxy_audit::{ByCategory, CheckStatus};
use tower::ServiceExt;

use crate::record::{Hidden, milliseconds};
use crate::trace::{Checked, Examination, Trace};

use super::counts::Counts;

/// From this score on a record says where the strongest finding stands.
const NOTEWORTHY: f32 = 0.4;
/// Passages that one check is asked about at a time: a long conversation alone must not fill a server's places.
const AT_A_TIME: usize = 64;

/// One classifier as the proxy knows it.
#[derive(Clone, Debug)]
pub struct Check {
    id: ClassifierId,
    service: BoxClassify,
    /// What it finds with exact places.
    locates: &'static [Category],
}

impl Check {
    /// The classifier `id`, asked through `service`.
    #[must_use]
    pub const fn new(id: ClassifierId, service: BoxClassify) -> Self {
        Self { id, service, locates: &[] }
    }

    /// The same, of which it is known that it finds `categories` with exact places: what must not be in the record can
    /// be masked.
    #[must_use]
    pub fn locating(self, categories: &'static [Category]) -> Self {
        Self { locates: categories, ..self }
    }

    /// A way to ask it.
    #[must_use]
    pub fn service(&self) -> BoxClassify {
        self.service.clone()
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
    /// Who judges when a check gives no verdict, where a policy says so.
    standbys: Arc<[Check]>,
    counts: Arc<Counts>,
}

/// What the panel says.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) evidence: Evidence,
    pub(crate) checks: Vec<proxy_audit::Check>,
    pub(crate) hidden: Hidden,
}

impl Panel {
    /// A panel of `checks`.
    pub fn new(checks: impl IntoIterator<Item = Check>) -> Self {
        Self::with_standbys(checks, [])
    }

    /// A panel of `checks`, in whose place `standbys` judge when a policy says so.
    pub fn with_standbys(
        checks: impl IntoIterator<Item = Check>,
        standbys: impl IntoIterator<Item = Check>,
    ) -> Self {
        let (checks, standbys): (Arc<[Check]>, Arc<[Check]>) =
            (checks.into_iter().collect(), standbys.into_iter().collect());
        let names = |checks: &[Check]| -> Vec<Arc<str>> {
            checks.iter().map(|check| Arc::clone(&check.id.name)).collect()
        };
        let counts = Arc::new(Counts::new(&names(&checks), &names(&standbys)));
        Self { checks, standbys, counts }
    }

    /// Who may judge in another's place.
    #[must_use]
    pub fn standbys(&self) -> &[Check] {
        &self.standbys
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
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
        let untraced = Trace::default().examine(passages);
        self.ask(passages, policy, (Keep::Everything, &untraced)).await.evidence
    }

    /// The same, with what goes into the record.
    pub(crate) async fn ask(
        &self,
        passages: &[Passage],
        policy: &Policy,
        (keep, examination): (Keep, &Examination),
    ) -> Judgement {
        let ask = |check| self.ask_down(check, passages, policy, examination);
        let answers = join_all(self.checks.iter().map(ask)).await;
        let mut judgement = Judgement::default();
        if self.checks.is_empty() {
            let failed = Failed { check: "panel".into(), reason: "no classifier is configured" };
            judgement.evidence.failures = failed.everywhere(passages);
        }
        let hide = policy.masks();
        let answers: Vec<Answer<'_>> = answers.into_iter().flatten().collect();
        let located = |category| answers.iter().any(|answer| answer.locates(category, passages));
        if !hide.iter().all(located) {
            judgement.hidden.blind = Some("no check said where what is to be masked stands");
        }
        let asked = Asked { passages, policy, keep, hide };
        for answer in answers {
            answer.add_to(&mut judgement, &asked);
        }
        judgement
    }
}

impl Panel {
    /// Asks `check`, and about what it gives no verdict on those whom `policy` names in its place, one after another.
    async fn ask_down<'a>(
        &'a self,
        check: &'a Check,
        passages: &[Passage],
        policy: &Policy,
        examination: &Examination,
    ) -> Vec<Answer<'a>> {
        let all: Vec<usize> = (0..passages.len()).collect();
        let first = self.count(check.ask(passages, all, policy.timeout()).await);
        examination.checked(|| first.seen());
        let mut answers = vec![first];
        for (rung, name) in policy.instead_of(&check.id.name).iter().enumerate() {
            let Some(last) = answers.last_mut() else { break };
            let left = last.without_verdict();
            let standby = self.standbys.iter().find(|standby| *standby.id.name == **name);
            let Some(standby) = standby.filter(|_| !left.is_empty()) else { continue };
            let asked = left.len();
            last.hand_over();
            let mut answer = self.count(standby.ask(passages, left, policy.timeout()).await);
            answer.rung = Some((in_place_of(&check.id.name), rung + 1));
            examination.checked(|| answer.seen());
            let judged = asked - answer.without_verdict().len();
            self.counts.degraded(&check.id.name, name, judged);
            answers.push(answer);
        }
        // Who has left everything to others has said nothing.
        answers.retain(|answer| !answer.verdicts.is_empty() || passages.is_empty());
        answers
    }

    fn count<'a>(&self, answer: Answer<'a>) -> Answer<'a> {
        let name = &answer.check.id.name;
        self.counts.asked(name, answer.verdicts.len(), answer.elapsed);
        for error in answer.verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().err()) {
            self.counts.failed(name, error);
        }
        answer
    }
}

/// What the name of a rung begins with.
pub(super) const IN_PLACE_OF: &str = "in_place_of_";

/// How the record says in whose place a check judges: a measure with the number of the rung.
fn in_place_of(check: &str) -> &'static str {
    match check {
        "llama_guard" => "in_place_of_llama_guard",
        "prompt_guard" => "in_place_of_prompt_guard",
        "moderations" => "in_place_of_moderations",
        _ => "in_place_of_another",
    }
}

/// Which findings become evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of them.
    Everything,
    /// Those that reach the policy's threshold: the others cannot weigh in its decision.
    WhatCounts,
}

/// What the checks were asked.
struct Asked<'a> {
    passages: &'a [Passage],
    policy: &'a Policy,
    keep: Keep,
    /// What is masked in the record.
    hide: &'a [Category],
}

impl Check {
    /// Asks about those of `passages` that `which` names.
    async fn ask(&self, passages: &[Passage], which: Vec<usize>, timeout: Duration) -> Answer<'_> {
        let started = Instant::now();
        let mut verdicts = Vec::with_capacity(which.len());
        let all = async {
            for some in which.chunks(AT_A_TIME) {
                let asked = some.iter().filter_map(|at| passages.get(*at));
                let asked = asked.map(|passage| self.service.clone().oneshot(passage.clone()));
                verdicts.extend(join_all(asked).await);
            }
        };
        if tokio::time::timeout(timeout, all).await.is_err() {
            verdicts = vec![Err(ClassifyError::Timeout(timeout)); which.len()];
        }
        let verdicts = which.into_iter().zip(verdicts.into_iter().map(checked)).collect();
        Answer { check: self, verdicts, elapsed: started.elapsed(), rung: None }
    }
}

/// What one check said about each passage.
struct Answer<'a> {
    check: &'a Check,
    /// By the number of the passage.
    verdicts: Vec<(usize, Result<Assessment, ClassifyError>)>,
    elapsed: Duration,
    /// In whose place it was asked, and how many were asked before.
    rung: Option<(&'static str, usize)>,
}

/// A score that is none makes no verdict.
fn checked(verdict: Result<Assessment, ClassifyError>) -> Result<Assessment, ClassifyError> {
    let said = verdict?;
    if said.findings.iter().all(|finding| (0.0..=1.0).contains(&finding.score)) {
        return Ok(said);
    }
    Err(ClassifyError::Failed("a score is not between 0 and 1".to_owned()))
}

/// The strongest finding of each direction and category.
#[derive(Default)]
struct Strongest {
    found: Vec<(Direction, Category, Best)>,
    /// Where in `found`, plus one; 0 is nowhere.
    index: [[u8; Category::ALL.len()]; Direction::ALL.len()],
}

impl Strongest {
    fn add(&mut self, direction: Direction, category: Category, best: Best) {
        let row = self.index.get_mut(direction as usize);
        let Some(index) = row.and_then(|row| row.get_mut(category as usize)) else { return };
        match self.found.get_mut(usize::from(*index).wrapping_sub(1)) {
            Some((_, _, known)) if known.score >= best.score => {}
            Some((_, _, known)) => *known = best,
            None => {
                if self.found.is_empty() {
                    self.found.reserve(Category::ALL.len());
                }
                self.found.push((direction, category, best));
                // There are fewer directions and categories than a byte counts.
                *index = self.found.len() as u8;
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Best {
    score: f32,
    /// First byte, and one past the last.
    span: Option<(usize, usize)>,
    /// Which passage it is about.
    passage: usize,
}

/// What one check found, sorted out.
#[derive(Default)]
struct Found {
    strongest: Strongest,
    /// What the policy cuts out.
    cuts: Vec<Observation>,
    /// What was measured about the worst passage.
    measures: Vec<(&'static str, f32)>,
    /// What is masked in the record.
    hidden: Vec<(usize, std::ops::Range<usize>, Category)>,
}

impl Answer<'_> {
    /// Whether it says of all `passages` where something of `category` stands.
    fn locates(&self, category: &Category, passages: &[Passage]) -> bool {
        let judged = || self.verdicts.iter().filter(|(_, verdict)| verdict.is_ok()).count();
        self.check.locates.contains(category) && judged() == passages.len()
    }

    /// The passages that it says nothing about.
    fn without_verdict(&self) -> Vec<usize> {
        self.verdicts.iter().filter(|(_, verdict)| verdict.is_err()).map(|(at, _)| *at).collect()
    }

    /// What a span says about it.
    fn seen(&self) -> Checked<'_> {
        let mut failures = self.verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().err());
        let said = self.verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().ok());
        let found = said.flat_map(|said| &said.findings);
        Checked {
            id: &self.check.id,
            passages: self.verdicts.len(),
            elapsed: self.elapsed,
            failure: failures.next().map(ClassifyError::reason),
            rung: self.rung.map(|(name, rung)| (name.trim_start_matches(IN_PLACE_OF), rung)),
            strongest: found
                .max_by(|a, b| a.score.total_cmp(&b.score))
                .map(|finding| (finding.category.name(), rounded(finding.score))),
        }
    }

    /// Leaves what it says nothing about to others.
    fn hand_over(&mut self) {
        self.verdicts.retain(|(_, verdict)| verdict.is_ok());
    }

    fn add_to(self, judgement: &mut Judgement, asked: &Asked<'_>) {
        let mut found = Found::default();
        let mut status = CheckStatus::Ok;
        for (index, verdict) in &self.verdicts {
            let Some(passage) = asked.passages.get(*index) else { continue };
            match verdict {
                Ok(assessment) => self.tally(assessment, (*index, passage), asked, &mut found),
                Err(error) => {
                    status = status_of(error);
                    let failed =
                        Failed { check: Arc::clone(&self.check.id.name), reason: error.reason() };
                    failed.add_to(judgement, passage.origin.direction);
                }
            }
        }
        judgement.checks.push(self.record(status, &found, asked.passages));
        judgement.hidden.stretches.append(&mut found.hidden);
        judgement.evidence.observations.append(&mut found.cuts);
        judgement.evidence.observations.extend(self.observations(&found.strongest, asked));
    }

    /// Takes in what was said about one passage: what the policy cuts out one by one, of the rest the strongest.
    fn tally(
        &self,
        assessment: &Assessment,
        (index, passage): (usize, &Passage),
        asked: &Asked<'_>,
        found: &mut Found,
    ) {
        let Origin { role, direction, .. } = passage.origin;
        if assessment.measures_more_than(&found.measures) {
            found.measures.clone_from(&assessment.measures);
        }
        for Finding { category, score, span } in &assessment.findings {
            if !applies(*category, role, &self.check.id.name) {
                continue;
            }
            if let Some(span) = span.as_ref().filter(|_| asked.hide.contains(category)) {
                found.hidden.push((index, span.clone(), *category));
            }
            let score = rounded(*score);
            let span = span.as_ref().map(|span| (span.start, span.end));
            let best = Best { score, span, passage: index };
            let name = &self.check.id.name;
            if span.is_some() && asked.policy.cuts(*category, direction, name, score) {
                found.cuts.push(self.observation(direction, *category, best, &passage.origin.at));
                continue;
            }
            found.strongest.add(direction, *category, best);
        }
    }

    /// What is evidence of the strongest findings.
    fn observations(
        &self,
        strongest: &Strongest,
        asked: &Asked<'_>,
    ) -> impl Iterator<Item = Observation> {
        strongest.found.iter().filter_map(|&(direction, category, best)| {
            let counts = asked.keep == Keep::Everything
                || asked.policy.counts(category, direction, &self.check.id.name, best.score);
            let passage = asked.passages.get(best.passage).filter(|_| counts)?;
            Some(self.observation(direction, category, best, &passage.origin.at))
        })
    }

    /// In whose place it judges, and what it measured.
    fn measures(&self, found: &Found) -> impl Iterator<Item = (&'static str, f32)> {
        let rung = self.rung.map(|(name, rung)| (name, rung as f32));
        rung.into_iter().chain(found.measures.iter().copied())
    }

    fn observation(
        &self,
        direction: Direction,
        category: Category,
        Best { score, span, .. }: Best,
        at: &Arc<str>,
    ) -> Observation {
        Observation {
            direction,
            category,
            score,
            classifier: Arc::clone(&self.check.id.name),
            at: Arc::clone(at),
            span: span.map(|(start, end)| start..end),
        }
    }

    /// The record of what this check found: of each category the strongest, and where it stands if that is
    /// noteworthy.
    fn record(
        &self,
        status: CheckStatus,
        found: &Found,
        passages: &[Passage],
    ) -> proxy_audit::Check {
        let strongest = found.strongest.found.iter().filter_map(|(_, category, best)| {
            let at = &passages.get(best.passage)?.origin.at;
            Some(Noted { category: *category, score: best.score, span: best.span, at })
        });
        let cuts = found.cuts.iter().map(|Observation { category, score, span, at, .. }| {
            let span = span.as_ref().map(|span| (span.start, span.end));
            Noted { category: *category, score: *score, span, at }
        });
        let mut top = [None::<Noted<'_>>; Category::ALL.len()];
        let mut spans = Vec::new();
        for noted in cuts.chain(strongest) {
            spans.extend(noted.span());
            if let Some(best) = top.get_mut(noted.category as usize)
                && best.is_none_or(|best| noted.score > best.score)
            {
                *best = Some(noted);
            }
        }
        let top = || top.iter().flatten();
        let mut scores = ByCategory::with_capacity(top().count());
        scores.extend(top().map(|noted| (noted.category.name().into(), noted.score)));
        let (tools, dialogue) = found.apart();
        let noteworthy = top().filter(|noted| noted.score >= NOTEWORTHY);
        proxy_audit::Check {
            name: String::from(&*self.check.id.name).into(),
            revision: String::from(&*self.check.id.revision).into(),
            status,
            ms: milliseconds(self.elapsed),
            passages: u32::try_from(self.verdicts.len()).unwrap_or(u32::MAX),
            scores,
            tools,
            dialogue,
            measures: self.measures(found).map(|(name, value)| (name.into(), value)).collect(),
            at: noteworthy
                .map(|noted| (noted.category.name().into(), noted.at.to_owned().into()))
                .collect(),
            spans,
            spans_left_out: 0,
        }
    }
}

/// A finding on its way to the record.
#[derive(Clone, Copy)]
struct Noted<'a> {
    category: Category,
    score: f32,
    span: Option<(usize, usize)>,
    at: &'a str,
}

impl Noted<'_> {
    fn span(&self) -> Option<proxy_audit::Span> {
        let (start, end) = self.span.filter(|_| self.score >= NOTEWORTHY)?;
        Some(proxy_audit::Span {
            at: self.at.to_owned().into(),
            start: start as u64,
            end: end as u64,
            category: self.category.name().into(),
        })
    }
}

type Scores = ByCategory<f32>;

impl Found {
    /// The strongest scores of tools and of all else, told apart; nothing if tools said nothing.
    fn apart(&self) -> (Scores, Scores) {
        let (mut tools, mut dialogue) = (Scores::default(), Scores::default());
        let strongest = self.strongest.found.iter().map(|(d, c, best)| (*d, *c, best.score));
        let cuts = self.cuts.iter().map(|seen| (seen.direction, seen.category, seen.score));
        if !strongest.clone().chain(cuts.clone()).any(|(d, ..)| d == Direction::Tools) {
            return (tools, dialogue);
        }
        for (direction, category, score) in strongest.chain(cuts) {
            let scores = if direction == Direction::Tools { &mut tools } else { &mut dialogue };
            let best = scores.get(category.name()).copied().unwrap_or_default();
            scores.insert(category.name().into(), best.max(score));
        }
        (tools, dialogue)
    }
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
