//! Figures of many decisions.

use std::collections::BTreeMap;

use classifiers_core::{Category, Direction};
use evaluation::wilson;
use policies::{Evidence, Observation, Policy, explain};
use proxy_index::{Distribution, Facet, Field, Query, Scores, Timeline};
use serde_json::{Value, json};

use super::{Asking, decisions};
use crate::respond::{Problem, Reply};

/// The newest decisions of which all is looked at but when they were and how they ended.
pub(super) const NEWEST: usize = 50_000;
/// Keys that are counted at most.
const KEYS: usize = 10_000;
/// Categories in a chart.
const HAZARDS: usize = 24;
/// A distribution with no score from here on shows nothing.
const LEAST_STEP: usize = 15;

/// `GET /api/overview?q=`
pub(super) fn show(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let (query, index) = (asking.filter()?, &asking.console.index);
    let timeline = index.timeline(&query, decisions::BARS, NEWEST)?;
    let keys = index.facets(&query, &[Field::Key], (KEYS, NEWEST))?;
    let named = |keys: &Facet| keys.values.iter().filter(|(name, _)| name.is_some()).count();
    Ok(Reply::json(&json!({
        "timeline_counts": summed(&timeline),
        "timeline": decisions::over_time(&timeline),
        "outcomes": timeline.outcomes,
        "keys": keys.facets.first().map_or(0, named),
        "newest": keys.decisions,
        "more": keys.more,
        "hazards": hazards(asking, &query)?,
        "alarms": alarms(asking, &query)?,
        "scores": scores(asking, &query)?,
        "latency": index.latency(&query, NEWEST)?,
    })))
}

fn summed(timeline: &Timeline) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for (name, count) in timeline.bars.iter().flat_map(|bar| &bar.counts) {
        *counts.entry(name.as_str()).or_default() += count;
    }
    counts
}

/// What decisions are because of, and how they ended, the most frequent first.
fn hazards(asking: &Asking<'_>, query: &Query) -> Result<Vec<Value>, Problem> {
    let causes = asking.console.index.causes(query, NEWEST)?;
    let sum = |by: &BTreeMap<String, u64>| by.values().sum::<u64>();
    let mut causes: Vec<(String, BTreeMap<String, u64>)> = causes.into_iter().collect();
    causes.sort_by_key(|(_, by)| std::cmp::Reverse(sum(by)));
    causes.truncate(HAZARDS);
    Ok(causes
        .into_iter()
        .map(|(name, by)| json!({ "count": sum(&by), "by": by, "name": name }))
        .collect())
}

/// For each category that acted: how many of the reviewed decisions are false alarms, with Wilson's interval. Only clear
/// verdicts count.
fn alarms(asking: &Asking<'_>, query: &Query) -> Result<Vec<Value>, Problem> {
    let said = |word: &str| -> Result<BTreeMap<String, u64>, Problem> {
        let query = query.clone().with(Field::Review, word);
        let causes = asking.console.index.causes(&query, NEWEST)?;
        Ok(causes.into_iter().map(|(name, by)| (name, by.values().sum())).collect())
    };
    let (wrong, right, other) = (said("false_alarm")?, said("correct")?, said("wrong_category")?);
    let mut names: Vec<&String> = wrong.keys().chain(right.keys()).chain(other.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut found: Vec<(u64, Value)> = names
        .into_iter()
        .map(|name| {
            let of = |said: &BTreeMap<String, u64>| said.get(name).copied().unwrap_or_default();
            let (alarms, reviewed) = (of(&wrong), of(&wrong) + of(&right) + of(&other));
            let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let [low, high] = wilson(count(alarms), count(reviewed));
            let share = alarms as f64 / reviewed as f64;
            (reviewed, json!({
                "name": name, "false_alarms": alarms, "reviewed": reviewed, "share": share, "low": low, "high": high,
            }))
        })
        .collect();
    found.sort_by_key(|(reviewed, _)| std::cmp::Reverse(*reviewed));
    Ok(found.into_iter().map(|(_, value)| value).collect())
}

/// Distributions of scores with the thresholds in force, those with something to see.
fn scores(asking: &Asking<'_>, query: &Query) -> Result<Value, Problem> {
    let Scores { decisions, more, distributions } = asking.console.index.scores(query, NEWEST)?;
    let policy = asking.console.rules.policy();
    let telling = |one: &Distribution| one.counts.iter().skip(LEAST_STEP).any(|count| *count > 0);
    let mut shown: Vec<(u64, Value)> = distributions
        .into_iter()
        .filter(telling)
        .map(|one| {
            let high = one.counts.iter().skip(one.counts.len() / 2).sum();
            let threshold = threshold(&policy, &one);
            let counts: Vec<u64> = one.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            (high, json!({
                "classifier": one.classifier, "category": one.category, "direction": one.direction,
                "counts": counts, "threshold": threshold,
            }))
        })
        .collect();
    shown.sort_by_key(|(high, _)| std::cmp::Reverse(*high));
    let shown: Vec<Value> = shown.into_iter().map(|(_, value)| value).collect();
    Ok(json!({ "decisions": decisions, "more": more, "distributions": shown }))
}

/// From which score on the classifier's finding counts.
fn threshold(policy: &Policy, of: &Distribution) -> Option<f32> {
    let category: Category = of.category.parse().ok()?;
    let direction = if of.direction == "output" { Direction::Output } else { Direction::Input };
    let seen = Observation {
        direction,
        category,
        score: 0.0,
        classifier: of.classifier.as_str().into(),
        at: "".into(),
        span: None,
    };
    let evidence = Evidence { observations: vec![seen], ..Evidence::default() };
    explain(policy, &evidence, 0.0).first().map(|one| one.threshold)
}
