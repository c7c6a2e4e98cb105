//! Checking a journal record by record: the heart of both the verifier and the restart.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::error::Misuse;
use crate::fault::{Fault, Problem};
use crate::keys::PublicKey;
use crate::ledger::Ledger;
use crate::line::{self, Head, VERSION};
use crate::segment::{self, Lines, Piece};
use crate::trust::Signatures;

/// The fields that the chain and the books need. Everything else is passed over, though it must be
/// JSON. A kind that a later version adds may use these names with these types only.
#[derive(Deserialize)]
struct Brief<'a> {
    v: u32,
    seq: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    open: Option<Vec<Uuid>>,
}

/// Records by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    pub(crate) opened: u64,
    pub(crate) released: u64,
    pub(crate) closed: u64,
    pub(crate) abandoned: u64,
    pub(crate) examined: u64,
    /// What people did.
    pub(crate) acts: u64,
    /// Kinds of a newer version.
    pub(crate) unknown: u64,
    pub(crate) bytes: u64,
}

/// How a segment ends.
pub(crate) enum End {
    /// Right after a record, or without any record.
    Whole,
    /// In the middle of a line that begins at `offset`.
    Torn { offset: u64, length: u64 },
}

/// Why a segment cannot be scanned.
pub(crate) enum ScanError {
    Io(std::io::Error),
    Fault(Box<Fault>),
}

/// The state of a scan, carried from segment to segment.
pub(crate) struct Scan {
    /// The last sound record; `None` before the first one of a scan that begins in the middle.
    head: Option<Head>,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    /// Whether the last record is `sealed`.
    pub(crate) sealed: bool,
    pub(crate) signatures: Signatures,
    /// The requests that are open here are not known: what comes before was removed.
    pub(crate) open_unknown: bool,
    /// The first record that no checkpoint covers although one must have been written since.
    pub(crate) uncovered: Option<Box<Fault>>,
    first_time: String,
    last_time: String,
}

impl Scan {
    /// A scan of a whole journal.
    pub(crate) fn from_genesis() -> Self {
        Self { head: Some(Head::GENESIS), ..Self::from_any_segment() }
    }

    /// A scan that begins with any segment: it takes that segment's first record on trust.
    pub(crate) fn from_any_segment() -> Self {
        Self {
            head: None,
            ledger: Ledger::default(),
            counts: Counts::default(),
            sealed: false,
            signatures: Signatures::default(),
            open_unknown: false,
            uncovered: None,
            first_time: String::new(),
            last_time: String::new(),
        }
    }

    /// A scan that goes on behind `head`, where what comes before was removed.
    pub(crate) fn from_removed(head: Head) -> Self {
        Self { head: Some(head), open_unknown: true, ..Self::from_any_segment() }
    }

    /// The same, in which checkpoints must be signed by `key`.
    pub(crate) fn signed_by(self, key: PublicKey) -> Self {
        Self { signatures: Signatures::of(key), ..self }
    }

    /// The last sound record.
    pub(crate) fn head(&self) -> Head {
        self.head.unwrap_or(Head::GENESIS)
    }

