//! From evidence to decision.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use classifiers_core::{Direction, TestTriggers};

use crate::profile::Stance;
use crate::{
    Action, Because, CustomObservation, Decision, Evidence, Mode, Observation, Policy, Redaction,
    Spoken,
};

/// Decides: pure, total, and independent of the order of the evidence. More evidence never makes the
/// verdict or the action weaker, and a floor holds whatever else the policy says.
#[must_use]
pub fn decide(policy: &Policy, evidence: &Evidence) -> Decision {
    let votes = votes(policy, evidence);
    let verdict = strongest(votes.iter());
    let action = strongest(enforced(&votes));
    let blocks = |vote: &Vote| vote.action == Action::Block;
    let finding = |vote: &Vote| vote.because != Because::OnFailure;
    Decision {
        verdict,
        action,
        would: (verdict != action).then_some(verdict),
        because: reasons(&votes, verdict, action),
        exemptions: exemptions(&votes),
        redactions: if action == Action::Redact { redactions(&votes) } else { Vec::new() },
        unavailable: action == Action::Block
            && !enforced(&votes).any(|vote| blocks(vote) && finding(vote)),
    }
}

fn votes(policy: &Policy, evidence: &Evidence) -> Vec<Vote> {
    let mut votes = Vec::new();
    for seen in &evidence.observations {
        votes.extend(Vote::of(policy, seen).into_iter().flatten());
    }
    for seen in &evidence.custom {
        votes.extend(Vote::custom(policy, seen).into_iter().flatten());
    }
    votes.extend(evidence.languages.iter().filter_map(|spoken| Vote::language(policy, spoken)));
    for failure in &evidence.failures {
        votes.extend(Vote::failure(policy, failure.direction).into_iter().flatten());
    }
    votes
}

/// What one piece of evidence asks for.
struct Vote {
    action: Action,
    because: Because,
    mode: Mode,
    score: f32,
    /// The observation, where it asks for its span to be cut out.
    cut: Option<Redaction>,
    /// The exemption without which it would ask for more.
    exemption: Option<Arc<str>>,
}

/// What the rules ask for and what the floors ask for.
type Votes = [Option<Vote>; 2];

impl Vote {
    /// What `seen` asks for; nothing where it does not count.
    fn of(policy: &Policy, seen: &Observation) -> Votes {
        if !policy.test_triggers() && *seen.classifier == *TestTriggers::NAME {
            return [None, None];
        }
        // A classifier that answers nonsense has not judged the text. NaN fails this test too.
        if !(0.0..=1.0).contains(&seen.score) {
            return Self::failure(policy, seen.direction);
        }
        if seen.score < policy.least {
            return [None, None];
        }
        policy
            .stances(seen.category, seen.direction, &seen.classifier)
            .map(|stance| stance.and_then(|stance| Self::under(stance, seen)))
    }

    fn under(stance: Stance, seen: &Observation) -> Option<Self> {
        if seen.score < stance.threshold {
            return None;
        }
        let cut = if stance.action == Action::Redact { redaction(seen) } else { None };
        // What cannot be cut out is blocked.
        let uncuttable = stance.action == Action::Redact && cut.is_none();
        Some(Self {
            action: if uncuttable { Action::Block } else { stance.action },
            because: Because::Hazard(seen.category),
            mode: stance.mode,
            score: seen.score,
            cut,
            exemption: stance.exemption,
        })
    }

    /// A hazard in the owner's own words is in shadow. One that the policy does not describe is not its own.
    fn custom(policy: &Policy, seen: &CustomObservation) -> Votes {
        let described = policy.document.custom.iter().find(|hazard| hazard.name == seen.hazard);
        let Some(hazard) = described else { return [None, None] };
        if !(0.0..=1.0).contains(&seen.score) {
            return Self::failure(policy, seen.direction);
        }
        if seen.score < hazard.sensitivity.reference() {
            return [None, None];
        }
        let because = Because::Custom(Arc::clone(&hazard.name));
        let action = *hazard.actions.get(seen.direction);
        [Some(Self { score: seen.score, ..Self::new(action, because, Mode::Shadow) }), None]
    }

    /// A text in a language that nobody was trained for.
    fn language(policy: &Policy, spoken: &Spoken) -> Option<Self> {
        let languages = policy.document.languages.as_ref()?;
        let checked = languages.is_checked(&spoken.language);
        (!checked).then(|| Self::new(languages.others, Because::Languages, policy.mode()))
    }

    /// A check that gave no verdict lifts no floor: what it would have found may lie below one.
    fn failure(policy: &Policy, direction: Direction) -> Votes {
        let rule = Self::new(policy.on_failure(direction), Because::OnFailure, policy.mode());
        let floor = match policy.strongest_floor(direction) {
            Action::Allow => None,
            // Nothing was found that could be cut out.
            Action::Redact | Action::Block => Some(Action::Block),
            Action::Flag => Some(Action::Flag),
        };
        let floor = floor.map(|action| Self::new(action, Because::OnFailure, Mode::Enforce));
        [Some(rule), floor]
    }

    const fn new(action: Action, because: Because, mode: Mode) -> Self {
        Self { action, because, mode, score: 0.0, cut: None, exemption: None }
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
    let reasons = carrying.into_iter().map(|vote| &vote.because);
    reasons.filter(|because| seen.insert(*because)).cloned().collect()
}

fn exemptions(votes: &[Vote]) -> Vec<Arc<str>> {
    let mut used: Vec<Arc<str>> = votes.iter().filter_map(|vote| vote.exemption.clone()).collect();
    used.sort();
    used.dedup();
    used
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
