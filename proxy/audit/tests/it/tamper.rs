//! Thousands of edits, also by somebody who recomputes the chain, each of which must show.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use proxy_audit::{
    Anchor, Closed, Ending, Journal, JournalError, Opened, Options, ReadError, Record, Report,
    Trust, verify, verify_with,
};

use crate::journal::{fill, open};
use crate::support::{closed, opened, wait};

type Files = BTreeMap<String, Vec<u8>>;

/// Edits of a usual run; the environment variable asks for more.
const EDITS: usize = 1_500;
const MORE_EDITS: &str = "PORTCULLIS_TEST_EDITS";

fn edits() -> usize {
    std::env::var(MORE_EDITS).ok().and_then(|edits| edits.parse().ok()).unwrap_or(EDITS)
}

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
    while edits < self::edits() {
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

/// What stands between the numbers and the chain of a line.
fn body(line: &[u8]) -> &[u8] {
    let start = line.windows(6).position(|window| window == b"\"kind\"").expect("it is a record");
    let end = line.windows(8).rposition(|window| window == b",\"prev\":").expect("it has a link");
    &line[start..end]
}

/// A log of these bodies, numbered, linked and hashed as the journal does it, in segments of these lengths. What nobody
/// without the key can make anew are the signatures.
fn resealed(bodies: &[Vec<u8>], lengths: &[usize]) -> Files {
    let mut files = Files::new();
    let (mut seq, mut head) =
        (0, blake3::hash(b"portcullis audit journal v1").to_hex().to_string());
    let mut bodies = bodies.iter();
    for length in lengths {
        let (name, mut bytes) = (format!("{:020}.jsonl", seq + 1), Vec::new());
        for body in bodies.by_ref().take(*length) {
            seq += 1;
            let mut line = format!("{{\"v\":1,\"seq\":{seq},").into_bytes();
            line.extend_from_slice(body);
            line.extend_from_slice(format!(",\"prev\":\"b3:{head}\"").as_bytes());
            head = blake3::hash(&line).to_hex().to_string();
            line.extend_from_slice(format!(",\"hash\":\"b3:{head}\"}}\n").as_bytes());
            bytes.extend_from_slice(&line);
        }
        files.insert(name, bytes);
    }
    files
}

/// Somebody who knows the format and has no key: changes, takes out or repeats a record and makes the chain fit.
fn reseal(files: &Files, dice: &mut Dice) -> Files {
    let segments: Vec<Vec<Vec<u8>>> = files.values().map(|bytes| lines(bytes)).collect();
    let mut lengths: Vec<usize> = segments.iter().map(Vec::len).collect();
    let mut bodies: Vec<Vec<u8>> =
        segments.iter().flatten().map(|line| body(line).to_vec()).collect();
    let one = dice.below(bodies.len());
    let mut first = 0;
    let segment = lengths.iter().position(|length| {
        first += length;
        one < first
    });
    let length = &mut lengths[segment.expect("every record is in a segment")];
    match dice.below(5) {
        0 => {
            *length -= 1;
            bodies.remove(one);
        }
        1 => {
            *length += 1;
            bodies.insert(one, bodies[one].clone());
        }
        2 => {
            let at = dice.below(bodies[one].len());
            // A digit or letter by another one, so that it stays JSON more often than not.
            bodies[one][at] = bodies[one][at].wrapping_add(1);
        }
        3 => {
            let two = dice.below(bodies.len());
            bodies.swap(one, two);
        }
        // Signatures away, and with them the proof of who wrote it.
        _ => {
            let unsigned = |body: &Vec<u8>| !body.starts_with(b"\"kind\":\"checkpoint\"");
            bodies.retain(unsigned);
            lengths.iter_mut().for_each(|length| *length -= 1);
        }
    }
    resealed(&bodies, &lengths)
}

/// The log as it was at some moment before.
fn roll_back(files: &Files, dice: &mut Dice) -> Files {
    let keep = dice.below(files.len());
    let mut kept: Files =
        files.iter().take(keep + 1).map(|(n, b)| (n.clone(), b.clone())).collect();
    if let Some(mut last) = kept.last_entry() {
        let mut all = lines(last.get());
        all.truncate(dice.below(all.len()) + 1);
        *last.get_mut() = all.concat();
    }
    kept
}

#[test]
fn nothing_is_hidden_from_who_has_the_key_and_a_note_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let notes = tempfile::tempdir().expect("a directory");
    let anchor = notes.path().join("anchors");
    let options =
        Options { segment_bytes: 12_000, anchor: Some(anchor.clone()), ..Options::default() };
    let (journal, _) = Journal::open(dir.path(), &options).expect("the journal opens");
    fill(&journal, 40);
    journal.close().expect("the disk works");
    let anchors = std::fs::read_to_string(&anchor).expect("it is there");
    let anchors: Vec<Anchor> =
        anchors.lines().map(|line| line.parse().expect("it is one")).collect();
    let trust = Trust { anchors, ..key(dir.path()) };
    let report = verify_with(dir.path(), &trust).expect("it is sound");
    assert_eq!((report.ending, report.signed + 1), (Ending::Sealed, report.head_seq));
    let whole = load(dir.path());
    assert!(whole.len() > 4 && trust.anchors.len() >= whole.len());
    // Making the chain anew is what the journal does.
    let all: Vec<Vec<Vec<u8>>> = whole.values().map(|bytes| lines(bytes)).collect();
    let bodies: Vec<Vec<u8>> = all.iter().flatten().map(|line| body(line).to_vec()).collect();
    assert_eq!(resealed(&bodies, &all.iter().map(Vec::len).collect::<Vec<_>>()), whole);

    let mut dice = Dice(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut done = 0;
    while done < edits() {
        let mut edited = whole.clone();
        match dice.below(4) {
            0 | 1 => drop(edit(&mut edited, &mut dice)),
            2 => edited = reseal(&whole, &mut dice),
            _ => edited = roll_back(&whole, &mut dice),
        }
        if edited == whole {
            continue;
        }
        done += 1;
        store(dir.path(), &whole, &edited);
        let found = verify_with(dir.path(), &trust);
        let seen = matches!(found, Err(ReadError::Damaged(_) | ReadError::NoJournal { .. }));
        assert!(seen, "edit {done} was not seen: {found:?}");
        store(dir.path(), &edited, &whole);
    }
    verify_with(dir.path(), &trust).expect("it is sound again");
    println!("{done} edits, all seen");
}

/// Who must have signed the log in `dir`, as somebody noted it elsewhere.
fn key(dir: &Path) -> Trust {
    let key = std::fs::read_to_string(dir.join("journal.pub")).expect("it is there");
    Trust::key(key.parse().expect("it is a key"))
}

/// The checkpoints behind some record away, and all that follows as one segment, which need not end in one.
fn unsign(files: &Files, from: usize) -> Files {
    let segments: Vec<Vec<Vec<u8>>> = files.values().map(|bytes| lines(bytes)).collect();
    let bodies = segments.iter().flatten().map(|line| body(line).to_vec()).enumerate();
    let stays =
        |(at, body): &(usize, Vec<u8>)| *at < from || !body.starts_with(b"\"kind\":\"checkpoint\"");
    let bodies: Vec<Vec<u8>> = bodies.filter(stays).map(|(_, body)| body).collect();
    let (mut lengths, mut left) = (Vec::new(), bodies.len());
    let mut first = 0;
    for segment in &segments {
        first += segment.len();
        let length = if first <= from { segment.len() } else { left };
        lengths.push(length);
        left -= length;
        if left == 0 {
            break;
        }
    }
    resealed(&bodies, &lengths)
}

#[test]
fn nothing_but_a_cut_end_is_hidden_from_who_has_the_key_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 12_000);
    // Each a minute after the one before: nobody writes so long without signing.
    for number in 1..=40_u32 {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(number.into());
        let number = u64::from(number);
        drop(journal.append_opened(&Opened { time, ..opened(number) }));
        let end = Closed { time, ..closed(number) };
        wait(journal.append_closed(&end).durable()).expect("the disk works");
    }
    journal.close().expect("the disk works");
    let (trust, whole) = (key(dir.path()), load(dir.path()));
    verify_with(dir.path(), &trust).expect("it is sound");
    assert!(whole.len() > 4);

    let mut dice = Dice(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let records = whole.values().map(|bytes| lines(bytes).len()).sum();
    let mut done = 0;
    while done < edits() {
        let mut edited = whole.clone();
        match dice.below(3) {
            0 => drop(edit(&mut edited, &mut dice)),
            1 => edited = reseal(&whole, &mut dice),
            _ => edited = unsign(&whole, dice.below(records)),
        }
        if edited == whole {
            continue;
        }
        done += 1;
        store(dir.path(), &whole, &edited);
        match verify_with(dir.path(), &trust) {
            Ok(report) => {
                assert!(is_beginning(&edited, &whole), "edit {done} was not seen: {report:?}");
            }
            Err(ReadError::Damaged(_) | ReadError::NoJournal { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        store(dir.path(), &edited, &whole);
    }

    // A log without any signature is nobody's, and no start signs what somebody put there in between.
    for from in [0, records - 30] {
        let forged = unsign(&whole, from);
        store(dir.path(), &whole, &forged);
        let error = verify_with(dir.path(), &trust).expect_err("it is not signed");
        assert!(error.to_string().contains("nothing signed covers"), "{error}");
        let opened = Journal::open(dir.path(), &Options::default()).map(drop);
        assert!(matches!(opened, Err(JournalError::Damaged { .. })), "{opened:?}");
        store(dir.path(), &forged, &whole);
    }
}

#[test]
fn nothing_is_dated_long_after_what_is_signed_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 12_000);
    for number in 1..=30 {
        // Bursts, with nothing to do in between.
        if number % 10 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1_600));
        }
        let time = jiff::Timestamp::now();
        drop(journal.append_opened(&Opened { time, ..opened(number) }));
        let end = Closed { time, ..closed(number) };
        wait(journal.append_closed(&end).durable()).expect("the disk works");
    }
    std::thread::sleep(std::time::Duration::from_millis(1_600));
    journal.close().expect("the disk works");
    let mut signed = jiff::Timestamp::MIN;
    let mut dated = 0;
    for record in crate::journal::records(dir.path()) {
        let time = match record {
            Record::Checkpoint(checkpoint) => {
                signed = checkpoint.time;
                continue;
            }
            Record::Opened(record) => record.time,
            Record::Closed(record) => record.time,
            Record::Sealed(record) => record.time,
            _ => continue,
        };
        dated += 1;
        let since = time.duration_since(signed);
        assert!(since <= jiff::SignedDuration::from_millis(1_100), "{since:?} after the signature");
    }
    assert_eq!(dated, 61);
}

#[test]
fn what_a_running_or_killed_journal_wrote_is_sound_by_its_key() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..3 {
        let journal = open(dir.path(), 12_000);
        for number in round * 10..round * 10 + 10 {
            let time = jiff::Timestamp::now();
            drop(journal.append_opened(&Opened { time, ..opened(number) }));
            let end = Closed { time, ..closed(number) };
            wait(journal.append_closed(&end).durable()).expect("the disk works");
            verify_with(dir.path(), &key(dir.path())).expect("it is sound");
        }
    }
}

#[test]
fn a_log_that_somebody_else_wrote_is_not_this_one() {
    let dirs = [0; 2].map(|_| tempfile::tempdir().expect("a directory"));
    for dir in &dirs {
        let journal = open(dir.path(), 12_000);
        fill(&journal, 20);
        journal.close().expect("the disk works");
    }
    let trust = key(dirs[0].path());
    verify_with(dirs[0].path(), &trust).expect("it is sound");
    // As a whole the other one is sound too, by the key beside it.
    verify(dirs[1].path()).expect("it is sound");
    let error = verify_with(dirs[1].path(), &trust).expect_err("somebody else signed");
    assert!(error.to_string().contains("which is not trusted"), "{error}");
}
