//! Why a decision is what it is, and what would have changed it.

use classifiers_core::{Category, Direction, TestTriggers};

use crate::{Action, Evidence, Mode, Observation, Policy};

/// What a policy makes of one finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// The policy column.
    pub direction: Direction,
    /// What was looked for.
    pub category: Category,
    /// Who says so.
    pub classifier: String,
    /// How sure it is.
    pub score: f32,
    /// From when on it counts, for this classifier.
    pub threshold: f32,
    /// Whether it counts.
    pub counts: bool,
    /// What the rule asks for when it counts, the exemption applied.
    pub action: Action,
    /// Whether the rule is enforced.
    pub mode: Mode,
    /// The exemption that makes the action weaker.
    pub exemption: Option<String>,
    /// The weakest action that may be taken.
    pub floor: Action,
}

impl Considered {
    /// What would have made a difference, in words.
    #[must_use]
    pub fn what_would_change_it(&self) -> String {
        let Self { category, direction, score, threshold, .. } = self;
        if !self.counts {
            return format!("a sensitivity of {score} or below would make it count");
        }
        let mut ways = vec![format!("a sensitivity above {score}")];
        if *threshold < score.min(1.0) {
            ways.push(format!("a score below {threshold}"));
        }
        if self.action != Action::Allow {
            ways.push(format!("another action in `{category}: {{ {direction}: ... }}`"));
        }
        match (&self.exemption, self.mode) {
            (Some(id), _) => ways.push(format!("the end of {id}")),
            (None, Mode::Shadow) => ways.push("`mode: enforce`".to_owned()),
            (None, Mode::Enforce) => {}
        }
        if self.floor > Action::Allow {
            return format!("nothing: `never_below` asks for {} at least", self.floor);
        }
        ways.join(", or ")
    }
}

/// What `policy` makes of each finding, what weighs most first. Findings of no interest (a score below
/// `least` that does not count) are left out.
#[must_use]
pub fn explain(policy: &Policy, evidence: &Evidence, least: f32) -> Vec<Considered> {
    let mut all: Vec<Considered> = evidence
        .observations
        .iter()
        .filter(|seen| policy.test_triggers() || *seen.classifier != *TestTriggers::NAME)
        .map(|seen| considered(policy, seen))
        .filter(|considered| considered.counts || considered.score >= least)
        .collect();
    all.sort_by(|a, b| {
        let rank = |c: &Considered| (c.counts, c.action.max(c.floor));
        rank(b).cmp(&rank(a)).then(b.score.total_cmp(&a.score)).then(a.category.cmp(&b.category))
    });
    all
}

fn considered(policy: &Policy, seen: &Observation) -> Considered {
    let [rule, floor] = policy.stances(seen.category, seen.direction, &seen.classifier);
    let counts = |threshold: f32| seen.score >= threshold;
    let floor = floor.filter(|floor| counts(floor.threshold)).map(|floor| floor.action);
    let rule_threshold = rule.as_ref().map_or(0.0, |rule| rule.threshold);
    Considered {
        direction: seen.direction,
        category: seen.category,
        classifier: seen.classifier.to_string(),
        score: seen.score,
        threshold: rule_threshold,
        counts: counts(rule_threshold) || floor.is_some(),
        action: rule.as_ref().map_or(Action::Block, |rule| rule.action),
        mode: rule.as_ref().map_or(Mode::Enforce, |rule| rule.mode),
        exemption: rule.and_then(|rule| rule.exemption).map(|id| id.to_string()),
        floor: floor.unwrap_or(Action::Allow),
    }
}
