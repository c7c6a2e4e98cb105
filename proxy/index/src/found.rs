//! What the index answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proxy_audit::{Action, Assessment, Entry, Examined, Keep};
use serde::Serialize;
use uuid::Uuid;

use crate::query::Field;

/// One decision, as a list shows it. None of it is examined text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The number of the record that closed it: lists are in its order, pages go on behind it.
    pub seq: u64,
    /// The decision's id.
    pub id: Uuid,
    /// When it was decided.
    pub time: Timestamp,
    /// How the exchange ended; `abandoned` if a crash ended it.
    pub outcome: String,
    /// The stronger of what was done with the request and with the answer; nothing if no policy was asked.
    pub action: Option<Action>,
    /// What would have been done without shadow, where that is more.
    pub would: Option<Action>,
    /// `enforce` or `shadow`.
    pub mode: Option<String>,
    /// The categories and rules that led to the action.
    pub hazards: Vec<String>,
    /// The category with the strongest score of all.
    pub category: Option<String>,
    /// That score, 0 to 1.
    pub score: Option<f32>,
    /// The HTTP status that the client got.
    pub status: Option<u16>,
    /// Why it was refused or failed.
    pub reason: Option<String>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The HTTP method.
    pub method: Option<String>,
    /// The path of the request.
    pub route: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The policy, as `name@digest`.
    pub policy: Option<String>,
    /// Its profile.
    pub profile: Option<String>,
    /// The fingerprint of the caller's key.
    pub key: Option<String>,
    /// What the operator calls that key.
    pub key_name: Option<String>,
    /// The proxy that decided.
    pub instance: Option<String>,
    /// The W3C trace id.
    pub trace: Option<String>,
    /// From acceptance to the record, in milliseconds.
    pub total_ms: Option<f32>,
    /// Checking, request and answer together, in milliseconds.
    pub guard_ms: Option<f32>,
    /// Waiting for the upstream, in milliseconds.
    pub upstream_ms: Option<f32>,
    /// How much of the texts was kept.
    pub keep: Option<Keep>,
    /// What reviewers say; nothing if nobody did, `disputed` if they differ.
    pub review: Option<String>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The decisions.
    pub rows: Vec<Row>,
    /// Where the next page begins; nothing if this was the last.
    pub before: Option<u64>,
}

/// Everything about one decision.
#[derive(Debug)]
pub struct Detail {
    /// What a list shows of it.
    pub row: Row,
    /// Its records, as they stand in the log, oldest first; without the one that has the texts.
    pub entries: Vec<Entry>,
    /// What is kept of its texts. Whoever shows any of it records that first.
    pub texts: Option<Examined>,
    /// Records of it that are not in the log any more.
    pub removed: u32,
    /// What people said about it, oldest first, also what was taken back.
    pub reviews: Vec<Review>,
    /// Who was shown its texts, oldest first.
    pub reveals: Vec<Reveal>,
}

/// What somebody said about a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// The number of its record.
    pub seq: u64,
    /// The act; those of one bulk action are the same.
    pub act: Uuid,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub by: String,
    /// What; nothing takes back what they said before.
    pub verdict: Option<Assessment>,
    /// What the category should have been.
    pub category: Option<String>,
    /// Why.
    pub comment: String,
    /// The act that it took back.
    pub undoes: Option<Uuid>,
    /// Whether it is this reviewer's last word.
    pub stands: bool,
}

/// A look at kept text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reveal {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub by: String,
    /// JSON pointers of what was shown; empty: all.
    pub at: Vec<String>,
    /// Why.
    pub why: String,
}

/// How many decisions have each value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facet {
    /// The field.
    #[serde(serialize_with = "name")]
    pub field: Field,
    /// Values and numbers of decisions, the most first. No value at all is `None`.
    pub values: Vec<(Option<String>, u64)>,
    /// Whether there are more values than asked for.
    pub more: bool,
}

fn name<S: serde::Serializer>(field: &Field, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(field.name())
}

/// Values of several fields, and of which decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facets {
    /// The decisions that were looked at: the newest that match.
    pub decisions: u64,
    /// Whether there are more that match.
    pub more: bool,
    /// One for each field.
    pub facets: Vec<Facet>,
}

/// By category or rule, how many decisions that are because of it ended how.
pub type Causes = BTreeMap<String, BTreeMap<String, u64>>;

/// Decisions over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// When the first interval begins.
    pub start: Timestamp,
    /// Length of each interval, in milliseconds.
    pub width_ms: i64,
    /// One for each interval.
    pub bars: Vec<Bar>,
    /// How many ended how, in all intervals.
    pub outcomes: BTreeMap<String, u64>,
    /// Whether only the newest were counted, and there are more.
    pub more: bool,
}

/// The decisions of one interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Action, or the outcome where no policy was asked, and how many.
    pub counts: BTreeMap<String, u64>,
}

/// How the scores of one category by one classifier are distributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// The classifier.
    pub classifier: String,
    /// The category.
    pub category: String,
    /// `input` or `output`.
    pub direction: &'static str,
    /// Decisions by score, in a hundred equal steps from 0 to 1.
    pub counts: Vec<u64>,
}

/// Distributions, and what they are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scores {
    /// The decisions that were looked at: the newest that match.
    pub decisions: u64,
    /// Whether there are more that match.
    pub more: bool,
    /// For each classifier, category and direction.
    pub distributions: Vec<Distribution>,
}

/// How times are distributed, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are not longer.
    pub p50: f32,
    /// 95 of 100 are not longer.
    pub p95: f32,
    /// 99 of 100 are not longer.
    pub p99: f32,
    /// The longest.
    pub max: f32,
}

/// Where the time of decisions went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// From acceptance to the record.
    pub total: Quantiles,
    /// Checking, request and answer together.
    pub guard: Quantiles,
    /// Waiting for the upstream, of those that asked it.
    pub upstream: Option<Quantiles>,
}

/// Whether reviewers agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Decisions about which several reviewers said something; the first two count.
    pub decisions: u64,
    /// Of these, how often the two said the same.
    pub same: u64,
    /// Cohen's kappa: 0 is what chance gives, 1 is always the same. Nothing if it is not defined.
    pub kappa: Option<f64>,
}

/// A filter that somebody gave a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The filter.
    pub filter: String,
    /// Who saved it.
    pub by: String,
    /// When.
    pub time: Timestamp,
}

/// An act of a person that is about no decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// The number of its record.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub act: String,
    /// Names and values.
    pub about: Vec<(String, String)>,
}

/// Lines of the log that are no sound records. What they were about is not found, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log has records that are not as they were written: {lines}, the first in segment `{segment}` at byte {offset}; `portcullis audit verify` says more"
)]
pub struct Unsound {
    /// How many.
    pub lines: u64,
    /// The first one's segment.
    pub segment: String,
    /// Its first byte in the segment.
    pub offset: u64,
}

/// How far the log was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The number of the last record that was taken in.
    pub seq: u64,
    /// Records taken in by this call.
    pub records: u64,
}
