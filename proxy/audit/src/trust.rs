//! Whom a verifier believes, and what it holds a log against.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::checkpoint::{Anchor, Checkpoint};
use crate::fault::Problem;
use crate::keys::PublicKey;
use crate::line::{Digest, Head};
use crate::tree::Tree;

/// How long after a checkpoint a record may be dated that no checkpoint covers yet. One is signed every second, by the
/// clock that dates records.
const UNSIGNED: SignedDuration = SignedDuration::from_secs(5);

/// What a log must agree with.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys that may have signed. Without any, signatures are checked against the key that they name, which shows
    /// nothing about who wrote the log.
    pub keys: Vec<PublicKey>,
    /// Checkpoints that were noted elsewhere: the log must contain every one of them.
    pub anchors: Vec<Anchor>,
}

/// The signatures of a log, while it is read.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    trusted: Vec<PublicKey>,
    /// Number and hash of records that were noted elsewhere. Behind each stands the checkpoint of which that is the note.
    noted: BTreeMap<u64, Digest>,
    /// Of the segment that is read.
    pub(crate) tree: Tree,
    segment: u64,
    /// The last record that a checkpoint covers.
    pub(crate) signed: u64,
    /// Whether the last record is a checkpoint.
    pub(crate) at_end: bool,
    /// When the last checkpoint was signed.
    pub(crate) signed_at: Option<Timestamp>,
    /// Until when records may be dated that stand behind it, as they write it.
    until: String,
    /// Whether a record behind it is dated later.
    pub(crate) late: bool,
}

impl Trust {
    /// Only this key.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        Self { keys: vec![key], anchors: Vec::new() }
    }
}

impl Signatures {
    /// Holds a log against `trust`.
    ///
    /// # Errors
    /// The first anchor that was not signed by a trusted key.
    pub(crate) fn new(trust: &Trust) -> Result<Self, Problem> {
        let trusted = trust.keys.clone();
        let signatures = Self { trusted, ..Self::default() };
        let false_one = trust
            .anchors
            .iter()
            .find(|anchor| !anchor.is_signed() || !signatures.trusts(&anchor.checkpoint.key));
        if let Some(Anchor { seq, .. }) = false_one {
            return Err(Problem::FalseAnchor { seq: *seq });
        }
        let noted = trust.anchors.iter().map(|anchor| (anchor.seq, anchor.hash)).collect();
        Ok(Self { noted, ..signatures })
    }

    /// Holds a log against nothing but `key`.
    pub(crate) fn of(key: PublicKey) -> Self {
        Self { trusted: vec![key], ..Self::default() }
    }

    pub(crate) fn trusts(&self, key: &PublicKey) -> bool {
        self.trusted.is_empty() || self.trusted.contains(key)
    }

    /// Whether a segment must end in a checkpoint: somebody said who signs.
    pub(crate) fn are_due(&self) -> bool {
        !self.trusted.is_empty()
    }

    /// A segment begins with record number `first`.
    pub(crate) fn begin(&mut self, first: u64) {
        (self.tree, self.segment) = (Tree::default(), first);
    }

    /// Checks a checkpoint that stands behind `head`.
    pub(crate) fn check(&mut self, line: &[u8], head: Head) -> Result<(), Problem> {
        let checkpoint: Checkpoint = serde_json::from_slice(line)
            .map_err(|error| Problem::Unreadable { why: error.to_string() })?;
        if !self.trusts(&checkpoint.key) {
            return Err(Problem::Signer { key: Box::new(checkpoint.key) });
        }
        let covers = checkpoint.segment == self.segment && checkpoint.root == self.tree.root();
        if !covers || !checkpoint.is_of(head) {
            return Err(Problem::Signature);
        }
        (self.signed, self.signed_at) = (head.seq, Some(checkpoint.time));
        let until = checkpoint.time.checked_add(UNSIGNED).unwrap_or(Timestamp::MAX);
        (self.until, self.late) = (crate::json::time::text(&until), false);
        Ok(())
    }

    /// Takes in a record that was found sound.
    pub(crate) fn take(
        &mut self,
        head: Head,
        (kind, time): (&str, Option<&str>),
    ) -> Result<(), Problem> {
        let is_checkpoint = kind == "checkpoint";
        self.tree.push(head.hash);
        self.at_end = is_checkpoint;
        self.late |= self.is_late(kind, time);
        match self.noted.get(&head.seq) {
            Some(hash) if *hash != head.hash => Err(Problem::NotAsNoted { noted: *hash }),
            _ if !is_checkpoint && self.noted.contains_key(&(head.seq - 1)) => {
                Err(Problem::Unsigned)
            }
            _ => Ok(()),
        }
    }

    /// Whether a record is dated too long after the last checkpoint to be what the journal wrote behind it. A start may
    /// be cut before its signature; nothing else comes before that.
    fn is_late(&self, kind: &str, time: Option<&str>) -> bool {
        // Times are written in one way, so they compare as texts.
        let fits = |time: &str| time.len() == self.until.len() && time <= self.until.as_str();
        let fits = self.signed_at.is_some() && time.is_some_and(fits);
        !fits && !matches!(kind, "checkpoint" | "started" | "abandoned")
    }

    /// The last record that was noted elsewhere, if it is behind the end of the log.
    pub(crate) fn beyond(&self, head: Head) -> Option<u64> {
        self.noted.keys().next_back().copied().filter(|seq| *seq >= head.seq)
    }
}
