//! From evidence to decision.

use std::cmp::Reverse;
use std::collections::HashSet;

use classifiers_core::{Direction, TestTriggers};

use crate::{Action, Because, Decision, Evidence, Mode, Observation, Policy, Redaction};

/// Decides: pure, total, and independent of the order of the evidence. More evidence never makes the
/// verdict or the action weaker.
#[must_use]
pub fn decide(policy: &Policy, evidence: &Evidence) -> Decision {
    let observed = evidence.observations.iter().filter_map(|seen| Vote::of(policy, seen));
    let failed = evidence.failures.iter().map(|f| Vote::failure(policy, f.direction));
    let votes: Vec<Vote> = observed.chain(failed).collect();

    let verdict = strongest(votes.iter());
    let action = strongest(enforced(&votes));
    let blocks = |vote: &Vote| vote.action == Action::Block;
    let finding = |vote: &Vote| vote.because != Because::OnFailure;
    Decision {
        verdict,
        action,
        would: (verdict != action).then_some(verdict),
        because: reasons(&votes, verdict, action),
        redactions: if action == Action::Redact { redactions(&votes) } else { Vec::new() },
        unavailable: action == Action::Block
            && !enforced(&votes).any(|vote| blocks(vote) && finding(vote)),
    }
}

/// What one piece of evidence asks for.
struct Vote {
    action: Action,
    because: Because,
    mode: Mode,
    score: f32,
    /// The observation, where it asks for its span to be cut out.
    cut: Option<Redaction>,
}

impl Vote {
    /// What `seen` asks for; nothing where it does not count.
    fn of(policy: &Policy, seen: &Observation) -> Option<Self> {
        if !policy.test_triggers() && *seen.classifier == *TestTriggers::NAME {
            return None;
        }
        // A classifier that answers nonsense has not judged the text. NaN fails this test too.
        if !(0.0..=1.0).contains(&seen.score) {
            return Some(Self::failure(policy, seen.direction));
        }
        let rule = policy.rule(seen.category, seen.direction);
        if seen.score < rule.threshold {
            return None;
        }
        let cut = if rule.action == Action::Redact { redaction(seen) } else { None };
        // What cannot be cut out is blocked.
        let uncuttable = rule.action == Action::Redact && cut.is_none();
        Some(Self {
            action: if uncuttable { Action::Block } else { rule.action },
            because: Because::Hazard(seen.category),
            mode: rule.mode,
            score: seen.score,
            cut,
        })
    }

    fn failure(policy: &Policy, direction: Direction) -> Self {
        Self {
            action: policy.on_failure(direction),
            because: Because::OnFailure,
            mode: policy.mode(),
            score: 0.0,
            cut: None,
        }
    }
}

fn redaction(seen: &Observation) -> Option<Redaction> {
    let span = seen.span.clone().filter(|span| span.start < span.end)?;
    Some(Redaction { at: seen.at.clone(), span, category: seen.category })
}

fn enforced(votes: &[Vote]) -> impl Iterator<Item = &Vote> {
    votes.iter().filter(|vote| vote.mode == Mode::Enforce)
}

fn strongest<'v>(votes: impl Iterator<Item = &'v Vote>) -> Action {
    votes.map(|vote| vote.action).max().unwrap_or(Action::Allow)
}

/// What carries the verdict, then what carries the action. What is in shadow is a reason only where it makes
/// the two differ: beside an enforced rule that asks for the same it changes nothing, not even a message.
fn reasons(votes: &[Vote], verdict: Action, action: Action) -> Vec<Because> {
    let mut carrying: Vec<&Vote> = votes
        .iter()
        .filter(|vote| vote.action != Action::Allow)
        .filter(|vote| match vote.mode {
            Mode::Enforce => vote.action == action,
            Mode::Shadow => vote.action == verdict && verdict != action,
        })
        .collect();
    carrying.sort_by(|a, b| {
        let rank = |v: &Vote| (Reverse(v.action), v.because == Because::OnFailure);
        rank(a).cmp(&rank(b)).then(b.score.total_cmp(&a.score)).then(a.because.cmp(&b.because))
    });
    let mut seen = HashSet::new();
    carrying.into_iter().map(|vote| vote.because).filter(|because| seen.insert(*because)).collect()
}

/// Every enforced cut, in order of place.
fn redactions(votes: &[Vote]) -> Vec<Redaction> {
    let mut cuts: Vec<Redaction> = enforced(votes).filter_map(|vote| vote.cut.clone()).collect();
    cuts.sort_by(|a, b| {
        let place = |r: &Redaction| (r.span.start, r.span.end, r.category);
        a.at.cmp(&b.at).then_with(|| place(a).cmp(&place(b)))
    });
    cuts.dedup();
    cuts
}