    /// The times of the first and the last record that has one.
    pub(crate) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.first_time.parse().ok(), self.last_time.parse().ok())
    }

    /// Checks one segment to its end.
    pub(crate) fn segment(&mut self, name: &str, mut lines: Lines) -> Result<End, ScanError> {
        let mut first = true;
        loop {
            let piece = lines.next().map_err(ScanError::Io)?;
            let result = match piece {
                Piece::End => return Ok(End::Whole),
                Piece::Torn(bytes) => {
                    let length = bytes.len() as u64;
                    return Ok(End::Torn { offset: lines.offset, length });
                }
                Piece::TooLong => Err(Problem::TooLong),
                Piece::Line(line) => self.record(line, first.then_some(name)),
            };
            let fault = |seq, problem| {
                let (segment, line) = (name.to_owned(), Some(lines.line));
                Box::new(Fault { segment, line, offset: lines.offset, seq, problem })
            };
            if let Err(problem) = result {
                let seq = self.head.map(|head| head.seq + 1);
                return Err(ScanError::Fault(fault(seq, problem)));
            }
            first = false;
            if !self.signatures.late {
                self.uncovered = None;
            } else if self.uncovered.is_none() {
                self.uncovered = Some(fault(Some(self.head().seq), Problem::Uncovered));
            }
        }
    }

    /// Checks one line; `begins` is the segment's name on its first line.
    fn record(&mut self, line: &[u8], begins: Option<&str>) -> Result<(), Problem> {
        let links = line::check(line)?;
        let brief: Brief<'_> = serde_json::from_slice(line)
            .map_err(|error| Problem::Unreadable { why: error.to_string() })?;
        if brief.v != VERSION {
            return Err(Problem::Version { version: brief.v });
        }
        if let Some(head) = self.head {
            if brief.seq != head.seq + 1 {
                return Err(Problem::Sequence { found: brief.seq });
            }
            if links.prev != head.hash {
                return Err(Problem::Link { found: links.prev });
            }
        }
        if let Some(name) = begins {
            if segment::first(name) != Some(brief.seq) {
                return Err(Problem::Name { found: brief.seq });
            }
            if brief.kind != "started" {
                return Err(Problem::NoStart);
            }
            self.signatures.begin(brief.seq);
        }
        if brief.kind == "checkpoint" {
            let before = Head { seq: brief.seq.saturating_sub(1), hash: links.prev };
            self.signatures.check(line, before)?;
        }
        self.book(&brief)?;
        let head = Head { seq: brief.seq, hash: links.hash };
        self.signatures.take(head, (&brief.kind, brief.time.as_deref()))?;
        self.head = Some(head);
        self.counts.records += 1;
        self.counts.bytes += line.len() as u64 + 1;
        if let Some(time) = &brief.time {
            self.last_time.clear();
            self.last_time.push_str(time);
            if self.first_time.is_empty() {
                self.first_time.push_str(time);
            }
        }
        Ok(())
    }

    /// Enters a record into the books.
    fn book(&mut self, brief: &Brief<'_>) -> Result<(), Problem> {
        let missing =
            |field: &str| Problem::Unreadable { why: format!("it has no field `{field}`") };
        if self.sealed && !matches!(brief.kind.as_ref(), "started" | "checkpoint") {
            return Err(Problem::AfterSeal);
        }
        // A seal is signed by the checkpoint behind it.
        self.sealed &= brief.kind == "checkpoint";
        let counter = match brief.kind.as_ref() {
            "started" => {
                let open = brief.open.as_deref().ok_or_else(|| missing("open"))?;
                let known = self.head.is_some() && !std::mem::take(&mut self.open_unknown);
                if known && !self.ledger.has_open(open) {
                    return Err(Problem::OpenSet);
                }
                self.ledger.restart(open);
                return Ok(());
            }
            "sealed" => {
                self.sealed = true;
                return Ok(());
            }
            "checkpoint" => return Ok(()),
            "reviewed" | "revealed" | "acted" => {
                self.counts.acts += 1;
                return Ok(());
            }
            "opened" => &mut self.counts.opened,
            "released" => &mut self.counts.released,
            "examined" => &mut self.counts.examined,
            "closed" => &mut self.counts.closed,
            "abandoned" => &mut self.counts.abandoned,
            _ => {
                self.counts.unknown += 1;
                return Ok(());
            }
        };
        *counter += 1;
        let id = brief.id.ok_or_else(|| missing("id"))?;
        let booked = match brief.kind.as_ref() {
            "opened" => self.ledger.open(id),
            "released" | "examined" => self.ledger.release(id),
            _ => self.ledger.close(id),
        };
        booked.map_err(|misuse| match misuse {
            Misuse::OpenedTwice => Problem::OpenedTwice(id),
            Misuse::Reused => Problem::Reused(id),
            Misuse::NotOpen => Problem::NotOpen(id),
            Misuse::ClosedTwice => Problem::ClosedTwice(id),
        })
    }
}
