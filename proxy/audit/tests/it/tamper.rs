//! Thousands of edits by somebody who does not recompute the chain, each of which must show.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use proxy_audit::{Ending, ReadError, Report, verify};

use crate::journal::{fill, open};

type Files = BTreeMap<String, Vec<u8>>;

const EDITS: usize = 4_000;

struct Dice(TestRng);

impl Dice {
    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("it fits");
        usize::try_from(self.0.next_u64() % limit).expect("it fits")
    }
}

fn load(dir: &Path) -> Files {
    let entries = std::fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("it is"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("names are plain"));
    let segments = names.filter(|name| name.ends_with(".jsonl"));
    segments
        .map(|name| (name.clone(), std::fs::read(dir.join(name)).expect("it is there")))
        .collect()
}

/// Replaces what differs between two states of a directory.
fn store(dir: &Path, from: &Files, to: &Files) {
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        std::fs::remove_file(dir.join(name)).expect("it is removed");
    }
    for (name, bytes) in to.iter().filter(|(name, bytes)| from.get(*name) != Some(*bytes)) {
        std::fs::write(dir.join(name), bytes).expect("it is written");
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Makes one edit. Names the place of a flipped bit, where the first bad record must be.
fn edit(files: &mut Files, dice: &mut Dice) -> Option<(String, u64)> {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = names[dice.below(names.len())].clone();
    let other = names[dice.below(names.len())].clone();
    let bytes = files.get_mut(&name).expect("it is there");
    let at = dice.below(bytes.len());
    let mut all = lines(bytes);
    let (one, two) = (dice.below(all.len()), dice.below(all.len()));
    match dice.below(11) {
        0..=2 => {
            bytes[at] ^= 1 << dice.below(8);
            let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            return Some((name, start as u64));
        }
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, bytes[one]),
        5 => bytes.truncate(at),
        6 => {
            all.remove(one);
            *bytes = all.concat();
        }
        7 => {
            let line = all[one].clone();
            all.insert(two, line);
            *bytes = all.concat();
        }
        8 => {
            all.swap(one, two);
            *bytes = all.concat();
        }
        9 => {
            let kept = bytes.clone();
            let swapped = files.insert(other, kept).expect("it was there");
            files.insert(name, swapped);
        }
        _ => drop(files.remove(&name)),
    }
    None
}

/// Whether `edited` is the beginning of `whole`, segment by segment.
fn is_beginning(edited: &Files, whole: &Files) -> bool {
    let mut pairs = whole.iter().map(|(name, bytes)| (bytes, edited.get(name)));
    let cut = pairs.by_ref().find(|(bytes, kept)| *kept != Some(*bytes));
    let cut_fits = cut.is_none_or(|(bytes, kept)| kept.is_none_or(|kept| bytes.starts_with(kept)));
    cut_fits && pairs.all(|(_, kept)| kept.is_none())
}

fn check(
    edited: &Files,
    whole: &Files,
    place: Option<(String, u64)>,
    found: Result<Report, ReadError>,
) {
    match found {
        Err(ReadError::Damaged(fault)) => {
            assert!(!is_beginning(edited, whole), "a cut end is not damage: {fault}");
            if let Some(place) = place {
                assert_eq!((fault.segment.clone(), fault.offset), place, "{fault}");
            }
        }
        Err(ReadError::NoJournal { .. }) => assert!(edited.is_empty()),
        Err(error) => panic!("{error}"),
        Ok(report) => {
            let last = edited.values().next_back().expect("there is a segment");
            let whole_lines = last.is_empty() || last.ends_with(b"\n");
            match report.ending {
                Ending::Sealed => panic!("an edit was not seen: {report:?}"),
                // Removing whole records from the end is the one thing that a chain cannot show.
                Ending::NotSealed => assert!(is_beginning(edited, whole) && whole_lines),
                Ending::Torn { .. } => assert!(!whole_lines),
            }
        }
    }
}

#[test]
fn every_edit_of_a_sealed_journal_shows() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 12_000);
    fill(&journal, 40);
    journal.close().expect("the disk works");
    assert_eq!(verify(dir.path()).expect("it is sound").ending, Ending::Sealed);
    let whole = load(dir.path());
    assert!(whole.len() > 4, "it has several segments: {}", whole.len());

    let mut dice = Dice(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut edits = 0;
    while edits < EDITS {
        let mut edited = whole.clone();
        let place = edit(&mut edited, &mut dice);
        if edited == whole {
            continue;
        }
        edits += 1;
        store(dir.path(), &whole, &edited);
        check(&edited, &whole, place, verify(dir.path()));
        store(dir.path(), &edited, &whole);
    }
    assert_eq!(verify(dir.path()).expect("it is sound again").ending, Ending::Sealed);
}

#[test]
fn records_removed_from_the_end_leave_it_unsealed() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 64 << 20);
    fill(&journal, 30);
    journal.close().expect("the disk works");
    let path = dir.path().join("00000000000000000001.jsonl");
    let mut all = lines(&std::fs::read(&path).expect("it is there"));
    while all.len() > 1 {
        all.pop();
        std::fs::write(&path, all.concat()).expect("it is written");
        let report = verify(dir.path()).expect("it is sound as far as it goes");
        assert_eq!(report.ending, Ending::NotSealed);
        assert_eq!(report.head_seq, all.len() as u64);
    }
}
