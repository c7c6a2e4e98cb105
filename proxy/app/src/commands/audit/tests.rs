//! What reviewers said, as tests for `portcullis test`.

use std::collections::{BTreeMap, BTreeSet};

use classifiers_core::Category;
use proxy_audit::{Assessment, Closed, Record, Ruling};
use proxy_index::{Detail, verdict};
use serde_json::json;

fn closed(detail: &Detail) -> Option<&Closed> {
    detail.entries.iter().find_map(|entry| match &entry.record {
        Record::Closed(closed) => Some(&**closed),
        _ => None,
    })
}

/// The rulings of an exchange, each with its column in a policy.
fn sides(closed: &Closed) -> impl Iterator<Item = (&Ruling, &'static str)> {
    let both = [(&closed.input, "input"), (&closed.output, "output")];
    both.into_iter().filter_map(|(ruling, at)| Some((ruling.as_ref()?, at)))
}

/// The categories that a ruling is because of.
fn because(ruling: &Ruling) -> BTreeSet<Category> {
    ruling.because.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Policy tests: what the classifiers said, and what should have been done.
pub(super) fn lines(detail: &Detail) -> Vec<String> {
    let (Some((_, verdict)), Some(closed)) = (verdict(detail), closed(detail)) else {
        return Vec::new();
    };
    let tests = sides(closed).filter_map(|(ruling, at)| {
        let found = because(ruling);
        let expect = match verdict {
            Assessment::Correct => json!({ "action": ruling.action }),
            Assessment::FalseAlarm if !found.is_empty() => json!({ "action": "allow" }),
            _ => return None,
        };
        let mut test = json!({
            "name": format!("{at} of {}", detail.row.id),
            "at": at, "scores": scores(ruling), "expect": expect,
        });
        let key = detail.row.key_name.as_ref().or(detail.row.key.as_ref());
        if let (Some(key), Some(fields)) = (key, test.as_object_mut()) {
            fields.insert("key".to_owned(), json!(key));
        }
        // JSON is YAML.
        Some(format!("- {test}"))
    });
    tests.collect()
}

/// The strongest score of each category.
fn scores(ruling: &Ruling) -> BTreeMap<String, f32> {
    let mut scores = BTreeMap::new();
    for (category, score) in ruling.checks.iter().flat_map(|check| check.scores.iter()) {
        let best = scores.entry(category.to_string()).or_insert(*score);
        *best = best.max(*score);
    }
    scores
}
