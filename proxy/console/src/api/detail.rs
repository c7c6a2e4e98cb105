//! Everything about one decision but its texts.

use std::collections::{BTreeMap, BTreeSet};

use classifiers_core::{Category, Direction};
use policies::{Considered, Policy, explain};
use proxy_audit::{Check, Closed, Decided, Entry, Keep, Kept, Opened, Origin, Record, Ruling};
use proxy_index::{Detail, Field, Query, Review, Row};
use proxy_replay::{Replay, applied};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Asking;
use crate::respond::{Problem, Reply};

/// How many decisions of the same key are shown on either side.
const AROUND: usize = 4;

/// `GET /api/decisions/ID`
pub(super) fn show(asking: &Asking<'_>, path: &[&str]) -> Result<Reply, Problem> {
    let detail = find(asking, super::id(path.get(1).copied().unwrap_or_default())?)?;
    let sides = sides(closed(&detail));
    let explained = explained(asking, &detail, &sides);
    let kept = detail
        .texts
        .as_ref()
        .map(|texts| kept(asking, texts.keep, texts.input.iter().chain(&texts.output)));
    let closed = closed(&detail);
    let rulings = || sides.iter().map(|(_, _, ruling)| *ruling);
    Ok(Reply::json(&json!({
        "row": detail.row,
        "mine": mine(&detail.reviews, asking.user()),
        "explained": explained.as_json(),
        "checks": explained.checks(&sides),
        "kept": kept.unwrap_or_else(|| json!({ "keep": detail.row.keep, "readable": false, "texts": [] })),
        "places": places(&sides),
        "timing": closed.map(|closed| json!({
            "total": closed.timing_ms.total, "guard_input": closed.timing_ms.guard_input,
            "upstream": closed.timing_ms.upstream, "guard_output": closed.timing_ms.guard_output,
        })),
        "languages": rulings().flat_map(|ruling| &ruling.languages).collect::<BTreeSet<_>>(),
        "exemptions": rulings().flat_map(|ruling| &ruling.exemptions).collect::<BTreeSet<_>>(),
        "unchecked": closed.into_iter().flat_map(|closed| &closed.unchecked)
            .map(|one| json!({ "at": one.at, "why": one.why })).collect::<Vec<_>>(),
        "released": closed.map_or(0, |closed| closed.released_bytes),
        "removed": detail.removed,
        "around": around(asking, &detail.row)?,
        "reviews": detail.reviews,
        "reveals": detail.reveals,
        "reveal_reason": reason_needed(asking),
        "categories": Category::ALL.map(Category::name),
    })))
}

/// What the index has about a decision, with its records from the log.
pub(super) fn find(asking: &Asking<'_>, id: Uuid) -> Result<Detail, Problem> {
    asking.console.index.detail(id)?.ok_or_else(|| Problem::not_found("decision"))
}

/// Whether somebody who is shown texts must say why; where no policy says, yes.
pub(super) fn reason_needed(asking: &Asking<'_>) -> bool {
    let policy = asking.console.rules.policy();
    policy.retention().is_none_or(|kept| kept.reveal_needs_reason)
}

pub(super) fn closed(detail: &Detail) -> Option<&Closed> {
    detail.entries.iter().find_map(|entry| match &entry.record {
        Record::Closed(closed) => Some(&**closed),
        _ => None,
    })
}

fn opened(detail: &Detail) -> Option<&Opened> {
    detail.entries.iter().find_map(|entry| match &entry.record {
        Record::Opened(opened) => Some(opened),
        _ => None,
    })
}

/// The rulings of an exchange, and what they are about.
pub(super) type Sides<'a> = Vec<(&'static str, Direction, &'a Ruling)>;

pub(super) fn sides(closed: Option<&Closed>) -> Sides<'_> {
    let Some(closed) = closed else { return Vec::new() };
    let both = [
        ("request", Direction::Input, &closed.input),
        ("answer", Direction::Output, &closed.output),
    ];
    both.into_iter().filter_map(|(name, own, ruling)| Some((name, own, ruling.as_ref()?))).collect()
}

/// The reviewer's own verdict, if one stands.
fn mine<'r>(reviews: &'r [Review], user: &str) -> Option<&'r Review> {
    reviews.iter().rfind(|review| review.stands && review.by == user && review.verdict.is_some())
}

/// What kept texts there are; none of what they say.
fn kept<'t>(asking: &Asking<'_>, keep: Keep, texts: impl Iterator<Item = &'t Kept>) -> Value {
    let texts: Vec<Value> = texts
        .map(|text| {
            json!({
                "at": text.at, "role": text.role, "bytes": text.bytes, "has_text": text.text.is_some(),
                "masked": text.masked.len(), "why": text.why, "fingerprint": text.fingerprint,
            })
        })
        .collect();
    let some =
        texts.iter().any(|text| text.get("has_text").is_some_and(|has| has == &Value::Bool(true)));
    // Who may not, learns that somebody else may.
    let readable = some && asking.console.journal.is_some();
    json!({ "keep": keep, "readable": readable, "texts": texts })
}

