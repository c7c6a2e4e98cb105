//! What reviewers said, as labelled texts for `portcullis eval` and `calibrate`.
//!
//! A verdict says something about the categories that were found, and nothing about the others: so lines have `labels` of
//! single categories. Only where nothing acted, and that was right, is a text known to be clean.

use std::collections::{BTreeMap, BTreeSet};

use classifiers_core::Category;
use proxy_audit::{Assessment, Closed, Examined, Kept, Record, Ruling};
use serde_json::{Value, json};

use crate::found::{Detail, Review};
use crate::query::{Field, Query, Test};

/// Those of the decisions that `query` means about which the reviewers agree.
#[must_use]
pub fn judged(query: Query) -> Query {
    let verdicts = [
        Assessment::Correct,
        Assessment::FalseAlarm,
        Assessment::Missed,
        Assessment::WrongCategory,
    ];
    let words = verdicts.iter().map(|verdict| verdict.as_str().to_owned()).collect();
    query.and(Test::Is(Field::Review, words))
}

/// What the reviewers of a decision say, with the last one's category; nothing if they differ.
#[must_use]
pub fn verdict(detail: &Detail) -> Option<(&Review, Assessment)> {
    let standing = detail.reviews.iter().filter(|review| review.stands);
    let mut said = standing.filter_map(|review| Some((review, review.verdict?)));
    let last = said.next_back()?;
    said.all(|(_, verdict)| verdict == last.1).then_some(last)
}

/// The labelled texts of a decision, one line of JSON each. A text that is not there as a whole is left out: a masked one
/// would teach that asterisks are dangerous.
#[must_use]
pub fn labelled_lines(detail: &Detail) -> Vec<String> {
    let (Some((review, verdict)), Some(texts)) = (verdict(detail), &detail.texts) else {
        return Vec::new();
    };
    let sides = sides(detail, texts);
    let all = sides.iter().flat_map(|side| side.texts);
    let lines: Vec<Value> = match verdict {
        Assessment::Correct if sides.iter().all(|side| side.ruling.because.is_empty()) => all
            .map(|text| line(detail, text, &[("hazards", json!([])), ("attack", json!("benign"))]))
            .collect(),
        // Nothing says on which side it was missed; what was said last is what led to the answer.
        Assessment::Missed => {
            let text = sides.last().and_then(Side::spoken).zip(named(review));
            text.into_iter().map(|(text, name)| labels(detail, text, &[(name, true)])).collect()
        }
        Assessment::Correct | Assessment::FalseAlarm | Assessment::WrongCategory => {
            let found = found(&sides).into_values();
            found
                .filter_map(|(text, found)| {
                    let found =
                        found.into_iter().map(|name| (name, verdict == Assessment::Correct));
                    let mut known: Vec<(Category, bool)> = found.collect();
                    if verdict == Assessment::WrongCategory {
                        let name = named(review)?;
                        known.retain(|(found, _)| *found != name);
                        known.push((name, true));
                    }
                    Some(labels(detail, text, &known))
                })
                .collect()
        }
        _ => Vec::new(),
    };
    lines.into_iter().filter(|line| !line.is_null()).map(|line| line.to_string()).collect()
}

/// A side of an exchange: its ruling and its texts.
struct Side<'d> {
    ruling: &'d Ruling,
    texts: &'d [Kept],
}

impl<'d> Side<'d> {
    /// What was said last by somebody other than the operator.
    fn spoken(&self) -> Option<&'d Kept> {
        self.texts.iter().rev().find(|kept| kept.role != "operator")
    }

    /// Where a category was found; where that is not known, what was said last.
    fn places(&self, category: &str) -> Vec<&'d Kept> {
        let at = self.ruling.checks.iter().filter_map(|check| check.at.get(category));
        let spans = self.ruling.checks.iter().flat_map(|check| &check.spans);
        let spans = spans.filter(|span| span.category == category).map(|span| &span.at);
        let places: BTreeSet<&str> = at.chain(spans).map(AsRef::as_ref).collect();
        let found: Vec<&Kept> =
            self.texts.iter().filter(|text| places.contains(text.at.as_ref())).collect();
        if found.is_empty() { self.spoken().into_iter().collect() } else { found }
    }
}

fn sides<'d>(detail: &'d Detail, texts: &'d Examined) -> Vec<Side<'d>> {
    let closed = detail.entries.iter().find_map(|entry| match &entry.record {
        Record::Closed(closed) => Some(&**closed),
        _ => None,
    });
    let Some(Closed { input, output, .. }) = closed else { return Vec::new() };
    let both = [(input, &texts.input), (output, &texts.output)];
    let sides = both.into_iter().filter_map(|(ruling, texts)| Some((ruling.as_ref()?, texts)));
    sides.map(|(ruling, texts)| Side { ruling, texts }).collect()
}

/// The texts in which something was found that led to what was done, by place, and what.
fn found<'d>(sides: &[Side<'d>]) -> BTreeMap<&'d str, (&'d Kept, BTreeSet<Category>)> {
    let mut found = BTreeMap::new();
    for side in sides {
        for name in &side.ruling.because {
            let Ok(category) = name.parse::<Category>() else { continue };
            for text in side.places(name) {
                let (_, categories): &mut (&Kept, BTreeSet<Category>) =
                    found.entry(text.at.as_ref()).or_insert((text, BTreeSet::new()));
                categories.insert(category);
            }
        }
    }
    found
}

fn named(review: &Review) -> Option<Category> {
    review.category.as_ref()?.parse().ok()
}

fn labels(detail: &Detail, text: &Kept, known: &[(Category, bool)]) -> Value {
    let labels: BTreeMap<&str, bool> = known.iter().map(|(name, is)| (name.name(), *is)).collect();
    line(detail, text, &[("labels", json!(labels))])
}

/// A line; nothing for a text that is not there as a whole.
fn line(detail: &Detail, kept: &Kept, known: &[(&str, Value)]) -> Value {
    let whole = kept.text.as_deref().filter(|text| text.len() as u64 == kept.bytes);
    let Some(text) = whole.filter(|_| kept.masked.is_empty()) else { return Value::Null };
    let role = match kept.role.as_ref() {
        role @ ("assistant" | "tool") => role,
        _ => "user",
    };
    let mut line = serde_json::Map::new();
    line.insert("text".to_owned(), json!(text));
    line.insert("role".to_owned(), json!(role));
    line.extend(known.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    line.insert("source".to_owned(), json!(format!("audit {}", detail.row.id)));
    line.into()
}
