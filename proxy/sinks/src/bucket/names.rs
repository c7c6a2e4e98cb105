//! What the objects of a log are called.
//!
//! ```text
//! FOLDER/KEY/00000000000000000001.jsonl                            a segment, as it stands
//! FOLDER/KEY/journal.pub                                           the public key
//! FOLDER/KEY/removed/00000000000000004711.jsonl                    removed.jsonl, when its last note was of record 4711
//! FOLDER/KEY/tail/00000000000000004712/00000000000000000000.jsonl  of a segment that goes on: what begins at this byte
//! ```
//!
//! `KEY` is the log's public key, in 64 hexadecimal digits: no two logs have one name.

use object_store::path::Path as Key;
use proxy_audit::files;

/// Length of a public key's digits.
const KEY_DIGITS: usize = 64;
const REMOVED: &str = "removed";
const TAIL: &str = "tail";

/// An object of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    PublicKey,
    /// The segment whose first record has this number.
    Segment(u64),
    /// The notes about removed segments, whose last one is about this record.
    Removed(u64),
    /// Of the segment whose first record has this number, what begins at this byte.
    Tail(u64, u64),
}

impl Name {
    /// Its key below the log's own folder.
    pub(super) fn below(self, log: &Key) -> Key {
        let key = |parts: &[&str]| parts.iter().fold(log.clone(), |key, part| key.join(*part));
        match self {
            Self::PublicKey => key(&[files::PUBLIC_KEY]),
            Self::Segment(first) => key(&[&files::name(first)]),
            Self::Removed(last) => key(&[REMOVED, &files::name(last)]),
            Self::Tail(first, offset) => {
                // Without its ending a segment's name is the number, as wide as all.
                let (segment, part) = (files::name(first), files::name(offset));
                key(&[TAIL, segment.trim_end_matches(".jsonl"), &part])
            }
        }
    }

    /// The object with this key, if it is one of the log's.
    pub(super) fn of(key: &Key, log: &Key) -> Option<Self> {
        let parts: Vec<_> = key.prefix_match(log)?.collect();
        match parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
            [files::PUBLIC_KEY] => Some(Self::PublicKey),
            [name] => files::first(name).map(Self::Segment),
            [REMOVED, name] => files::first(name).map(Self::Removed),
            [TAIL, segment, name] => {
                let segment = files::first(&format!("{segment}.jsonl"))?;
                files::first(name).map(|offset| Self::Tail(segment, offset))
            }
            _ => None,
        }
    }
}

/// Whether this is the name of a log's folder.
pub(super) fn is_log(name: &str) -> bool {
    name.len() == KEY_DIGITS && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_others_are_not() {
        for folder in ["", "a", "a/b"] {
            let log = Key::from(folder).join("0".repeat(64));
            for name in
                [Name::PublicKey, Name::Segment(1), Name::Removed(u64::MAX), Name::Tail(4711, 0)]
            {
                assert_eq!(Name::of(&name.below(&log), &log), Some(name));
            }
            for other in ["portcullis-probe", "1.jsonl", "tail/1", "removed/x.jsonl", "a/b/c/d"] {
                let key = Key::from(format!("{log}/{other}"));
                assert_eq!(Name::of(&key, &log), None, "{other}");
            }
            assert_eq!(Name::of(&Name::Segment(1).below(&log), &log.clone().join("b")), None);
        }
    }
}
