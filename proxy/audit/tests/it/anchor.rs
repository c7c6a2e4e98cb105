//! Notes of checkpoints elsewhere.

use std::process::Command;
use std::time::{Duration, Instant};

use proxy_audit::{Anchor, Journal, JournalError, Options};

use crate::journal::fill;

fn options(anchor: &std::path::Path) -> Options {
    Options { anchor: Some(anchor.into()), ..Options::default() }
}

#[test]
fn a_pipe_is_refused_and_one_that_comes_later_keeps_nobody_waiting() {
    let [dir, elsewhere] = [0; 2].map(|_| tempfile::tempdir().expect("a directory"));
    let (file, pipe) = (elsewhere.path().join("notes"), elsewhere.path().join("pipe"));
    let made = Command::new("mkfifo").arg(&pipe).status().expect("it starts");
    assert!(made.success());
    let opened = Journal::open(dir.path(), &options(&pipe)).map(drop);
    assert!(matches!(opened, Err(JournalError::Directory { .. })), "{opened:?}");

    let (journal, _) = Journal::open(dir.path(), &options(&file)).expect("the journal opens");
    fill(&journal, 2);
    let noted = |text: String| text.lines().filter(|line| line.parse::<Anchor>().is_ok()).count();
    let until = Instant::now() + Duration::from_secs(10);
    while std::fs::read_to_string(&file).is_ok_and(|text| text.is_empty()) {
        assert!(Instant::now() < until, "a start is noted");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Somebody puts a pipe there that nobody reads.
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::rename(&pipe, &file).expect("it is moved");
    assert_eq!(noted(text), 1);
    let start = Instant::now();
    journal.close().expect("the log itself is sound");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let stats = journal.stats();
    assert_eq!((stats.anchored, stats.not_anchored), (1, 1));
}
