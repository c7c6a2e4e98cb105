//! A verifier in another language, written from the format's description, agrees with ours.

use std::path::Path;
use std::process::{Command, Output};

use jiff::{SignedDuration, Timestamp};
use proxy_audit::{Closed, Journal, Opened, Options, Trust, verify, verify_with};

use crate::journal::{fill, open};
use crate::support::{closed, opened, released, wait};

/// Names an interpreter with the packages `blake3` and `cryptography`.
const PYTHON: &str = "PORTCULLIS_TEST_PYTHON";

fn python() -> String {
    std::env::var(PYTHON).unwrap_or_else(|_| "python3".into())
}

/// Runs it on `dir`, with the key and the notes elsewhere that it is given.
fn run_with(dir: &Path, trusted: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    Command::new(python()).arg(script).arg(dir).args(trusted).output().expect("python starts")
}

fn run(dir: &Path) -> Output {
    run_with(dir, &[])
}

/// Whether there is an interpreter that can run it. Where one was named, it must.
fn can_run() -> bool {
    let probe = Command::new(python()).args(["-c", "import blake3, cryptography"]).output();
    let can = probe.as_ref().is_ok_and(|output| output.status.success());
    assert!(can || std::env::var_os(PYTHON).is_none(), "{}: {probe:?}", python());
    if !can {
        println!(
            "SKIPPED: no python3 with the packages `blake3` and `cryptography` (set {PYTHON})"
        );
    }
    can
}

#[test]
fn a_second_verifier_agrees() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let journal = open(dir.path(), 20_000);
    let mut odd = opened(9_000);
    odd.route = "/\u{2028}é😀\u{7f}\"\\".into();
    drop(journal.append_opened(&odd));
    drop(journal.append_released(&released(9_000)));
    fill(&journal, 200);
    journal.close().expect("the disk works");
    drop(open(dir.path(), 20_000));

    let report = verify(dir.path()).expect("it is sound");
    let output = run(dir.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let expected = format!(
        "sound: {} records in {} segments, {} opened, {} closed, {} abandoned, {} still open, sealed, head {}",
        report.records,
        report.segments,
        report.opened,
        report.closed,
        report.abandoned,
        report.still_open,
        report.head,
    );
    assert_eq!(said.trim(), expected);

    // Both see the same: a bit that was turned, a signature that is gone, a segment that is gone.
    let segment = dir.path().join("00000000000000000001.jsonl");
    let bytes = std::fs::read(&segment).expect("it is there");
    let mut turned = bytes.clone();
    turned[5_000] ^= 1;
    let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    for edited in [Some(turned), Some(bytes[..last].to_vec()), None] {
        match &edited {
            Some(bytes) => std::fs::write(&segment, bytes).expect("it is written"),
            None => std::fs::remove_file(&segment).expect("it is removed"),
        }
        assert!(!run(dir.path()).status.success() && verify(dir.path()).is_err());
    }
    std::fs::write(&segment, &bytes).expect("it is written");

    // And both accept what was removed with a note.
    let removed = proxy_audit::remove_before(dir.path(), 100, "a test").expect("the disk works");
    assert!(removed.is_some_and(|note| note.last < 100));
    let report = verify(dir.path()).expect("it is sound");
    assert!(report.removed > 0 && !segment.exists());
    let output = run(dir.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("sound: {} records", report.records)), "{said}");
    // But not what comes back by itself, without the segments behind it.
    std::fs::write(&segment, &bytes).expect("it is written");
    assert!(!run(dir.path()).status.success() && verify(dir.path()).is_err());
    std::fs::remove_file(&segment).expect("it is removed");
    let note = dir.path().join("removed.jsonl");
    let text = std::fs::read_to_string(&note).expect("it is there");
    std::fs::write(&note, text.replace("a test", "no test")).expect("it is written");
    assert!(!run(dir.path()).status.success() && verify(dir.path()).is_err());
}

#[test]
fn both_hold_a_log_against_a_key_and_notes_elsewhere() {
    if !can_run() {
        return;
    }
    let [dir, other, notes] = [0; 3].map(|_| tempfile::tempdir().expect("a directory"));
    let anchor = notes.path().join("anchors");
    let options =
        Options { segment_bytes: 12_000, anchor: Some(anchor.clone()), ..Options::default() };
    let (journal, _) = Journal::open(dir.path(), &options).expect("the journal opens");
    for number in 1..=20_u32 {
        let time = Timestamp::now() + SignedDuration::from_mins(number.into());
        drop(journal.append_opened(&Opened { time, ..opened(number.into()) }));
        let end = Closed { time, ..closed(number.into()) };
        wait(journal.append_closed(&end).durable()).expect("the disk works");
    }
    journal.close().expect("the disk works");
    drop(open(other.path(), 12_000));
    let key = |dir: &Path| std::fs::read_to_string(dir.join("journal.pub")).expect("it is there");
    let (own, others) = (key(dir.path()), key(other.path()));
    let noted = || {
        let text = std::fs::read_to_string(&anchor).expect("it is there");
        text.lines().map(|line| line.parse().expect("it is one")).collect()
    };
    let ours = |key: &str, anchors| {
        let trust = Trust { keys: vec![key.parse().expect("it is a key")], anchors };
        verify_with(dir.path(), &trust).is_ok()
    };
    let both = |key: &str, expected: bool, with_notes: bool| {
        let (file, notes) =
            (anchor.display().to_string(), if with_notes { noted() } else { vec![] });
        let trusted = if with_notes { vec![key.trim(), &file] } else { vec![key.trim()] };
        let said = run_with(dir.path(), &trusted);
        let said = (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned());
        assert_eq!((said.0, ours(key, notes)), (expected, expected), "{}", said.1);
    };
    for with_notes in [false, true] {
        both(&own, true, with_notes);
        both(&others, false, with_notes);
    }
    // The end is cut right behind a checkpoint: only who has the note can tell. Behind another record, the key says it.
    let last = std::fs::read_dir(dir.path()).expect("it is there").flatten();
    let last =
        last.map(|file| file.path()).filter(|path| path.to_string_lossy().ends_with(".jsonl"));
    let last = last.max().expect("there is a segment");
    let text = std::fs::read_to_string(&last).expect("it is there");
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    std::fs::write(&last, &text[..ends[1]]).expect("it is written");
    both(&own, true, false);
    both(&own, false, true);
    std::fs::write(&last, &text[..ends[2]]).expect("it is written");
    both(&own, false, false);
}
