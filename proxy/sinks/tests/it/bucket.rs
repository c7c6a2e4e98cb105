//! What the object store has counts: it is compared, never replaced, and found again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proxy_audit::{Journal, Options, files, remove_before, verify};
use proxy_sinks::{Sink, SinkError, unsent};

use crate::bucket_faults::{block_on, bucket, folder, log, whole};
use crate::log::{count, journal, write};
use crate::s3::Server;

/// Of the first segment.
const PARTS: &str = "/tail/00000000000000000001/";
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends all of a closed log; the metrics then.
fn send(server: &Server, to: &str, dir: &Path, own: &Path) -> (bool, impl Fn(&mut String) + use<>) {
    let journal = Arc::new(Journal::open(dir, &Options::default()).unwrap().0);
    journal.close().unwrap();
    let sink = Sink::start(dir, journal, bucket(server.address, to, own)).unwrap();
    let metrics = Sink::metrics(std::slice::from_ref(&sink));
    (block_on(sink.finish(PATIENCE)), metrics)
}

fn records(metrics: &impl Fn(&mut String), result: &str) -> u64 {
    count(
        metrics,
        &format!("guard_sink_records_total{{sink=\"object_store\",result=\"{result}\"}}"),
    )
}

#[test]
fn what_is_there_is_compared_and_never_replaced() {
    let Some(server) = Server::start() else { return };
    let (dir, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let position = dir.path().join("sink-object_store.position");
    // A segment of several parts, and small ones behind it.
    let options = Options { segment_bytes: 17 << 20, ..Options::default() };
    let journal = Journal::open(dir.path(), &options).unwrap().0;
    while files::segments(dir.path()).unwrap().len() < 2 {
        (0..100).for_each(|_| write(&journal, 16_000));
        thread::sleep(Duration::from_millis(2));
    }
    journal.close().unwrap();
    let small = self::journal(dir.path());
    while files::segments(dir.path()).unwrap().len() < 5 {
        (0..10).for_each(|_| write(&small, 3000));
        thread::sleep(Duration::from_millis(2));
    }
    small.close().unwrap();
    let segments = files::segments(dir.path()).unwrap().len() as u64;

    let (all, metrics) = send(&server, "a", dir.path(), own.path());
    assert!(all);
    let whole = whole(dir.path(), "a");
    let live = files::segments(dir.path()).unwrap().pop().unwrap();
    assert!(*whole.values().next().unwrap() > 17 << 20);
    assert_eq!(records(&metrics, "sent"), live.first - 1);
    let there = server.objects();
    assert!(whole.iter().all(|(key, bytes)| there.get(key) == Some(bytes)), "{there:?}");
    assert_eq!(unsent(dir.path()).unwrap().unwrap().first, live.first, "the last one is not whole");

    // Nobody remembers what was sent: it is compared, and not sent again.
    std::fs::remove_file(&position).unwrap();
    let (all, metrics) = send(&server, "a", dir.path(), own.path());
    assert!(all);
    assert_eq!((records(&metrics, "sent"), records(&metrics, "known")), (0, live.first - 1));

    // One is gone from the store: it is sent again, also if all were sent.
    let (last, _) = whole.last_key_value().unwrap();
    server.remove(last);
    assert!(send(&server, "a", dir.path(), own.path()).0);
    assert_eq!(server.objects().get(last), whole.get(last));

    // Something else is in the place of one, of the same length: nothing goes on behind it, and it stays.
    let false_one = vec![b'x'; usize::try_from(whole[last]).unwrap()];
    server.put(last, &false_one);
    std::fs::remove_file(&position).unwrap();
    let (all, metrics) = send(&server, "a", dir.path(), own.path());
    assert!(!all && count(&metrics, "guard_sink_failures_total{sink=\"object_store\"}") > 0);
    assert_eq!(server.get(last).as_bytes(), false_one);
    let first: u64 = files::first(last.rsplit('/').next().unwrap()).unwrap();
    assert_eq!(unsent(dir.path()).unwrap().unwrap().first, first, "it is kept here");
    server.remove(last);
    assert!(send(&server, "a", dir.path(), own.path()).0);

    let copy = tempfile::tempdir().unwrap();
    let from = bucket(server.address, "a", own.path());
    let mut told = Vec::new();
    let fetched = block_on(from.fetch(None, copy.path(), &mut |done, all| told.push((done, all))));
    let fetched = fetched.unwrap();
    assert_eq!((fetched.segments, fetched.known), (segments, 0));
    assert_eq!(told.last(), Some(&(fetched.bytes, fetched.bytes)));
    assert!(told.len() > 5 && told.is_sorted(), "{}", told.len());
    assert!(log(copy.path()) == log(dir.path()));
    let again = block_on(from.fetch(None, copy.path(), &mut |_, _| {})).unwrap();
    assert_eq!(again.known, segments);
    // A guard's own folder is not written over.
    let refused = block_on(from.fetch(None, dir.path(), &mut |_, _| {}));
    assert!(matches!(refused, Err(SinkError::Taken { .. })), "{refused:?}");
}

#[test]
fn logs_do_not_meet_and_what_was_removed_before_is_accounted_for() {
    let Some(server) = Server::start() else { return };
    let own = tempfile::tempdir().unwrap();
    let logs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    for dir in &logs {
        let log = journal(dir.path());
        for _ in 0..200 {
            (0..10).for_each(|_| write(&log, 300));
            thread::sleep(Duration::from_millis(1));
        }
        log.close().unwrap();
    }
    // Of one the beginning is gone before anything is copied.
    let second = files::segments(logs[1].path()).unwrap()[2].first;
    remove_before(logs[1].path(), second, "a test").unwrap().unwrap();
    let from = bucket(server.address, "b/c", own.path());
    let nothing = block_on(from.fetch(None, own.path(), &mut |_, _| {})).unwrap_err();
    assert!(nothing.to_string().contains("there is no log in s3://"), "{nothing}");
    for dir in &logs {
        assert!(send(&server, "b/c", dir.path(), own.path()).0);
    }
    let several = block_on(from.fetch(None, own.path(), &mut |_, _| {})).unwrap_err().to_string();
    for dir in &logs {
        let (key, copy) = (folder(dir.path()), tempfile::tempdir().unwrap());
        assert!(several.contains(&format!("ed25519:{key}")), "{several}");
        let key = format!("ed25519:{key}");
        block_on(from.fetch(Some(&key), copy.path(), &mut |_, _| {})).unwrap();
        assert!(log(copy.path()) == log(dir.path()));
        assert_eq!(verify(copy.path()).unwrap(), verify(dir.path()).unwrap());
    }
    assert!(verify(logs[1].path()).unwrap().removed > 0);
    let other = block_on(from.fetch(Some("ed25519:00"), own.path(), &mut |_, _| {})).unwrap_err();
    assert!(other.to_string().contains("that log is not in s3://"), "{other}");
}

/// What is written goes up in parts before its segment is whole, and the parts go when it is.
#[test]
fn the_end_of_the_log_is_there_before_its_segment_is_whole() {
    let Some(server) = Server::start() else { return };
    let (dir, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = journal(dir.path());
    let to = bucket(server.address, "d", own.path());
    let sink = Sink::start(dir.path(), Arc::clone(&log), to).unwrap();
    let started = Instant::now();
    let parts = || server.objects().keys().filter(|key| key.contains("/tail/")).count();
    while parts() < 2 {
        write(&log, 300);
        thread::sleep(Duration::from_millis(20));
        assert!(started.elapsed() < PATIENCE);
    }
    // The machine is lost now.
    let copy = tempfile::tempdir().unwrap();
    let from = bucket(server.address, "d", own.path());
    block_on(from.fetch(None, copy.path(), &mut |_, _| {})).unwrap();
    let saved = verify(copy.path()).unwrap();
    assert!(saved.segments == 1 && saved.acts > 0, "{saved:?}");
    while whole(dir.path(), "d").is_empty() {
        (0..10).for_each(|_| write(&log, 3000));
        thread::sleep(Duration::from_millis(5));
    }
    let (first, _) = whole(dir.path(), "d").pop_first().unwrap();
    let parts = |there: &BTreeMap<String, u64>| there.keys().any(|key| key.contains(PARTS));
    loop {
        let there = server.objects();
        if there.contains_key(&first) && !parts(&there) {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{there:?}");
        thread::sleep(Duration::from_millis(50));
    }
    drop(sink);
}
