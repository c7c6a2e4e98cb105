//! What is kept of the texts that were examined.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::{Span, Text};
use crate::words::Keep;

/// What is kept of the texts of a request and its answer. Written before the record that closes it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Examined {
    /// The id of the [`Opened`](crate::Opened) record.
    pub id: Uuid,
    /// When it was written.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// How much the policy lets be kept.
    pub keep: Keep,
    /// Texts of the request, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Kept>,
    /// Texts of the answer, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Kept>,
}

/// One text, or what is kept of it. Byte offsets of findings fit it: what is masked keeps its length.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Kept {
    /// JSON pointer of the text.
    pub at: Text,
    /// Who speaks, such as `user` or `tool`.
    pub role: Text,
    /// How long the whole text was, in bytes.
    pub bytes: u64,
    /// The text, or its beginning if that is shorter than `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// A keyed hash of the whole text, by which the same text can be recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Text>,
    /// What is masked in it: each byte is a `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<Span>,
    /// Why less is kept than the policy lets; nothing if that is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Text>,
}
