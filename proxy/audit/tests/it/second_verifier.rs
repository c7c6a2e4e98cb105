//! A verifier in another language, written from the format's description, agrees with ours.

use std::path::Path;
use std::process::{Command, Output};

use proxy_audit::verify;

use crate::journal::{fill, open};
use crate::support::{opened, released};

/// The interpreter; one with the packages `blake3` and `cryptography` can be named instead.
fn python() -> String {
    std::env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

fn run(dir: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    Command::new(python()).arg(script).arg(dir).output().expect("python starts")
}

#[test]
fn a_second_verifier_agrees() {
    let probe = Command::new(python()).args(["-c", "import blake3, cryptography"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED: no python3 with the packages `blake3` and `cryptography` (set PORTCULLIS_TEST_PYTHON)"
        );
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
    std::fs::write(&segment, bytes).expect("it is written");

    // And both accept what was removed with a note.
    let removed = proxy_audit::remove_before(dir.path(), 100, "a test").expect("the disk works");
    assert!(removed.is_some_and(|note| note.last < 100));
    let report = verify(dir.path()).expect("it is sound");
    assert!(report.removed > 0 && !segment.exists());
    let output = run(dir.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("sound: {} records", report.records)), "{said}");
    let note = dir.path().join("removed.jsonl");
    let text = std::fs::read_to_string(&note).expect("it is there");
    std::fs::write(&note, text.replace("a test", "no test")).expect("it is written");
    assert!(!run(dir.path()).status.success() && verify(dir.path()).is_err());
}
