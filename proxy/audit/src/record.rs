//! What a record says. The proxy's stack fills these in; nothing else constructs them.
//!
//! None of it is examined text: positions are JSON pointers and offsets, findings are categories and
//! scores.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::by_category::ByCategory;
use crate::limits;
use crate::words::{Action, CheckStatus, Mode, Outcome, Verdict};

/// A text in a record: most are fixed words of the program and cost no allocation.
pub type Text = Cow<'static, str>;

/// A request was accepted. Written before the upstream is called.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Opened {
    /// The decision id, a UUIDv7; the client gets it too.
    pub id: Uuid,
    /// When the request was accepted. Records keep milliseconds.
    #[serde(deserialize_with = "crate::json::time::deserialize")]
    pub time: Timestamp,
    /// Which proxy instance accepted it.
    pub instance: Text,
    /// The route that it came in by.
    pub route: Text,
    /// A fingerprint of the caller's API key. Never the key.
    #[serde(default)]
    pub key: Option<Text>,
    /// The address of the peer, if it is known.
    #[serde(default)]
    pub remote: Option<IpAddr>,
    /// The HTTP method.
    pub method: Text,
    /// The W3C trace id, if the request is traced.
    #[serde(default)]
    pub trace_id: Option<Text>,
}

/// Part of a streamed answer was decided about and is let go; the request is still open. Written before a byte of that
/// part leaves. What the checks said is in the [`Closed`] record, for the whole answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Released {
    /// The id of the [`Opened`] record.
    pub id: Uuid,
    /// When the decision was taken. Records keep milliseconds.
    #[serde(deserialize_with = "crate::json::time::deserialize")]
    pub time: Timestamp,
    /// What was done with this part.
    pub action: Action,
    /// JSON pointer of a text of the answer → how much of it is let go from its beginning on, in bytes of what the model
    /// server said. Texts that did not grow since the record before are left out.
    pub until: BTreeMap<Text, u64>,
}

/// A request has ended, with this decision. Written before a byte of the answer leaves, but for what
/// [`Released`] records let go.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Closed {
    /// The id of the [`Opened`] record that this one closes.
    pub id: Uuid,
    /// When the decision was taken. Records keep milliseconds.
    #[serde(deserialize_with = "crate::json::time::deserialize")]
    pub time: Timestamp,
    /// How the request ended.
    pub outcome: Outcome,
    /// The HTTP status that the client gets.
    pub status: u16,
    /// A stable code for the cause, such as `invalid_json`.
    #[serde(default)]
    pub reason: Option<Text>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The model that the client asked for.
    #[serde(default)]
    pub model: Option<Text>,
    /// The policy that decided, as `name@b3:…`.
    #[serde(default)]
    pub policy: Option<Text>,
    /// The profile of the policy that applied; left out for `base`.
    #[serde(default)]
    pub profile: Option<Text>,
    /// The name that the operator gave to the caller's API key.
    #[serde(default)]
    pub key_name: Option<Text>,
    /// Whether the policy acted or only watched.
    pub mode: Mode,
    /// The decision about the request, if it came to one.
    #[serde(default)]
    pub input: Option<Ruling>,
    /// The decision about the answer, if it came to one.
    #[serde(default)]
    pub output: Option<Ruling>,
    /// What was let through without being looked at, because the policy says so.
    #[serde(default)]
    pub unchecked: Vec<Unchecked>,
    /// Entries that `unchecked` would have beyond its limit. Leave it 0.
    #[serde(default)]
    pub unchecked_left_out: u32,
    /// How much of the request was read.
    pub read: ReadSummary,
    /// How much of the answer was judged; nothing if it came to none.
    #[serde(default)]
    pub answered: ReadSummary,
    /// Bytes of guarded text that this record clears for the client.
    pub released_bytes: u64,
    /// Where the time went.
    pub timing_ms: Timing,
}

/// A decision about the request or about the answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ruling {
    /// What the checks say.
    pub verdict: Verdict,
    /// What was done.
    pub action: Action,
    /// What would have been done if the policy had acted; set where that differs from `action`.
    #[serde(default)]
    pub would: Option<Action>,
    /// The categories or rules that led to the action.
    pub because: Vec<Text>,
    /// The exemptions without which more would have been done.
    #[serde(default)]
    pub exemptions: Vec<Text>,
    /// The languages of the texts, where the policy asks for them.
    #[serde(default)]
    pub languages: Vec<Text>,
    /// Every check that was asked, also those that found nothing.
    pub checks: Vec<Check>,
    /// Entries that `checks` would have beyond its limit. Leave it 0.
    #[serde(default)]
    pub checks_left_out: u32,
}

/// What one check said, over all passages that it saw.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Check {
    /// The check's name, such as `prompt_guard`.
    pub name: Text,
    /// The exact classifier, so that a score can be traced to its weights.
    pub revision: Text,
    /// How it went.
    pub status: CheckStatus,
    /// Time until its last answer, in milliseconds.
    #[serde(deserialize_with = "limits::number")]
    pub ms: f32,
    /// Passages that it was asked about.
    pub passages: u32,
    /// Category → strongest score.
    #[serde(deserialize_with = "limits::scores")]
    pub scores: ByCategory<f32>,
    /// The same for the texts of tools alone, which are under other rules; nothing where there were none.
    #[serde(default, deserialize_with = "limits::scores")]
    pub tools: ByCategory<f32>,
    /// The same for all other texts; nothing where there were none of tools, so that `scores` says it.
    #[serde(default, deserialize_with = "limits::scores")]
    pub dialogue: ByCategory<f32>,
    /// What the classifier measured on the way, by its own names, about the passage that it took for the worst.
    #[serde(default, deserialize_with = "limits::scores")]
    pub measures: ByCategory<f32>,
    /// Category → JSON pointer of the passage with the strongest score. The caller names only the
    /// categories that reached a threshold of its choice.
    #[serde(default)]
    pub at: ByCategory<Text>,
    /// Exact places, from checks that know them.
    #[serde(default)]
    pub spans: Vec<Span>,
    /// Entries that `spans` would have beyond its limit. Leave it 0.
    #[serde(default)]
    pub spans_left_out: u32,
}

/// A place where something was found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Span {
    /// JSON pointer of the text.
    pub at: Text,
    /// First byte, counted in the text's UTF-8.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// What was found.
    pub category: Text,
}

/// Something that no check looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Unchecked {
    /// JSON pointer of it.
    pub at: Text,
    /// Why not.
    pub why: Text,
}

/// Where the time of a request went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Timing {
    /// From acceptance to this record.
    #[serde(deserialize_with = "limits::number")]
    pub total: f32,
    /// Checking the request.
    #[serde(deserialize_with = "limits::number")]
    pub guard_input: f32,
    /// Waiting for the upstream.
    #[serde(deserialize_with = "limits::number")]
    pub upstream: f32,
    /// Checking the answer.
    #[serde(deserialize_with = "limits::number")]
    pub guard_output: f32,
}

/// How much of a message was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ReadSummary {
    /// Texts that were found in it.
    pub passages: u32,
    /// Bytes of text in them.
    pub bytes: u64,
}
