//! Decisions, as they are carried out and as they are recorded.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use classifiers_core::Passage;
use policies::{Action, Because, Decision, Evidence, Policy, decide};
use proxy_audit::{Outcome, Ruling, Text, Verdict};
use proxy_dialects::{Found, joins};

use super::panel::{Judgement, Keep};
use super::{Panel, language};
use crate::record::Hidden;
use crate::trace::{Decided, Trace};

/// A decision with what led to it.
pub(super) struct Ruled {
    pub(super) decision: Decision,
    pub(super) evidence: Evidence,
    pub(super) checks: Vec<proxy_audit::Check>,
    /// What is masked in the record.
    pub(super) hidden: Hidden,
}

/// Asks the panel about `passages` and decides.
pub(super) async fn rule(
    panel: &Panel,
    policy: &Policy,
    passages: &[Passage],
    trace: &Trace,
) -> Ruled {
    rule_keeping(panel, policy, passages, (Keep::WhatCounts, trace)).await
}

/// The same, and keeps what somebody wants to know who asks for more than a decision.
pub(super) async fn rule_keeping(
    panel: &Panel,
    policy: &Policy,
    passages: &[Passage],
    (keep, trace): (Keep, &Trace),
) -> Ruled {
    let examination = trace.examine(passages);
    let mut judgement = panel.ask(passages, policy, (keep, &examination)).await;
    if policy.asks_for_languages() {
        judgement.evidence.languages = language::spoken(passages, policy);
    }
    let began = examination.decides();
    let decision = decide(policy, &judgement.evidence);
    let Judgement { evidence, checks, hidden } = judgement;
    let ruled = Ruled { decision, evidence, checks, hidden };
    examination.decided(began, || ruled.decided(policy));
    ruled
}

impl Ruled {
    /// Blocks after all, because what the decision asks for cannot be done.
    pub(super) fn block_instead(&mut self) {
        self.decision.action = Action::Block;
    }

    /// Where the finding stands that weighed most in a block.
    pub(super) fn place(&self) -> Option<String> {
        let Because::Hazard(category) = self.decision.because.first()? else { return None };
        self.evidence
            .observations
            .iter()
            .filter(|seen| seen.category == *category)
            .max_by(|a, b| a.score.total_cmp(&b.score))
            .map(|seen| seen.at.to_string())
    }

    /// Whether a check gave no verdict about some of it.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.evidence.failures.is_empty()
    }

    /// What was found, and whether `policy` cares.
    pub(super) fn found(&self, policy: &Policy) -> Vec<Found> {
        let found = self.evidence.observations.iter().map(|seen| Found {
            category: seen.category,
            score: seen.score,
            counts: policy.counts(seen.category, seen.direction, &seen.classifier, seen.score),
            at: Arc::clone(&seen.at),
            span: seen.span.clone(),
        });
        found.collect()
    }

    /// Which of `passages` are to be changed: pointer, and what is to be cut out there.
    pub(super) fn redactions(&self, passages: &[Passage]) -> Vec<(Arc<str>, Vec<Range<usize>>)> {
        let mut places: Vec<(Arc<str>, Vec<Range<usize>>)> = Vec::new();
        let cuts = self.decision.redactions.iter();
        for (at, span) in cuts.flat_map(|cut| stands(passages, &cut.at, cut.span.clone())) {
            match places.iter_mut().find(|(known, _)| *known == at) {
                Some((_, spans)) => spans.push(span),
                None => places.push((at, vec![span])),
            }
        }
        places
    }

    /// The languages of the texts, each once.
    fn languages(&self) -> Vec<Text> {
        let spoken = self.evidence.languages.iter().map(|spoken| spoken.language.to_string());
        spoken.collect::<BTreeSet<_>>().into_iter().map(Text::from).collect()
    }

    /// What the checks say together.
    fn verdict(&self) -> Verdict {
        let found = self
            .decision
            .because
            .iter()
            .any(|because| matches!(because, Because::Hazard(_) | Because::Custom(_)));
        match (found, self.evidence.failures.is_empty()) {
            (true, _) => Verdict::Unsafe,
            (false, true) => Verdict::Safe,
            (false, false) => Verdict::Unknown,
        }
    }

    /// The decision as a span has it.
    fn decided<'a>(&self, policy: &'a Policy) -> Decided<'a> {
        let Decision { action, would, because, exemptions, .. } = &self.decision;
        Decided {
            policy: policy.label(),
            verdict: self.verdict(),
            action: recorded(*action),
            would: would.map(recorded),
            because: because.iter().map(|because| name(because).to_string()).collect(),
            exemptions: exemptions.iter().map(ToString::to_string).collect(),
        }
    }

    /// The record of the decision; takes the checks along.
    pub(super) fn take_record(&mut self) -> Ruling {
        Ruling {
            verdict: self.verdict(),
            action: recorded(self.decision.action),
            would: self.decision.would.map(recorded),
            because: self.decision.because.iter().map(name).collect(),
            exemptions: self.decision.exemptions.iter().map(|id| id.to_string().into()).collect(),
            languages: self.languages(),
            checks: std::mem::take(&mut self.checks),
            checks_left_out: 0,
        }
    }
}

/// `text` of the passage at `at` with `spans` cut out; `None` if that place or those spans do not exist.
pub(super) fn redacted(passages: &[Passage], at: &str, spans: &[Range<usize>]) -> Option<String> {
    let passage = passages.iter().find(|passage| &*passage.origin.at == at)?;
    proxy_stream::redact(&passage.text, spans)
}

/// Where `span` of the passage at `at` stands: in the texts that it joins, if it is no text of its own.
fn stands(
    passages: &[Passage],
    at: &Arc<str>,
    span: Range<usize>,
) -> Vec<(Arc<str>, Range<usize>)> {
    let index = passages.iter().position(|passage| passage.origin.at == *at);
    let Some(parts) = index.and_then(|index| joins(passages, index)) else {
        return vec![(Arc::clone(at), span)];
    };
    let mut places = Vec::new();
    for (number, place) in parts {
        let (from, to) = (span.start.max(place.start), span.end.min(place.end));
        if let (true, Some(part)) = (from < to, passages.get(number)) {
            let own = from - place.start..to - place.start;
            places.extend(stands(passages, &part.origin.at, own));
        }
    }
    if places.is_empty() {
        // It lies between them: there it cannot be cut out, and is not let through.
        places.push((Arc::clone(at), span));
    }
    places
}

/// What a reason is called in records. Most are words of the program.
fn name(because: &Because) -> Text {
    match because {
        Because::Hazard(category) => category.name().into(),
        other => other.name().to_owned().into(),
    }
}

pub(super) const fn recorded(action: Action) -> proxy_audit::Action {
    match action {
        Action::Allow => proxy_audit::Action::Allow,
        Action::Flag => proxy_audit::Action::Flag,
        Action::Redact => proxy_audit::Action::Redact,
        Action::Block => proxy_audit::Action::Block,
    }
}

/// How an exchange ended whose answer was delivered after these two actions.
pub(super) fn delivered(input: Action, output: Action) -> Outcome {
    match input.max(output) {
        Action::Allow => Outcome::Allowed,
        Action::Flag => Outcome::Flagged,
        Action::Redact => Outcome::Redacted,
        Action::Block => Outcome::Blocked,
    }
}
