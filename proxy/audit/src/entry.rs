//! Reading a line back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::Checkpoint;
use crate::examined::Examined;
use crate::fault::Problem;
use crate::line::{self, Digest};
use crate::people::{Acted, Revealed, Reviewed};
use crate::record::{Closed, Opened, Released, Text};
use crate::render;
use crate::words::StartReason;

/// One line of a journal: a record and its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Number of the record, from 1, without gaps.
    pub seq: u64,
    /// Hash of the record before.
    pub prev: Digest,
    /// Hash of this record; it matches the line's bytes.
    pub hash: Digest,
    /// What the line says.
    pub record: Record,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A segment begins, or a process has opened the journal.
    Started(Started),
    /// A request was accepted.
    Opened(Opened),
    /// Part of a streamed answer was let go.
    Released(Released),
    /// What is kept of the texts of a request and its answer.
    Examined(Box<Examined>),
    /// A request has ended, with a decision.
    Closed(Box<Closed>),
    /// A request that was open when the process died.
    Abandoned(Abandoned),
    /// The journal was closed in order.
    Sealed(Sealed),
    /// Everything before it is signed.
    Checkpoint(Checkpoint),
    /// Somebody has said what decisions are worth.
    Reviewed(Reviewed),
    /// Somebody was shown kept text.
    Revealed(Revealed),
    /// Somebody did something else.
    Acted(Acted),
    /// A kind of a newer version.
    Unknown {
        /// The field `kind`.
        kind: String,
    },
}

/// A segment begins, or a process has opened the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// Why.
    pub reason: StartReason,
    /// Version of the program that wrote it.
    pub software: Text,
    /// Ids of the requests that are open here, in ascending order.
    pub open: Vec<Uuid>,
}

/// A request that was open when the process died: of its answer nothing left but what `released` records let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The id of the [`Opened`] record.
    pub id: Uuid,
    /// When the restart found it.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
}

/// The journal was closed in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// When.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// How many requests were still open.
    pub still_open: u64,
}

#[derive(Deserialize)]
struct Kind<'a> {
    seq: u64,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

impl Entry {
    /// Reads a line, given without its newline, and checks its hash. Fields and kinds of a newer
    /// version are passed over.
    ///
    /// # Errors
    /// What is wrong with the line. Its place in the chain is not looked at; [`crate::verify`] does.
    pub fn from_line(line: &[u8]) -> Result<Self, Problem> {
        let links = line::check(line)?;
        let unreadable = |error: serde_json::Error| Problem::Unreadable { why: error.to_string() };
        let Kind { seq, kind } = serde_json::from_slice(line).map_err(unreadable)?;
        let record = match kind.as_ref() {
            "started" => serde_json::from_slice(line).map(Record::Started),
            "opened" => serde_json::from_slice(line).map(Record::Opened),
            "released" => serde_json::from_slice(line).map(Record::Released),
            "examined" => serde_json::from_slice(line).map(Record::Examined),
            "closed" => serde_json::from_slice(line).map(Record::Closed),
            "abandoned" => serde_json::from_slice(line).map(Record::Abandoned),
            "sealed" => serde_json::from_slice(line).map(Record::Sealed),
            "checkpoint" => serde_json::from_slice(line).map(Record::Checkpoint),
            "reviewed" => serde_json::from_slice(line).map(Record::Reviewed),
            "revealed" => serde_json::from_slice(line).map(Record::Revealed),
            "acted" => serde_json::from_slice(line).map(Record::Acted),
            _ => Ok(Record::Unknown { kind: kind.into_owned() }),
        };
        let record = record.map_err(unreadable)?;
        Ok(Self { seq, prev: links.prev, hash: links.hash, record })
    }
}

impl Entry {
    /// The record as a JSON object: its sequence number and what it says, without the chain.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut body = Vec::new();
        let body = match &self.record {
            Record::Started(record) => Body::Own(Own::Started(record)),
            Record::Opened(record) => Body::Opened(record),
            Record::Released(record) => Body::Released(record),
            Record::Examined(record) => Body::Examined(record),
            Record::Closed(record) => Body::Closed(record),
            Record::Abandoned(record) => Body::Own(Own::Abandoned(record)),
            Record::Sealed(record) => Body::Own(Own::Sealed(record)),
            Record::Checkpoint(record) => Body::Own(Own::Checkpoint(record)),
            Record::Reviewed(record) => Body::Own(Own::Reviewed(record)),
            Record::Revealed(record) => Body::Own(Own::Revealed(record)),
            Record::Acted(record) => Body::Own(Own::Acted(record)),
            Record::Unknown { kind } => {
                return serde_json::json!({ "seq": self.seq, "kind": kind }).to_string();
            }
        }
        .render(&mut body)
        .unwrap_or_default();
        format!("{{\"seq\":{},{}}}", self.seq, String::from_utf8_lossy(body))
    }
}

/// What is written.
pub(crate) enum Body<'a> {
    Opened(&'a Opened),
    Released(&'a Released),
    /// As it was read back.
    Examined(&'a Examined),
    Closed(&'a Closed),
    Own(Own<'a>),
}

/// The journal's own records and those of people, behind their `kind`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Own<'a> {
    Started(&'a Started),
    Abandoned(&'a Abandoned),
    Sealed(&'a Sealed),
    Checkpoint(&'a Checkpoint),
    Reviewed(&'a Reviewed),
    Revealed(&'a Revealed),
    Acted(&'a Acted),
}

impl Body<'_> {
    /// The inside of the JSON object, without its braces, in place of what `out` held.
    pub(crate) fn render<'out>(&self, out: &'out mut Vec<u8>) -> serde_json::Result<&'out [u8]> {
        out.clear();
        match self {
            Self::Opened(opened) => render::opened(out, opened),
            Self::Released(released) => render::released(out, released),
            Self::Examined(examined) => examined.render(out, None),
            Self::Closed(closed) => render::closed(out, closed),
            Self::Own(own) => {
                crate::json::write(out, own)?;
                let inside = out.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
                return Ok(inside.unwrap_or_default());
            }
        }
        Ok(out)
    }
}
