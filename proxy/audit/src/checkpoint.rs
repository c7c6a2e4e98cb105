//! Signed statements about everything before them.
//!
//! The chain shows that nothing was changed behind a checkpoint, and the signature shows who wrote the checkpoint. Whoever
//! has no key cannot write a log anew. That whole records were taken from the end shows only where a checkpoint was noted
//! elsewhere: that is what anchors are for.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::{Keys, PublicKey};
use crate::line::{Digest, Head};

/// A signed statement about everything before it. It is a record of the log, and the last one of every complete segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When it was signed.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// The number of its segment's first record.
    pub segment: u64,
    /// The Merkle root of the hashes of the segment's records before it.
    #[serde(with = "as_text")]
    pub root: Digest,
    /// Whose signature it is.
    #[serde(with = "as_text")]
    pub key: PublicKey,
    /// Ed25519, 128 hexadecimal digits.
    pub signature: String,
}

/// A checkpoint with what it is about, as one line of a file elsewhere: whoever has it can tell that a log was put back or
/// cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The number of the last record that is signed.
    pub seq: u64,
    /// Its hash.
    #[serde(with = "as_text")]
    pub hash: Digest,
    /// The statement.
    #[serde(flatten)]
    pub checkpoint: Checkpoint,
}

impl Checkpoint {
    /// Signs everything up to `head`.
    pub(crate) fn sign(
        keys: &Keys,
        head: Head,
        (segment, root): (u64, Digest),
        time: Timestamp,
    ) -> Self {
        let key = keys.public();
        let signature = keys.sign(&message(head, (segment, root), time));
        Self { time, segment, root, key, signature }
    }

    /// Whether its signature is of everything up to `head`.
    pub(crate) fn is_of(&self, head: Head) -> bool {
        let message = message(head, (self.segment, self.root), self.time);
        self.key.has_signed(&message, &self.signature)
    }
}

impl Anchor {
    /// The notes in the text of a file. A line that ends too early is passed over: it is what a full disk has left of a
    /// note.
    ///
    /// # Errors
    /// The first line that is something else.
    pub fn all(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        let notes = text.lines().filter(|line| !line.is_empty()).map(str::parse);
        notes.filter(|note| !note.as_ref().is_err_and(serde_json::Error::is_eof)).collect()
    }

    /// Whether the statement was signed by its key.
    pub(crate) fn is_signed(&self) -> bool {
        self.checkpoint.is_of(Head { seq: self.seq, hash: self.hash })
    }
}

/// One line of JSON.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Anchor {
    type Err = serde_json::Error;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(line)
    }
}

/// What is signed: lines of text, so that anybody can put them together.
fn message(head: Head, (segment, root): (u64, Digest), time: Timestamp) -> Vec<u8> {
    let Head { seq, hash } = head;
    let time = crate::json::time::text(&time);
    format!("portcullis audit checkpoint v1\n{seq}\n{hash}\n{segment}\n{root}\n{time}\n")
        .into_bytes()
}

/// A value by its one spelling.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
