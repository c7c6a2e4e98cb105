//! Removing old segments: what stands in their place, and what never comes back.

use std::path::Path;

use proxy_audit::{
    Follower, Journal, Options, Place, ReadError, Trust, decisions, remove_before, tail, verify,
    verify_with,
};

use crate::journal::{fill, open};

const SEGMENT_BYTES: u64 = 12_000;
const FIRST: &str = "00000000000000000001.jsonl";

/// A log of several segments.
fn log(dir: &Path) {
    let journal = open(dir, SEGMENT_BYTES);
    fill(&journal, 40);
    journal.close().expect("the disk works");
}

#[test]
fn what_is_put_in_the_place_of_removed_segments_is_not_of_the_log() {
    let [dir, other] = [0; 2].map(|_| tempfile::tempdir().expect("a directory"));
    log(dir.path());
    log(other.path());
    let first = dir.path().join(FIRST);
    let (own, others) = (std::fs::read(&first), std::fs::read(other.path().join(FIRST)));
    let (own, others) = (own.expect("it is there"), others.expect("it is there"));
    let note = remove_before(dir.path(), 30, "a test").expect("it is sound");
    let note = note.expect("there are old segments");
    assert!(note.last > 20 && !first.exists());
    let (sound, left) = (verify(dir.path()).expect("it is sound"), tail(dir.path(), u64::MAX));
    let left = left.expect("it is sound");
    let decided = decisions(dir.path(), |_| {}).expect("it is sound");

    // As a whole it is sound, by somebody else; or it is what was removed, and came back.
    for planted in [&others, &own] {
        std::fs::write(&first, planted).expect("it is written");
        assert_eq!(tail(dir.path(), u64::MAX).expect("it is sound"), left);
        let mut follower = Follower::first(dir.path()).expect("there is a log");
        let first = follower.next().expect("a record").expect("it is sound");
        assert_eq!(first.seq, note.last + 1);
        assert_eq!(decisions(dir.path(), |_| {}).expect("it is sound"), decided);
        let place = Place { segment: 1, offset: 0 };
        assert!(matches!(place.read(dir.path()), Err(ReadError::Io { .. })));
        let error = verify(dir.path()).expect_err("it is not what an interruption leaves");
        assert!(error.to_string().contains("this is not what it held"), "{error}");
        remove_before(dir.path(), 40, "a test").expect_err("it is no part of the log");
    }
    std::fs::remove_file(&first).expect("it is removed");
    assert_eq!(verify(dir.path()).expect("it is sound"), sound);
}

#[test]
fn a_removal_that_was_interrupted_is_ended_by_the_next() {
    let [dir, copy] = [0; 2].map(|_| tempfile::tempdir().expect("a directory"));
    log(dir.path());
    let files = || {
        let files = std::fs::read_dir(dir.path()).expect("it is there").flatten();
        let files = files.map(|file| file.file_name().into_string().expect("a name"));
        let mut files: Vec<String> = files.filter(|name| name.starts_with('0')).collect();
        files.sort_unstable();
        files
    };
    let before = files();
    for name in &before {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("it is copied");
    }
    let note = remove_before(dir.path(), 80, "a test").expect("it is sound").expect("some");
    let after = files();
    let gone: Vec<&String> = before.iter().filter(|name| !after.contains(name)).collect();
    assert!(gone.len() > 2);
    for name in &gone[gone.len() - 2..] {
        std::fs::copy(copy.path().join(name), dir.path().join(name)).expect("it is copied");
    }
    let report = verify(dir.path()).expect("it is sound");
    assert_eq!((report.left_over, report.removed), (2, note.last));
    let again = remove_before(dir.path(), 80, "another").expect("it is sound").expect("some");
    assert_eq!((again.signature, files()), (note.signature, after));
    assert_eq!(verify(dir.path()).expect("it is sound").left_over, 0);
}

#[test]
fn what_is_not_as_it_was_written_is_not_removed_with_a_good_name() {
    let dir = tempfile::tempdir().expect("a directory");
    log(dir.path());
    let first = dir.path().join(FIRST);
    let text = std::fs::read_to_string(&first).expect("it is there");
    // One line with a sound hash of its own; those behind it are as they were.
    let line = text.lines().find(|line| line.contains("\"allowed\"")).expect("a decision");
    let hashed = line.replace("\"allowed\"", "\"blocked\"");
    let hashed = &hashed[..hashed.rfind(",\"hash\"").expect("it has one")];
    let forged = format!("{hashed},\"hash\":\"b3:{}\"}}", blake3::hash(hashed.as_bytes()));
    std::fs::write(&first, text.replace(line, &forged)).expect("it is written");
    assert!(tail(dir.path(), u64::MAX).is_ok(), "each line by itself is sound");
    let error = remove_before(dir.path(), 30, "a test").expect_err("it is not as it was");
    assert!(matches!(error, ReadError::Damaged(_)), "{error}");
    assert!(first.exists() && !dir.path().join("removed.jsonl").exists());

    // Nor is what lost its signatures.
    std::fs::write(&first, &text).expect("it is written");
    let key = std::fs::read_to_string(dir.path().join("journal.pub")).expect("it is there");
    let end = text.trim_end().rfind('\n').expect("several lines") + 1;
    std::fs::write(&first, &text[..end]).expect("it is written");
    remove_before(dir.path(), 30, "a test").expect_err("it is not signed");
    std::fs::write(&first, &text).expect("it is written");
    remove_before(dir.path(), 30, "a test").expect("it is sound").expect("some");
    verify_with(dir.path(), &Trust::key(key.parse().expect("it is a key"))).expect("it is sound");
}

#[test]
fn many_removals_at_once_leave_one_sound_chain_of_notes() {
    let dir = tempfile::tempdir().expect("a directory");
    log(dir.path());
    // Beside the process that writes.
    let (journal, _) = Journal::open(dir.path(), &Options::default()).expect("it opens");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let dir = dir.path();
            scope.spawn(move || {
                remove_before(dir, 10 + 5 * number, "a test").expect("it is sound");
            });
        }
    });
    journal.close().expect("the disk works");
    assert!(verify(dir.path()).expect("it is sound").removed > 30);
}
