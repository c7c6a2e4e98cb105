//! Moving a threshold: which recorded decisions would be others.

use std::collections::{BTreeMap, VecDeque};

use classifiers_core::{Category, Direction};
use jiff::{SignedDuration, Timestamp};
use policies::{Action, Policy, decide};
use proxy_audit::{Decided, DecidedRuling, decisions};
use proxy_index::{Field, Query};
use proxy_replay::{Replay, applied, key};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Asking;
use super::overview::NEWEST;
use crate::draft;
use crate::respond::{Problem, Reply};

/// Steps of the distribution.
const STEPS: usize = 100;
/// Decisions that are named, the newest.
const NAMED: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    category: String,
    threshold: f32,
    days: u16,
}

/// `GET /api/rules`: the thresholds in force, and the category that led to most of the newest decisions.
pub(super) fn rules(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let policy = asking.console.rules.policy();
    let rules: Vec<Value> = Category::ALL
        .into_iter()
        .map(|category| {
            let rule = policy.rule(category, Direction::Input);
            json!({ "category": category.name(), "threshold": rule.threshold })
        })
        .collect();
    let busiest = asking.console.index.facets(&Query::default(), &[Field::Hazard], (8, NEWEST))?;
    let known = |name: &String| name.parse::<Category>().is_ok();
    let busiest = busiest
        .facets
        .into_iter()
        .flat_map(|facet| facet.values)
        .filter_map(|(name, _)| name)
        .find(known);
    Ok(Reply::json(&json!({ "rules": rules, "busiest": busiest })))
}

/// `POST /api/what-if`
pub(super) fn show(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let Wanted { category, threshold, days } = asking.request.json()?;
    let category: Category =
        category.parse().map_err(|_| Problem::wrong("There is no such category."))?;
    if !(0.0..=1.0).contains(&threshold) {
        return Err(Problem::wrong("A threshold is a number from 0 to 1."));
    }
    let console = asking.console;
    let document = console.rules.document().map_err(Problem::wrong)?;
    let text = draft::with_sensitivity(&document.text, category.name(), &threshold.to_string());
    let after = text.as_ref().and_then(|text| {
        let policy = console.rules.compile(text, &document.file).ok()?;
        let is_it = (policy.rule(category, Direction::Input).threshold - threshold).abs() < 1e-6;
        is_it.then_some(policy)
    });
    let Some(after) = after else {
        return Err(Problem::wrong(
            "The policy's document is written in a way that cannot be changed here; change it by hand and use `portcullis diff`.",
        ));
    };
    let before = console.rules.policy();
    let draft = text.map(|text| draft::difference(&document.file, &document.text, &text));
    let since = Timestamp::now() - SignedDuration::from_hours(24 * i64::from(days));
    let now = before.rule(category, Direction::Input).threshold;
    let mut replayed = Replayed::new([before, after], category, since);
    decisions(&console.log, |decided| replayed.exchange(decided))
        .map_err(|error| Problem::ours("the log cannot be read", &error))?;
    Ok(Reply::json(&replayed.as_json(now, threshold, draft.as_deref())))
}

struct Replayed {
    policies: [Policy; 2],
    category: Category,
    since: Timestamp,
    replay: Replay,
    exchanges: u64,
    decisions: u64,
    flips: u64,
    changes: BTreeMap<(Action, Action), u64>,
    scores: Vec<u64>,
    such_as: VecDeque<Value>,
}

impl Replayed {
    fn new(policies: [Policy; 2], category: Category, since: Timestamp) -> Self {
        Self {
            policies,
            category,
            since,
            replay: Replay::default(),
            exchanges: 0,
            decisions: 0,
            flips: 0,
            changes: BTreeMap::new(),
            scores: vec![0; STEPS],
            such_as: VecDeque::new(),
        }
    }

    fn exchange(&mut self, decided: &Decided<'_>) {
        if decided.time < self.since {
            return;
        }
        self.exchanges += 1;
        let policies = self.policies.each_ref().map(|policy| applied(policy, decided));
        for (ruling, own) in
            [(&decided.input, Direction::Input), (&decided.output, Direction::Output)]
        {
            let Some(ruling) = ruling else { continue };
            self.ruling(decided, ruling, own, &policies);
        }
    }

    fn ruling(
        &mut self,
        decided: &Decided<'_>,
        ruling: &DecidedRuling<'_>,
        own: Direction,
        policies: &[Policy; 2],
    ) {
        self.decisions += 1;
        let score = strongest(ruling, self.category);
        if let Some(score) = score {
            let step = ((score * STEPS as f32) as usize).min(STEPS - 1);
            if let Some(count) = self.scores.get_mut(step) {
                *count += 1;
            }
        }
        let evidence = self.replay.evidence(ruling, own);
        let [before, after] = policies.each_ref().map(|policy| decide(policy, &evidence).action);
        if before == after {
            return;
        }
        self.flips += 1;
        *self.changes.entry((before, after)).or_default() += 1;
        if self.such_as.len() == NAMED {
            self.such_as.pop_front();
        }
        self.such_as.push_back(json!({
            "id": decided.id, "time": decided.time, "direction": own.to_string(), "from": before.name(),
            "to": after.name(), "score": score, "key": key(decided),
        }));
    }

    fn as_json(&self, before: f32, threshold: f32, draft: Option<&str>) -> Value {
        let mut changes: Vec<_> = self.changes.iter().collect();
        changes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let changes: Vec<Value> = changes
            .into_iter()
            .map(|((from, to), count)| json!({ "from": from.name(), "to": to.name(), "count": count }))
            .collect();
        json!({
            "category": self.category.name(), "before": before, "threshold": threshold, "exchanges": self.exchanges,
            "decisions": self.decisions, "flips": self.flips, "changes": changes, "scores": self.scores,
            "such_as": self.such_as.iter().rev().collect::<Vec<_>>(), "draft": draft,
        })
    }
}

/// The strongest score of `category`, by any check.
fn strongest(ruling: &DecidedRuling<'_>, category: Category) -> Option<f32> {
    let scores = ruling.checks.iter().flat_map(|check| &check.scores.0);
    let own = scores.filter(|(name, _)| *name == category.name()).map(|(_, score)| *score);
    own.filter(|score| score.is_finite()).reduce(f32::max)
}
