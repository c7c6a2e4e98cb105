//! What a record says. The proxy's stack fills these in; nothing else constructs them.
//!
//! None of it is examined text: positions are JSON pointers and offsets, findings are categories and
//! scores.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::{self, NAME_BYTES, POINTER_BYTES, WORD_BYTES};
use crate::words::{Action, CheckStatus, Mode, Outcome, Verdict};

/// A text in a record: most are fixed words of the program and cost no allocation.
pub type Text = Cow<'static, str>;

/// A request was accepted. Written before the upstream is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The decision id, a UUIDv7; the client gets it too.
    pub id: Uuid,
    /// When the request was accepted. Records keep milliseconds.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// Which proxy instance accepted it.
    #[serde(serialize_with = "limits::text::<NAME_BYTES, _>")]
    pub instance: Text,
    /// The route that it came in by.
    #[serde(serialize_with = "limits::text::<NAME_BYTES, _>")]
    pub route: Text,
    /// A fingerprint of the caller's API key. Never the key.
    #[serde(serialize_with = "limits::option::<WORD_BYTES, _>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
    /// The address of the peer, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<IpAddr>,
    /// The HTTP method.
    #[serde(serialize_with = "limits::text::<WORD_BYTES, _>")]
    pub method: Text,
    /// The W3C trace id, if the request is traced.
    #[serde(serialize_with = "limits::option::<WORD_BYTES, _>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Text>,
}

/// A request has ended, with this decision. Written before a byte of the answer leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// The id of the [`Opened`] record that this one closes.
    pub id: Uuid,
    /// When the decision was taken. Records keep milliseconds.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// How the request ended.
    pub outcome: Outcome,
    /// The HTTP status that the client gets.
    pub status: u16,
    /// A stable code for the cause, such as `invalid_json`.
    #[serde(serialize_with = "limits::option::<WORD_BYTES, _>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The model that the client asked for.
    #[serde(serialize_with = "limits::option::<NAME_BYTES, _>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Text>,
    /// The policy that decided, as `name@b3:…`.
    #[serde(serialize_with = "limits::option::<NAME_BYTES, _>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Text>,
    /// Whether the policy acted or only watched.
    pub mode: Mode,
    /// The decision about the request, if it came to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Ruling>,
    /// The decision about the answer, if it came to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Ruling>,
    /// What was let through without being looked at, because the policy says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
    /// Entries that `unchecked` would have beyond its limit. Leave it 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchecked_left_out: u32,
    /// How much of the request was read.
    pub read: ReadSummary,
    /// Bytes of guarded text that this record clears for the client.
    pub released_bytes: u64,
    /// Where the time went.
    pub timing_ms: Timing,
}

/// A decision about the request or about the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ruling {
    /// What the checks say.
    pub verdict: Verdict,
    /// What was done.
    pub action: Action,
    /// What would have been done if the policy had acted; set where that differs from `action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<Action>,
    /// The categories or rules that led to the action.
    #[serde(serialize_with = "limits::names")]
    pub because: Vec<Text>,
    /// Every check that was asked, also those that found nothing.
    pub checks: Vec<Check>,
    /// Entries that `checks` would have beyond its limit. Leave it 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checks_left_out: u32,
}

/// What one check said, over all passages that it saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The check's name, such as `prompt_guard`.
    #[serde(serialize_with = "limits::text::<NAME_BYTES, _>")]
    pub name: Text,
    /// The exact classifier, so that a score can be traced to its weights.
    #[serde(serialize_with = "limits::text::<NAME_BYTES, _>")]
    pub revision: Text,
    /// How it went.
    pub status: CheckStatus,
    /// Time until its last answer, in milliseconds.
    #[serde(with = "limits::number")]
    pub ms: f32,
    /// Passages that it was asked about.
    pub passages: u32,
    /// Category → strongest score.
    #[serde(with = "limits::scores")]
    pub scores: BTreeMap<Text, f32>,
    /// Category → JSON pointer of the passage with the strongest score. The caller names only the
    /// categories that reached a threshold of its choice.
    #[serde(serialize_with = "limits::pointers")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at: BTreeMap<Text, Text>,
    /// Exact places, from checks that know them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
    /// Entries that `spans` would have beyond its limit. Leave it 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spans_left_out: u32,
}

/// A place where something was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// JSON pointer of the text.
    #[serde(serialize_with = "limits::text::<POINTER_BYTES, _>")]
    pub at: Text,
    /// First byte, counted in the text's UTF-8.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What was found.
    #[serde(serialize_with = "limits::text::<WORD_BYTES, _>")]
    pub category: Text,
}

/// Something that no check looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unchecked {
    /// JSON pointer of it.
    #[serde(serialize_with = "limits::text::<POINTER_BYTES, _>")]
    pub at: Text,
    /// Why not.
    #[serde(serialize_with = "limits::text::<POINTER_BYTES, _>")]
    pub why: Text,
}

/// Where the time of a request went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From acceptance to this record.
    #[serde(with = "limits::number")]
    pub total: f32,
    /// Checking the request.
    #[serde(with = "limits::number")]
    pub guard_input: f32,
    /// Waiting for the upstream.
    #[serde(with = "limits::number")]
    pub upstream: f32,
    /// Checking the answer.
    #[serde(with = "limits::number")]
    pub guard_output: f32,
}

/// How much of a request was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSummary {
    /// Texts that were found in it.
    pub passages: u32,
    /// Bytes of text in them.
    pub bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
