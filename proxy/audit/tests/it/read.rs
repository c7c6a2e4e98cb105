//! Reading back: the end of the log, following it, and every decision.

use proxy_audit::{
    Action, ByCategory, Entry, Follower, Outcome, Problem, ReadError, Record, decisions, tail,
    verify,
};

use crate::journal::{fill, open};
use crate::support::{closed, opened, wait};

#[test]
fn tail_gives_the_last_records_over_all_segments() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(tail(dir.path(), 5), Err(ReadError::NoJournal { .. })));
    let journal = open(dir.path(), 10_000);
    fill(&journal, 200);
    // Or it would go on to sign.
    journal.close().expect("the disk works");
    let total = verify(dir.path()).expect("it is sound").records;
    for count in [0, 1, 2, 7, 100, total - 1, total, total + 1, u64::MAX] {
        let entries = tail(dir.path(), count).expect("it is sound");
        let first = total.saturating_sub(count) + 1;
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, (first..=total).collect::<Vec<_>>(), "the last {count}");
    }
}

#[test]
fn a_follower_sees_what_is_written_later_also_in_later_segments() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 5_000);
    let mut follower = Follower::last(dir.path(), 0).expect("there is a journal");
    assert!(follower.next().is_none());
    // The start and its signature.
    let mut seen = 2;
    for number in 1..=40 {
        drop(journal.append_opened(&opened(number)));
        wait(journal.append_closed(&closed(number)).written()).expect("the disk works");
        for entry in follower.by_ref() {
            seen += 1;
            assert_eq!(entry.expect("it is sound").seq, seen);
        }
    }
    journal.close().expect("the disk works");
    let last = follower.next().expect("the seal").expect("it is sound");
    assert!(matches!(last.record, Record::Sealed(_)));
    let last = follower.next().expect("its signature").expect("it is sound");
    assert!(matches!(last.record, Record::Checkpoint(_)));
    assert_eq!(last.hash, verify(dir.path()).expect("it is sound").head);
}

#[test]
fn decisions_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 5_000);
    for number in 1..=40 {
        let mut closed = closed(number);
        closed.profile = Some("kids".into());
        closed.key_name = Some("kids-\"tablet\"".into());
        if let Some(input) = &mut closed.input {
            input.would = Some(Action::Block);
            input.languages = vec!["de".into()];
            input.checks[0].tools = [("hate".into(), f32::NAN)].into_iter().collect();
            input.checks[0].dialogue = ByCategory::default();
        }
        drop(journal.append_opened(&opened(number)));
        wait(journal.append_closed(&closed).written()).expect("the disk works");
    }
    journal.close().expect("the disk works");
    let mut seen = 0;
    let count = decisions(dir.path(), |decided| {
        seen += 1;
        let expected = closed(seen);
        assert_eq!(
            (decided.id, decided.model.as_deref()),
            (expected.id, expected.model.as_deref())
        );
        assert_eq!(decided.profile.as_deref(), Some("kids"));
        assert_eq!(decided.key_name.as_deref(), Some("kids-\"tablet\""));
        let origin = decided.origin.as_ref().expect("it was opened");
        assert_eq!(origin.key.as_deref(), opened(seen).key.as_deref());
        let (input, written) = (decided.input.as_ref(), expected.input.expect("a decision"));
        let input = input.expect("a decision");
        assert_eq!((input.would, input.languages.join(",").as_str()), (Some(Action::Block), "de"));
        for (check, written) in input.checks.iter().zip(&written.checks) {
            assert_eq!(
                (check.name.as_ref(), check.status),
                (written.name.as_ref(), written.status)
            );
            assert_eq!(check.scores.0.len(), written.scores.len());
            for (name, score) in &check.scores.0 {
                assert_eq!(written.scores.get(name), Some(score), "{name}");
            }
            assert_eq!(check.spans[0].category, written.spans[0].category);
        }
        assert!(input.checks[0].tools.0[0].1.is_nan() && input.checks[0].dialogue.0.is_empty());
    });
    assert_eq!((count.expect("it is sound"), seen), (40, 40));
}

/// A line as a later version might write it, with a sound hash.
fn framed(body: &str) -> Vec<u8> {
    let prev = "0".repeat(64);
    let hashed = format!("{{\"v\":1,\"seq\":9,{body},\"prev\":\"b3:{prev}\"");
    let hash = blake3::hash(hashed.as_bytes());
    format!("{hashed},\"hash\":\"b3:{hash}\"}}").into_bytes()
}

#[test]
fn fields_words_and_kinds_of_a_later_version_are_passed_over() {
    let line = framed(r#""kind":"postscript","signature":"abc""#);
    let entry = Entry::from_line(&line).expect("it is sound");
    assert_eq!(entry.record, Record::Unknown { kind: "postscript".into() });

    let line = framed(
        r#""kind":"closed","id":"0198a000-0000-7000-8000-000000000001","time":"2026-11-22T06:03:28.112Z","outcome":"deferred","status":200,"stream":false,"mode":"enforce","text":{"kept":true},"read":{"passages":1,"bytes":2,"pages":3},"released_bytes":0,"timing_ms":{"total":1,"guard_input":0,"upstream":0,"guard_output":0}"#,
    );
    let Record::Closed(closed) = Entry::from_line(&line).expect("it is sound").record else {
        panic!("it is a close");
    };
    assert_eq!((closed.outcome, closed.read.passages), (Outcome::Other, 1));

    let mut changed = framed(r#""kind":"checkpoint""#);
    changed[20] ^= 1;
    assert_eq!(Entry::from_line(&changed), Err(Problem::Changed));
    assert!(matches!(Entry::from_line(&framed("\"kind\"")), Err(Problem::Unreadable { .. })));
}
