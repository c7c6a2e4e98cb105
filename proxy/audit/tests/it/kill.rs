//! A process that is killed while it writes, again and again, on the same journal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_audit::{Ending, Follower, Journal, Options, Record, verify};
use uuid::Uuid;

use crate::support::{closed, id, opened};

const DIR: &str = "PORTCULLIS_TEST_KILL_DIR";
const BASE: &str = "PORTCULLIS_TEST_KILL_BASE";
/// Kills of a usual run; the environment variable asks for more.
const ROUNDS: u64 = 15;
const MORE_ROUNDS: &str = "PORTCULLIS_TEST_KILLS";
/// Each round reads the whole journal: thousands on one would be spent reading.
const ROUNDS_PER_JOURNAL: usize = 50;
/// Each round uses its own ids.
const ROUND_SPAN: u64 = 1_000_000;
const OPTIONS: Options = Options { segment_bytes: 150_000, queue_bytes: 4 << 20, anchor: None };

/// Not a test of its own: what the killed process runs. It appends under load and prints every
/// acknowledged record, half of them once written and half once durable.
#[test]
fn child() {
    let (Ok(dir), Ok(base)) = (std::env::var(DIR), std::env::var(BASE)) else { return };
    let base: u64 = base.parse().expect("a number");
    let (journal, _) = Journal::open(Path::new(&dir), &OPTIONS).expect("the journal opens");
    let journal = Arc::new(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime starts");
    let tasks: Vec<_> = (0..24)
        .map(|task| runtime.spawn(load(Arc::clone(&journal), base + task, task % 2 == 0)))
        .collect();
    for task in tasks {
        runtime.block_on(task).expect("the task runs until it is killed");
    }
}

async fn load(journal: Arc<Journal>, mut number: u64, durable: bool) {
    loop {
        let mut open = journal.append_opened(&opened(number));
        if durable { open.durable().await } else { open.written().await }.expect("the disk works");
        say("opened", number);
        // Some requests are never closed, as in a proxy that is killed.
        if !number.is_multiple_of(7) {
            let mut close = journal.append_closed(&closed(number));
            if durable { close.durable().await } else { close.written().await }
                .expect("the disk works");
            say("closed", number);
        }
        number += 24;
    }
}

/// One write per line, so that a kill leaves at most the last line unfinished.
fn say(kind: &str, number: u64) {
    let line = format!("acked {kind} {number}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
}

fn spawn(dir: &Path, base: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("it has a path"));
    command.args(["--exact", "kill::child", "--nocapture", "--test-threads", "1"]);
    command.env(DIR, dir).env(BASE, base.to_string());
    command.stdout(Stdio::piped()).spawn().expect("the child starts")
}

/// Runs a child, kills it `after` its first acknowledgement, and returns what it acknowledged.
fn killed(dir: &Path, base: u64, after: Duration) -> Vec<(String, Uuid)> {
    let mut child = spawn(dir, base);
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut acked = Vec::new();
    let mut deadline = None;
    let mut line = String::new();
    while output.read_line(&mut line).expect("it is text") > 0 {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let (["acked", kind, number], true) = (words.as_slice(), line.ends_with('\n')) {
            acked.push(((*kind).to_owned(), id(number.parse().expect("a number"))));
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + after);
            if Instant::now() >= deadline {
                child.kill().expect("it is killed");
            }
        }
        line.clear();
    }
    child.wait().expect("it has ended");
    acked
}

fn count(dir: &Path) -> BTreeMap<(String, Uuid), u64> {
    let mut counts = BTreeMap::new();
    for entry in Follower::first(dir).expect("there is a journal") {
        let key = match entry.expect("it is sound").record {
            Record::Opened(record) => ("opened".to_owned(), record.id),
            Record::Closed(record) => ("closed".to_owned(), record.id),
            Record::Abandoned(record) => ("abandoned".to_owned(), record.id),
            _ => continue,
        };
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let rounds = std::env::var(MORE_ROUNDS).ok().and_then(|rounds| rounds.parse().ok());
    let rounds: Vec<u64> = (1..=rounds.unwrap_or(ROUNDS)).collect();
    let acked: usize = rounds.chunks(ROUNDS_PER_JOURNAL).map(journal_of_many_kills).sum();
    assert!(acked > 1_000, "the children did work: {acked}");
}

/// Kills one process after another on a journal, and returns how many records they acknowledged.
fn journal_of_many_kills(rounds: &[u64]) -> usize {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut acked = Vec::new();
    for round in rounds {
        let after = Duration::from_millis(round * 37 % 120);
        acked.extend(killed(dir.path(), round * ROUND_SPAN, after));
        let found = verify(dir.path()).expect("a killed journal is sound");
        assert_ne!(found.ending, Ending::Sealed);

        let (journal, recovery) = Journal::open(dir.path(), &OPTIONS).expect("it opens again");
        assert_eq!(recovery.abandoned.len() as u64, found.still_open);
        journal.close().expect("the disk works");
        let report = verify(dir.path()).expect("it is sound");
        assert_eq!((report.still_open, report.ending), (0, Ending::Sealed));
    }
    let counts = count(dir.path());
    assert!(counts.values().all(|count| *count == 1), "no record is there twice");
    let lost: Vec<_> = acked.iter().filter(|key| !counts.contains_key(*key)).collect();
    assert!(lost.is_empty(), "lost {} of {}: {:?}", lost.len(), acked.len(), lost.first());
    acked.len()
}
