//! Durable decisions per second and what the log adds to each, for so many exchanges at once, with and without their
//! texts kept; beside one bare `fdatasync` on the same disk. Then the speed of the verifier, and how long a restart takes.
//!
//! `cargo bench -p proxy-audit`; `AUDIT_BENCH_DIR` names another disk, and `-- 64` runs with that many exchanges only.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops where it cannot measure"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy_audit::{Examined, Journal, Keep, Kept, Options, verify};

#[expect(dead_code, reason = "the benchmark needs a part of it")]
#[path = "../tests/it/support.rs"]
mod support;

const RUN: Duration = Duration::from_secs(4);
/// Bytes of a request's text, and of its answer's.
const TEXT_BYTES: usize = 1_024;
/// About a decision's records.
const SYNC_BYTES: usize = 2_048;

fn main() {
    // `cargo test --all-targets` runs this too, without the flag: there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let base = std::env::var_os("AUDIT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let mut counts: Vec<u64> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![1, 64, 512];
    }
    for at_once in counts {
        for keep in [Keep::None, Keep::Full] {
            let journal = dir.path().join(format!("{at_once}-{keep:?}"));
            let sync = bare_sync(dir.path());
            decide(&journal, (at_once, keep), sync);
            check(&journal);
        }
    }
}

/// One append and its `fdatasync`, as any journal must at least do: the median.
fn bare_sync(dir: &Path) -> Duration {
    let mut file = File::create(dir.join("bare")).expect("a file");
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            file.write_all(&[b'x'; SYNC_BYTES]).expect("the disk works");
            let start = Instant::now();
            file.sync_data().expect("the disk works");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("bare fdatasync: median {:?}, 99 % {:?}", times[150], times[297]);
    times[150]
}

fn decide(dir: &Path, (at_once, keep): (u64, Keep), sync: Duration) {
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the journal opens");
    let journal = Arc::new(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime starts");
    let (start, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..at_once)
        .map(|number| {
            let journal = Arc::clone(&journal);
            runtime
                .spawn(async move { exchanges(&journal, (number << 32, keep), start + RUN).await })
        })
        .collect();
    let mut added = Vec::new();
    for task in tasks {
        added.extend(support::wait(task).expect("the task ends"));
    }
    let (wall, used, stats) = (start.elapsed(), cpu() - before, journal.stats());
    let threads = thread_cpu();
    journal.close().expect("the disk works");
    added.sort_unstable();
    let count = added.len() as f64;
    let at = |percent: usize| added[(added.len() - 1) * percent / 100];
    let syncs = |time: Duration| time.as_secs_f64() / sync.as_secs_f64();
    println!(
        "{at_once:>4} at once, texts {:<5} {:>6.0} decisions/s, {:.1} for each sync; adds median {:?} ({:.1} x fdatasync), 99 % {:?} ({:.1} x)",
        keep.as_str(),
        count / wall.as_secs_f64(),
        count / stats.syncs as f64,
        at(50),
        syncs(at(50)),
        at(99),
        syncs(at(99)),
    );
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count;
    let parts = threads.iter().map(|(name, time)| format!("{name} {:.1}", each(*time)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    println!("     {:.1} us CPU for each decision: {parts}", each(used));
}

/// One exchange after the other, without a model between its records; how long each waited for the log.
async fn exchanges(journal: &Journal, (first, keep): (u64, Keep), end: Instant) -> Vec<Duration> {
    let (mut opened, mut closed) = (support::opened(0), support::closed(0));
    let words = "a question, or its answer, of words. ".chars().cycle();
    let text: Arc<str> = words.take(TEXT_BYTES).collect::<String>().into();
    let mut added = Vec::new();
    let mut number = first;
    while Instant::now() < end {
        opened.id = support::id(number);
        closed.id = opened.id;
        number += 1;
        let kept = |at: &'static str, role: &'static str| Kept {
            at: at.into(),
            role: role.into(),
            bytes: TEXT_BYTES as u64,
            text: Some(Arc::clone(&text)),
            fingerprint: None,
            masked: Vec::new(),
            why: None,
        };
        let examined = Examined {
            id: opened.id,
            time: opened.time,
            keep,
            input: vec![kept("/messages/0/content", "user")],
            output: vec![kept("/choices/0/message/content", "assistant")],
            left_out: 0,
        };
        let start = Instant::now();
        journal.append_opened(&opened).written().await.expect("the disk works");
        drop(journal.append_examined(Box::new(examined)));
        journal.append_closed(&closed).durable().await.expect("the disk works");
        added.push(start.elapsed());
    }
    added
}

/// CPU time of this process, user and kernel.
fn cpu() -> Duration {
    stat_cpu(Path::new("/proc/self/stat"))
}

/// CPU time of each kind of thread, over all threads with that name.
fn thread_cpu() -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("a Linux system").flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).expect("it has a name");
        *times.entry(name.trim().to_owned()).or_default() += stat_cpu(&task.path().join("stat"));
    }
    times.retain(|name, _| name.starts_with("audit-") || name.starts_with("tokio-"));
    times
}

/// User and kernel time from a `stat` file. The kernel counts in hundredths of a second.
fn stat_cpu(path: &Path) -> Duration {
    let stat = std::fs::read_to_string(path).expect("a Linux system");
    let after_name = stat.rsplit(')').next().expect("it has a name");
    let fields = after_name.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

fn check(dir: &Path) {
    let start = Instant::now();
    let report = verify(dir).expect("it is sound");
    let (seconds, megabytes) = (start.elapsed().as_secs_f64(), report.bytes as f64 / 1e6);
    let length = report.bytes / report.records;
    println!(
        "     verify: {:.0} records/s, {:.0} MB/s ({} records of {length} bytes on average)",
        report.records as f64 / seconds,
        megabytes / seconds,
        report.records
    );
    let start = Instant::now();
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the journal opens");
    println!("     restart: {:?} beside {megabytes:.0} MB of log", start.elapsed());
    journal.close().expect("the disk works");
}