/// What was found where: categories by JSON pointer.
pub(super) fn places(sides: &Sides<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let checks = sides
        .iter()
        .flat_map(|(_, _, ruling)| ruling.checks.iter().map(move |check| (ruling, check)));
    for (ruling, check) in checks {
        let strongest = check.at.iter().filter(|(name, _)| ruling.because.contains(name));
        let spans = check.spans.iter().map(|span| (&span.category, &span.at));
        for (category, at) in strongest.chain(spans) {
            places.entry(at.to_string()).or_default().insert(category.to_string());
        }
    }
    places
}

/// What the policy in force makes of what was found.
struct Explained {
    same_policy: bool,
    /// With the name of the side.
    considered: Vec<(&'static str, Considered)>,
    failures: Vec<Value>,
}

fn explained(asking: &Asking<'_>, detail: &Detail, sides: &Sides<'_>) -> Explained {
    let policy = asking.console.rules.policy();
    let same_policy = detail.row.policy.as_deref() == Some(policy.label());
    let mut explained = Explained { same_policy, considered: Vec::new(), failures: Vec::new() };
    let entry = detail.entries.iter().find(|entry| matches!(entry.record, Record::Closed(_)));
    let Some(line) = entry.map(Entry::to_json) else { return explained };
    let Ok(mut decided) = serde_json::from_str::<Decided<'_>>(&line) else { return explained };
    decided.origin = opened(detail).map(|opened| Origin {
        route: opened.route.as_ref().into(),
        key: opened.key.as_deref().map(Into::into),
    });
    let policy = applied(&policy, &decided);
    let mut replay = Replay::default();
    let rulings = [&decided.input, &decided.output].into_iter().flatten();
    for ((name, own, _), ruling) in sides.iter().zip(rulings) {
        let evidence = replay.evidence(ruling, *own);
        let considered = explain(&policy, &evidence, 0.0);
        explained.considered.extend(considered.into_iter().map(|one| (*name, one)));
        explained.failures.extend(evidence.failures.iter().map(|failure| failed(&policy, failure)));
    }
    explained
}

fn failed(policy: &Policy, failure: &policies::Failure) -> Value {
    json!({
        "check": &*failure.check, "reason": failure.reason, "action": policy.on_failure(failure.direction).name(),
    })
}

impl Explained {
    fn as_json(&self) -> Value {
        let findings: Vec<Value> = self.considered.iter().map(|(_, one)| finding(one)).collect();
        json!({ "same_policy": self.same_policy, "findings": findings, "failures": self.failures })
    }

    /// Every check of both sides, its scores with their thresholds, the strongest first.
    fn checks(&self, sides: &Sides<'_>) -> Vec<Value> {
        let all = sides
            .iter()
            .flat_map(|(name, _, ruling)| ruling.checks.iter().map(move |check| (*name, check)));
        all.map(|(side, check)| self.check(side, check)).collect()
    }

    fn check(&self, side: &str, check: &Check) -> Value {
        let mine = |(of, one): &&(&str, Considered)| *of == side && one.classifier == check.name;
        let mut scores: Vec<&Considered> =
            self.considered.iter().filter(mine).map(|(_, one)| one).collect();
        scores.sort_by(|a, b| b.counts.cmp(&a.counts).then(b.score.total_cmp(&a.score)));
        let scores: Vec<Value> = scores.into_iter().map(finding).collect();
        json!({
            "side": side, "name": check.name, "revision": check.revision, "status": check.status, "ms": check.ms,
            "passages": check.passages, "scores": scores,
        })
    }
}

fn finding(one: &Considered) -> Value {
    json!({
        "category": one.category.name(), "direction": one.direction.to_string(), "classifier": one.classifier,
        "score": one.score, "threshold": one.threshold, "counts": one.counts, "action": one.action.name(),
        "mode": one.mode.name(), "exemption": one.exemption, "floor": one.floor.name(),
        "change": one.what_would_change_it(),
    })
}

/// What the same key did before and after, oldest first, the decision itself among it.
fn around(asking: &Asking<'_>, row: &Row) -> Result<Vec<Row>, Problem> {
    let Some(key) = row.key_name.as_deref().or(row.key.as_deref()) else { return Ok(Vec::new()) };
    let index = &asking.console.index;
    let same = Query::default().with(Field::Key, key);
    let mut rows = index.page(&same, Some(row.seq + 1), AROUND + 1)?.rows;
    rows.reverse();
    rows.extend(index.tail(&same, row.seq, AROUND)?);
    Ok(rows)
}
