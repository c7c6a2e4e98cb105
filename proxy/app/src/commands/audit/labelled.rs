//! What reviewers said, as data: labelled texts for `eval` and `calibrate`, tests for `test`.

use std::collections::{BTreeMap, BTreeSet};

use classifiers_core::Category;
use proxy_audit::{Assessment, Closed, Examined, Kept, Record, Ruling};
use proxy_index::{Detail, Field, Query, Review, Test};
use serde_json::{Value, json};

/// Those of the decisions that `query` means about which the reviewers agree.
pub(super) fn judged(query: Query) -> Query {
    let verdicts = [
        Assessment::Correct,
        Assessment::FalseAlarm,
        Assessment::Missed,
        Assessment::WrongCategory,
    ];
    let words = verdicts.iter().map(|verdict| verdict.as_str().to_owned()).collect();
    query.and(Test::Is(Field::Review, words))
}

/// The last word about a decision.
fn word(detail: &Detail) -> Option<(&Review, Assessment)> {
    let standing = detail.reviews.iter().rev().filter(|review| review.stands);
    standing.filter_map(|review| Some((review, review.verdict?))).next()
}

fn closed(detail: &Detail) -> Option<&Closed> {
    detail.entries.iter().find_map(|entry| match &entry.record {
        Record::Closed(closed) => Some(&**closed),
        _ => None,
    })
}

/// A side of an exchange: its ruling, its texts, and its column in a policy.
struct Side<'d> {
    ruling: &'d Ruling,
    texts: &'d [Kept],
    at: &'static str,
}

fn sides<'d>(closed: &'d Closed, texts: Option<&'d Examined>) -> Vec<Side<'d>> {
    let texts =
        |pick: fn(&Examined) -> &Vec<Kept>| texts.map(|t| pick(t).as_slice()).unwrap_or_default();
    let input = closed.input.as_ref().map(|ruling| (ruling, texts(|t| &t.input), "input"));
    let output = closed.output.as_ref().map(|ruling| (ruling, texts(|t| &t.output), "output"));
    let sides = [input, output].into_iter().flatten();
    sides.map(|(ruling, texts, at)| Side { ruling, texts, at }).collect()
}

/// The categories that a ruling is because of.
fn because(ruling: &Ruling) -> BTreeSet<Category> {
    ruling.because.iter().filter_map(|name| name.parse().ok()).collect()
}

/// What is in the text of `side` by the verdict: `None` where the verdict is not about it.
fn truth(
    side: &Side<'_>,
    review: &Review,
    verdict: Assessment,
    last: bool,
) -> Option<BTreeSet<Category>> {
    let found = because(side.ruling);
    let named: BTreeSet<Category> =
        review.category.iter().filter_map(|name| name.parse().ok()).collect();
    match verdict {
        Assessment::Correct => Some(found),
        Assessment::FalseAlarm if !found.is_empty() => Some(BTreeSet::new()),
        Assessment::WrongCategory if !found.is_empty() && !named.is_empty() => Some(named),
        // Nothing says on which side it was missed; what was said last is what led to the answer.
        Assessment::Missed if last && !named.is_empty() => Some(named),
        _ => None,
    }
}

/// Labelled texts, one on each line. A text that is not there as a whole is left out: a label is about all of it.
pub(super) fn lines(detail: &Detail) -> Vec<String> {
    let (Some((review, verdict)), Some(closed)) = (word(detail), closed(detail)) else {
        return Vec::new();
    };
    let sides = sides(closed, detail.texts.as_ref());
    let last = sides.len().saturating_sub(1);
    let labelled = sides.iter().enumerate().filter_map(|(number, side)| {
        let truth = truth(side, review, verdict, number == last)?;
        let kept = told(side)?;
        let text = kept.text.as_deref().filter(|text| text.len() as u64 == kept.bytes)?;
        (kept.masked.is_empty()).then(|| example(detail, kept, text, &truth))
    });
    labelled.map(|line| line.to_string()).collect()
}

/// The text that the verdict is about: where the strongest finding stands, or else the last one.
fn told<'d>(side: &Side<'d>) -> Option<&'d Kept> {
    let first = side.ruling.because.first();
    let places = side.ruling.checks.iter().filter_map(|check| check.at.get(first?));
    let found = places.filter_map(|at| side.texts.iter().find(|kept| *kept.at == **at)).next();
    let spoken = || side.texts.iter().rev().find(|kept| kept.role != "operator");
    found.or_else(spoken)
}

fn example(detail: &Detail, kept: &Kept, text: &str, truth: &BTreeSet<Category>) -> Value {
    let attack = match () {
        () if truth.contains(&Category::Jailbreak) => "jailbreak",
        () if truth.contains(&Category::PromptInjection) => "injection",
        () => "benign",
    };
    let hazards = truth.iter().filter(|category| !category.is_prompt_attack());
    let hazards: Vec<&str> = hazards.map(|category| category.name()).collect();
    let role = if kept.role == "operator" { "user" } else { &*kept.role };
    json!({
        "text": text, "role": role, "attack": attack, "hazards": hazards,
        "source": format!("audit {}", detail.row.id),
    })
}

/// Policy tests: what the classifiers said, and what should have been done.
pub(super) fn tests(detail: &Detail) -> Vec<String> {
    let (Some((_, verdict)), Some(closed)) = (word(detail), closed(detail)) else {
        return Vec::new();
    };
    let sides = sides(closed, None);
    let tests = sides.iter().filter_map(|side| {
        let found = because(side.ruling);
        let expect = match verdict {
            Assessment::Correct => json!({ "action": side.ruling.action }),
            Assessment::FalseAlarm if !found.is_empty() => json!({ "action": "allow" }),
            _ => return None,
        };
        let mut test = json!({
            "name": format!("{} of {}", side.at, detail.row.id),
            "at": side.at, "scores": scores(side.ruling), "expect": expect,
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
