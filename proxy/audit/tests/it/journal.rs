//! Opening, appending, rotating and closing.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proxy_audit::{
    Ending, Follower, Journal, JournalError, Misuse, Options, ReadError, Record, StartReason,
    remove_before, verify,
};
use uuid::Uuid;

use crate::support::{closed, id, opened, released, wait};

pub(crate) fn open(dir: &Path, segment_bytes: u64) -> Journal {
    let options = Options { segment_bytes, ..Options::default() };
    Journal::open(dir, &options).expect("the journal opens").0
}

/// Writes requests 1 to `count`, each closed at once, and waits for the last.
pub(crate) fn fill(journal: &Journal, count: u64) {
    for number in 1..=count {
        drop(journal.append_opened(&opened(number)));
        let mut receipt = journal.append_closed(&closed(number));
        if number == count {
            wait(receipt.durable()).expect("the disk works");
        }
    }
}

pub(crate) fn records(dir: &Path) -> Vec<Record> {
    let entries = Follower::first(dir).expect("there is a journal");
    entries.map(|entry| entry.expect("the record is sound").record).collect()
}

#[test]
fn a_journal_keeps_what_it_was_given_and_ends_sealed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("new/audit");
    assert!(matches!(verify(&path), Err(ReadError::Io { .. })));
    let journal = open(&path, 64 << 20);
    let mut first = journal.append_opened(&opened(1));
    wait(first.written()).expect("the disk works");
    wait(first.durable()).expect("the disk works");
    wait(first.written()).expect("what is durable is written");
    wait(journal.append_released(&released(1)).durable()).expect("the disk works");
    wait(journal.append_closed(&closed(1)).durable()).expect("the disk works");
    for number in [1, 2] {
        let late = wait(journal.append_released(&released(number)).durable());
        assert!(matches!(late, Err(JournalError::Misuse { .. })), "{number} is not open");
    }
    assert_eq!(verify(&path).expect("it is sound").ending, Ending::NotSealed);
    journal.close().expect("the disk works");
    journal.close().expect("a second time is no error");
    assert!(matches!(wait(journal.append_opened(&opened(2)).written()), Err(JournalError::Closed)));

    let report = verify(&path).expect("it is sound");
    assert_eq!((report.records, report.opened, report.released, report.closed), (7, 1, 1, 1));
    assert_eq!((report.ending, report.still_open, report.head_seq), (Ending::Sealed, 0, 7));
    let records = records(&path);
    assert!(matches!(records[1], Record::Checkpoint(_)), "a start is signed: {records:?}");
    assert_eq!(records[2], Record::Opened(opened(1)));
    assert_eq!(records[3], Record::Released(released(1)));
    assert_eq!(records[4], Record::Closed(Box::new(closed(1))));
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o700);
    assert_eq!(mode(&path.join("00000000000000000001.jsonl")) & 0o777, 0o600);
}

#[test]
fn a_second_journal_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 64 << 20);
    let second = Journal::open(dir.path(), &Options::default());
    let error = second.map(drop).expect_err("the directory is taken");
    assert!(matches!(error, JournalError::Locked { .. }));
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(journal);
    drop(open(dir.path(), 64 << 20));
    assert_eq!(verify(dir.path()).expect("it is sound").ending, Ending::Sealed);
}

#[test]
fn open_requests_are_carried_over_segments_and_abandoned_by_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 10_000);
    for number in [1_001, 1_002, 1_003] {
        drop(journal.append_opened(&opened(number)));
    }
    fill(&journal, 500);
    drop(journal.append_closed(&closed(1_002)));
    journal.close().expect("the disk works");

    let report = verify(dir.path()).expect("it is sound");
    assert!(report.segments > 50, "{}", report.segments);
    assert_eq!((report.opened, report.closed, report.still_open), (503, 501, 2));
    let waiting = [id(1_001), id(1_003)];
    let carried = records(dir.path()).into_iter().filter_map(|record| match record {
        Record::Started(started) if started.reason == StartReason::Rotated => Some(started.open),
        _ => None,
    });
    assert!(carried.into_iter().all(|open| waiting.iter().all(|id| open.contains(id))));

    let (journal, recovery) =
        Journal::open(dir.path(), &Options::default()).expect("the journal opens");
    assert_eq!(recovery.abandoned, waiting);
    assert!(recovery.was_sealed && recovery.torn_bytes == 0);
    assert!(recovery.records_read < 30, "only the last segment: {}", recovery.records_read);
    journal.close().expect("the disk works");
    let report = verify(dir.path()).expect("it is sound");
    assert_eq!((report.abandoned, report.still_open), (2, 0));
}

