//! Every system call of the audit path fails, one at a time, in a real process on a real disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use proxy_audit::{
    Anchor, Ending, Follower, Journal, Options, PublicKey, ReadError, Record, Trust, remove_before,
    verify, verify_with,
};
use uuid::Uuid;

use crate::journal::{fill, open};
use crate::strace::{self, Call, Strace};
use crate::support::{closed, id, opened, wait};

const DIR: &str = "PORTCULLIS_TEST_INJECT_DIR";
const JOB: &str = "PORTCULLIS_TEST_INJECT_JOB";
/// Set to make each call fail in each way; otherwise the first and the last of a kind do, and the ways take turns.
const ALL: &str = "PORTCULLIS_TEST_INJECT_ALL";
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EINTR"];
/// Small, so that a run goes through several segments.
const SEGMENT_BYTES: u64 = 6_000;
/// The requests that a run is about have numbers of their own.
const REQUESTS: std::ops::Range<u64> = 100..106;
/// No record has this number yet.
const LATER: u64 = 1_000_000;

/// What is done while a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// A new log is written.
    Begin,
    /// A log that ends in the middle of a line is gone on with.
    GoOn,
    /// The oldest segments are removed.
    Remove,
}

impl Job {
    /// The state of the folder before.
    fn prepare(self, dir: &Path) {
        if self == Self::Begin {
            return;
        }
        let log = dir.join("log");
        let journal = open(&log, SEGMENT_BYTES);
        fill(&journal, 12);
        journal.close().expect("the disk works");
        if self == Self::GoOn {
            let last = Follower::last(&log, 1).expect("there is a journal").place().segment;
            let mut segment = fs::OpenOptions::new();
            let segment = segment.append(true).open(log.join(format!("{last:020}.jsonl")));
            segment.and_then(|mut file| file.write_all(b"{\"v\":1,")).expect("it is written");
        }
    }

    /// It ends at the first failure, as a proxy would stop serving.
    fn run(self, dir: &Path) {
        let (log, anchor) = (dir.join("log"), Some(dir.join("anchors")));
        if self == Self::Remove {
            drop(remove_before(&log, LATER, "a test"));
            return;
        }
        let options = Options { segment_bytes: SEGMENT_BYTES, anchor, ..Options::default() };
        let Ok((journal, _)) = Journal::open(&log, &options) else { return };
        for number in REQUESTS {
            if wait(journal.append_opened(&opened(number)).written()).is_err() {
                break;
            }
            if wait(journal.append_closed(&closed(number)).durable()).is_err() {
                break;
            }
            println!("acknowledged {number}");
            if number + 1 == REQUESTS.end {
                // It may fail while it is closed.
                drop(journal.close());
                return;
            }
        }
        assert!(journal.health().is_err(), "a journal that lost a record says so");
    }
}

/// Not a test of its own: what runs while a call fails.
#[test]
fn child() {
    let (Ok(dir), Ok(job)) = (std::env::var(DIR), std::env::var(JOB)) else { return };
    let jobs = [Job::Begin, Job::GoOn, Job::Remove];
    let job = jobs.into_iter().find(|known| format!("{known:?}") == job).expect("it is a job");
    job.run(Path::new(&dir));
}

/// Runs a child below `command`; what it said.
fn run(mut command: Command, dir: &Path, job: Job) -> String {
    command.arg(std::env::current_exe().expect("it has a path"));
    command.args(["--exact", "inject::child", "--nocapture", "--test-threads", "1"]);
    command.env(DIR, dir).env(JOB, format!("{job:?}"));
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
    said
}

/// The requests of which a child said that their end is durable.
fn acknowledged(said: &str) -> BTreeSet<Uuid> {
    let numbers = said.lines().filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse().ok());
    numbers.map(id).collect()
}

fn closed_in(log: &Path) -> BTreeSet<Uuid> {
    let entries =
        Follower::first(log).expect("there is a journal").map(|entry| entry.expect("sound"));
    let closed = entries.filter_map(|entry| match entry.record {
        Record::Closed(closed) => Some(closed.id),
        _ => None,
    });
    closed.collect()
}

