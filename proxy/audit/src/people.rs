//! What people do with the log: verdicts, looks at texts, administrative acts. All of it is in the log itself, so
//! that whatever shows it can be made anew from here, and nobody can take it back unseen.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::limits::{COMMENT_BYTES, NAME_BYTES, cut};
use crate::record::Text;
use crate::words::Assessment;

/// Somebody says what a decision is worth. It never changes the decision's own records, and nothing takes it back but
/// a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The id of this act, a UUIDv7. Records of one bulk action share it.
    pub act: Uuid,
    /// When.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// Who.
    #[serde(serialize_with = "name")]
    pub by: Text,
    /// The decisions that it is about: at most [`REVIEWED_ENTRIES`](crate::limits::REVIEWED_ENTRIES). A bulk action
    /// about more makes several records.
    pub decisions: Vec<Uuid>,
    /// What they are worth; nothing takes the reviewer's own earlier word back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Assessment>,
    /// The category that it should have been, where the verdict is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Text>,
    /// Why, in the reviewer's words; empty if nothing was said.
    #[serde(serialize_with = "comment")]
    pub comment: String,
    /// The act that this one takes back, for the history: what counts is `verdict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Uuid>,
}

/// Somebody was shown kept text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revealed {
    /// When.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// Who.
    #[serde(serialize_with = "name")]
    pub by: Text,
    /// The decisions whose texts were shown.
    pub decisions: Vec<Uuid>,
    /// JSON pointers of the texts that were shown; empty: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Text>,
    /// Why, in their words; empty if nothing was said.
    #[serde(serialize_with = "comment")]
    pub why: String,
}

/// Somebody did something that is not a verdict: logged in, saved a view, exported, removed old segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// When.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// Who.
    #[serde(serialize_with = "name")]
    pub by: Text,
    /// What, in a word of the caller's choice such as `logged_in`.
    #[serde(serialize_with = "name")]
    pub act: Text,
    /// What there is to say about it: names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "details")]
    pub about: BTreeMap<Text, Text>,
}

fn name<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&cut(text, NAME_BYTES))
}

fn comment<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&cut(text, COMMENT_BYTES))
}

fn details<S: Serializer>(about: &BTreeMap<Text, Text>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        about.iter().map(|(name, value)| (cut(name, NAME_BYTES), cut(value, COMMENT_BYTES))),
    )
}