#[test]
fn what_a_restart_needs_is_not_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 6_000);
    drop(journal.append_opened(&opened(1_001)));
    fill(&journal, 12);
    drop(journal);
    // A process died after it had begun a segment, before that had a record.
    let next = verify(dir.path()).expect("it is sound").head_seq + 1;
    std::fs::write(dir.path().join(format!("{next:020}.jsonl")), "").expect("it is written");
    let note = remove_before(dir.path(), u64::MAX, "a test").expect("the disk works");
    assert!(note.is_some_and(|note| note.last > 1 && note.last + 1 < next));

    let (journal, recovery) = Journal::open(dir.path(), &Options::default()).expect("it opens");
    assert_eq!(recovery.abandoned, [id(1_001)]);
    journal.close().expect("the disk works");
    verify(dir.path()).expect("it is sound");
}

#[test]
fn a_torn_line_is_moved_aside_and_a_damaged_one_stops_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    fill(&open(dir.path(), 64 << 20), 5);
    let segment = dir.path().join("00000000000000000001.jsonl");
    let whole = std::fs::read(&segment).expect("it is there");
    let torn = b"{\"v\":1,\"seq\":13,\"kind\":\"op";
    std::fs::write(&segment, [&whole, torn.as_slice()].concat()).expect("it is written");
    let ending = verify(dir.path()).expect("it is sound").ending;
    assert_eq!(ending, Ending::Torn { bytes: torn.len() as u64 });

    let (journal, recovery) =
        Journal::open(dir.path(), &Options::default()).expect("the journal opens");
    assert_eq!(recovery.torn_bytes, torn.len() as u64);
    let aside = recovery.torn_file.expect("it names the file");
    assert_eq!(std::fs::read(aside).expect("it is there"), torn);
    journal.close().expect("the disk works");
    verify(dir.path()).expect("it is sound");

    let mut bytes = std::fs::read(&segment).expect("it is there");
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    std::fs::write(&segment, &bytes).expect("it is written");
    let error = Journal::open(dir.path(), &Options::default()).map(drop);
    let error = error.expect_err("it is damaged").to_string();
    assert!(error.contains("portcullis audit verify"), "{error}");
    assert_eq!(std::fs::read(&segment).expect("it is there"), bytes, "nothing was changed");
}

#[test]
fn the_order_of_records_is_held_and_the_journal_stays_sound() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 64 << 20);
    let misuse = |result: Result<(), JournalError>| match result {
        Err(JournalError::Misuse { misuse, .. }) => Some(misuse),
        _ => None,
    };
    let close = |number| wait(journal.append_closed(&closed(number)).durable());
    assert_eq!(misuse(close(1)), Some(Misuse::NotOpen));
    let open = || wait(journal.append_opened(&opened(1)).durable());
    assert_eq!(misuse(open()), None);
    assert_eq!(misuse(open()), Some(Misuse::OpenedTwice));
    assert_eq!(misuse(close(1)), None);
    assert_eq!(misuse(close(1)), Some(Misuse::ClosedTwice));
    assert_eq!(misuse(open()), Some(Misuse::Reused));
    journal.health().expect("misuse does not end the journal");
    journal.close().expect("the disk works");
    let report = verify(dir.path()).expect("it is sound");
    assert_eq!((report.opened, report.closed), (1, 1));
}

#[test]
fn a_full_queue_turns_requests_away_before_decisions() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { queue_bytes: 4_000, ..Options::default() };
    let (journal, _) = Journal::open(dir.path(), &options).expect("the journal opens");
    let mut open = Vec::new();
    let mut refused = 0;
    for number in 1..=20_000 {
        open.push((number, journal.append_opened(&opened(number))));
    }
    for (number, mut receipt) in open {
        match wait(receipt.durable()) {
            Ok(()) => {
                wait(journal.append_closed(&closed(number)).written()).expect("it has room");
            }
            Err(JournalError::Overloaded) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    journal.health().expect("a full queue does not end the journal");
    journal.close().expect("the disk works");
    let report = verify(dir.path()).expect("it is sound");
    assert_eq!((report.opened, report.closed), (20_000 - refused, 20_000 - refused));
    assert!(refused > 0, "the queue was filled faster than the disk took it");
}

#[test]
fn many_tasks_append_at_once_and_each_record_is_there_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = std::sync::Arc::new(open(dir.path(), 200_000));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build();
    let runtime = runtime.expect("a runtime starts");
    let tasks = (0..64_u64).map(|task| {
        let journal = std::sync::Arc::clone(&journal);
        runtime.spawn(async move {
            for number in (task * 20)..(task * 20 + 20) {
                journal.append_opened(&opened(number)).durable().await?;
                journal.append_closed(&closed(number)).durable().await?;
            }
            Ok::<(), JournalError>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        runtime.block_on(task).expect("the task ends").expect("the disk works");
    }
    journal.close().expect("the disk works");
    let report = verify(dir.path()).expect("it is sound");
    assert_eq!((report.opened, report.closed, report.still_open), (1_280, 1_280, 0));
    let ids: BTreeSet<Uuid> = records(dir.path())
        .iter()
        .filter_map(
            |record| if let Record::Closed(record) = record { Some(record.id) } else { None },
        )
        .collect();
    assert_eq!(ids, (0..1_280).map(id).collect());
}