/// Everything that must hold of the folder that a child left.
fn check(dir: &Path, job: Job, acknowledged: &BTreeSet<Uuid>, place: &str) {
    let log = dir.join("log");
    match verify(&log) {
        Ok(_) | Err(ReadError::NoJournal { .. }) => {}
        Err(ReadError::Io { .. }) if !log.exists() => {}
        Err(error) => panic!("{place}: {error}"),
    }
    let journal = Journal::open(&log, &Options::default());
    let (journal, _) = journal.unwrap_or_else(|error| panic!("{place}: {error}"));
    journal.close().expect("the disk works");
    if job == Job::Remove {
        // What was interrupted is done now.
        let removed = remove_before(&log, LATER, "a test");
        removed.unwrap_or_else(|error| panic!("{place}: {error}"));
    }

    let noted = fs::read_to_string(dir.join("anchors")).unwrap_or_default();
    let anchors = Anchor::all(&noted).unwrap_or_else(|error| panic!("{place}: {error}"));
    let key = fs::read_to_string(log.join("journal.pub")).expect("it is there");
    let key: PublicKey = key.parse().expect("it is a key");
    let report = verify_with(&log, &Trust { keys: vec![key], anchors })
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!((report.ending, report.still_open), (Ending::Sealed, 0), "{place}");
    assert!(acknowledged.is_subset(&closed_in(&log)), "{place}: acknowledged and gone");
}

/// The calls that a job makes, found by watching it once.
fn calls(strace: &Strace, job: Job) -> Vec<Call> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    job.prepare(dir.path());
    let trace = dir.path().join("trace");
    let said = run(strace.watching(&trace), dir.path(), job);
    let all = if job == Job::Remove { 0 } else { REQUESTS.count() };
    assert_eq!(acknowledged(&said).len(), all, "without a failure it does its work");
    check(dir.path(), job, &acknowledged(&said), "without a failure");
    let root = dir.path().canonicalize().expect("it is there");
    let calls = strace::calls(&trace, &root);
    if std::env::var_os(ALL).is_some() { calls } else { strace::ends(&calls) }
}

#[test]
fn no_failing_call_harms_the_log_or_loses_what_was_acknowledged() {
    let Some(strace) = Strace::find() else { return };
    let (mut runs, mut failed, mut stopped) = (0, 0, 0);
    let mut names = BTreeSet::new();
    for job in [Job::Begin, Job::GoOn, Job::Remove] {
        for (index, call) in calls(&strace, job).iter().enumerate() {
            let all = std::env::var_os(ALL).is_some();
            let turn =
                |(way, _): &(usize, &&str)| all || way % ERRORS.len() == index % ERRORS.len();
            for (_, error) in ERRORS.iter().enumerate().filter(turn) {
                let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
                let root = dir.path().canonicalize().expect("it is there");
                job.prepare(&root);
                let trace = root.join("trace");
                let said = run(strace.failing(&trace, (&root, call, error)), &root, job);
                let acknowledged = acknowledged(&said);
                check(&root, job, &acknowledged, &format!("{job:?}, {call:?}, {error}"));
                runs += 1;
                failed += u64::from(strace::has_failed(&trace));
                stopped += u64::from(job != Job::Remove && acknowledged.len() < REQUESTS.count());
                names.insert(call.name.clone());
            }
        }
    }
    println!("{runs} runs, {failed} failures, {stopped} stopped the log; calls: {names:?}");
    assert!(runs > 60 && failed * 10 > runs * 9, "{runs} runs, {failed} failures");
    assert!(stopped * 4 > runs, "failures are noticed: {stopped} of {runs}");
    for name in ["openat", "write", "fdatasync", "fsync", "ftruncate", "flock", "unlink", "mkdir"] {
        assert!(names.contains(name), "no `{name}` among {names:?}");
    }
}

/// Where a file may not grow beyond a limit, a write takes a part of its bytes before one fails: a full disk, at any byte.
#[test]
fn a_disk_that_is_full_at_any_byte_harms_nothing() {
    let step = if std::env::var_os(ALL).is_some() { 1 } else { 211 };
    let mut stopped = 0;
    for limit in (1..9_000).step_by(step) {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let mut command = Command::new("bash");
        let limited = format!("trap '' XFSZ; exec prlimit --fsize={limit} \"$@\"");
        command.args(["-c", &limited, "bash"]);
        let acknowledged = acknowledged(&run(command, dir.path(), Job::Begin));
        check(dir.path(), Job::Begin, &acknowledged, &format!("full at byte {limit}"));
        stopped += u64::from(acknowledged.len() < REQUESTS.count());
    }
    assert!(stopped > 20, "the disk was full: {stopped}");
}
