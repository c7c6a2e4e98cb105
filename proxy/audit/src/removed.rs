//! What stands in place of segments that were removed: a signed note by which the rest still verifies.

use std::io::{self, Read};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk};
use crate::fault::Problem;
use crate::keys::{Keys, PublicKey};
use crate::line::{Digest, Head};
use crate::segment;
use crate::trust::Signatures;

/// Name of the file with the notes, one on each line.
pub(crate) const FILE: &str = "removed.jsonl";

/// The beginning of a log that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// When it was removed.
    #[serde(with = "crate::json::time")]
    pub time: Timestamp,
    /// The numbers of the first and the last record that are gone.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// The hash of the record before the first.
    #[serde(with = "crate::checkpoint::as_text")]
    pub prev: Digest,
    /// The hash of the last one: the next record continues it.
    #[serde(with = "crate::checkpoint::as_text")]
    pub hash: Digest,
    /// Why.
    pub why: String,
    /// Whose signature it is.
    #[serde(with = "crate::checkpoint::as_text")]
    pub key: PublicKey,
    /// Ed25519, 128 hexadecimal digits.
    pub signature: String,
}

impl Removed {
    /// Signs that everything after `from` up to `to` was removed.
    pub(crate) fn sign(keys: &Keys, from: Head, to: Head, why: &str) -> Self {
        let mut note = Self {
            time: Timestamp::now(),
            first: from.seq + 1,
            last: to.seq,
            prev: from.hash,
            hash: to.hash,
            why: why.to_owned(),
            key: keys.public(),
            signature: String::new(),
        };
        note.signature = keys.sign(&note.message());
        note
    }

    /// Whether it was signed by its key.
    pub(crate) fn is_signed(&self) -> bool {
        self.key.has_signed(&self.message(), &self.signature)
    }

    /// What is signed: lines of text, the last of them the reason, as JSON writes it.
    fn message(&self) -> Vec<u8> {
        let Self { first, last, prev, hash, why, .. } = self;
        let time = crate::json::time::text(&self.time);
        let why = serde_json::Value::from(why.as_str());
        format!("portcullis audit removed v1\n{first}\n{last}\n{prev}\n{hash}\n{time}\n{why}\n")
            .into_bytes()
    }
}

/// The last record that was removed, if any was.
///
/// # Errors
/// The first note that does not continue the one before it, or was not signed by a trusted key.
pub(crate) fn last(notes: &[Removed], signatures: &Signatures) -> Result<Option<Head>, Problem> {
    let mut head = Head::GENESIS;
    for note in notes {
        let continues =
            note.first == head.seq + 1 && note.prev == head.hash && note.last >= note.first;
        if !continues || !note.is_signed() || !signatures.trusts(&note.key) {
            return Err(Problem::FalseNote { first: note.first, last: note.last });
        }
        head = Head { seq: note.last, hash: note.hash };
    }
    Ok((head != Head::GENESIS).then_some(head))
}

/// The segments that hold nothing but records up to number `gone`, and the others.
pub(crate) fn split(segments: Vec<String>, gone: u64) -> (Vec<String>, Vec<String>) {
    segments.into_iter().partition(|name| segment::first(name).is_some_and(|first| first <= gone))
}

/// The segments of the log, oldest first, without those that a note says are gone: whatever stands in their place is not
/// of the log. Readers take the notes at their word; [`crate::verify`] checks them.
pub(crate) fn kept(disk: &dyn Disk) -> io::Result<Vec<String>> {
    Ok(split(segment::sorted(disk.files()?), last_gone(disk)?).1)
}

/// The number of the last record that notes say is gone; 0 if none is.
pub(crate) fn last_gone(disk: &dyn Disk) -> io::Result<u64> {
    Ok(read(disk)?.last().map_or(0, |note| note.last))
}

/// The notes in `disk`, oldest first.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Vec<Removed>> {
    parse(&text(disk)?)
}

/// The notes in the lines of the file.
pub(crate) fn parse(text: &str) -> io::Result<Vec<Removed>> {
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

/// The whole lines of the file. A note that is not finished was never acted upon: segments go only after it is on the disk.
pub(crate) fn text(disk: &dyn Disk) -> io::Result<String> {
    let mut text = String::new();
    if disk.files()?.iter().any(|file| file == FILE) {
        disk.read(FILE, 0)?.read_to_string(&mut text)?;
    }
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

/// Adds a note and makes it durable.
pub(crate) fn add(disk: &dyn Disk, note: &Removed) -> io::Result<()> {
    let known = text(disk)?.len() as u64;
    let file = match disk.create(FILE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = disk.append(FILE)?;
            file.truncate(known)?;
            file
        }
        created => created?,
    };
    let mut line = serde_json::to_vec(note)?;
    line.push(b'\n');
    let written = disk::write_all(&*file, &line).and_then(|()| file.sync());
    if written.is_err() {
        // Whoever reads on must not take it for a note that is on the disk.
        drop(file.truncate(known));
    }
    written?;
    disk.sync()
}

/// Makes durable what the file holds.
pub(crate) fn sync(disk: &dyn Disk) -> io::Result<()> {
    disk.append(FILE)?.sync()?;
    disk.sync()
}
