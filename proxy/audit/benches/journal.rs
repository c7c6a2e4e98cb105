//! Records per second and CPU per record for writers that wait until each record is durable, beside
//! one bare `fdatasync` on the same disk, the speed of the verifier, and how long a restart takes.
//!
//! `cargo bench -p proxy-audit`; `AUDIT_BENCH_DIR` names another disk, and `-- 64` runs with that
//! many writers only.

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

use proxy_audit::{Journal, Options, verify};

#[expect(dead_code, reason = "the benchmark needs a part of it")]
#[path = "../tests/it/support.rs"]
mod support;

const RUN: Duration = Duration::from_secs(4);

fn main() {
    // `cargo test --all-targets` runs this too, without the flag: there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let base = std::env::var_os("AUDIT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let dir = tempfile::tempdir_in(base).expect("a directory");
    bare_sync(dir.path());
    let mut counts: Vec<u64> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![1, 64, 512];
    }
    for writers in counts {
        let journal = dir.path().join(format!("writers-{writers}"));
        append(&journal, writers);
        check(&journal);
    }
    bare_sync(dir.path());
}

/// One append of 2 KB and its `fdatasync`, as any journal must at least do.
fn bare_sync(dir: &Path) {
    let mut file = File::create(dir.join("bare")).expect("a file");
    let before = cpu();
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            file.write_all(&[b'x'; 2_048]).expect("the disk works");
            let start = Instant::now();
            file.sync_data().expect("the disk works");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let used = (cpu() - before) / 300;
    println!(
        "bare write and fdatasync: median {:?}, 99 % {:?}, {used:?} CPU",
        times[150], times[297]
    );
}

fn append(dir: &Path, writers: u64) {
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the journal opens");
    let journal = Arc::new(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime starts");
    let (start, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let journal = Arc::clone(&journal);
            runtime.spawn(async move { write(&journal, writer << 32, start + RUN).await })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(support::wait(task).expect("the task ends"));
    }
    let (wall, used) = (start.elapsed(), cpu() - before);
    let threads = thread_cpu();
    journal.close().expect("the disk works");
    waits.sort_unstable();
    let records = waits.len() as f64;
    println!(
        "{writers:>4} writers: {:>7.0} records/s, durable after median {:?}, 99 % {:?}",
        records / wall.as_secs_f64(),
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
    );
    let each = |time: Duration| time.as_secs_f64() * 1e6 / records;
    let parts = threads.iter().map(|(name, time)| format!("{name} {:.2}", each(*time)));
    let parts = parts.collect::<Vec<_>>().join(", ");
    println!("              {:.2} us CPU per record: {parts}", each(used));
}

/// One request after the other, each record waited for; how long each took.
async fn write(journal: &Journal, first: u64, end: Instant) -> Vec<Duration> {
    let (mut opened, mut closed) = (support::opened(0), support::closed(0));
    let mut waits = Vec::new();
    let mut number = first;
    while Instant::now() < end {
        opened.id = support::id(number);
        closed.id = opened.id;
        number += 1;
        let start = Instant::now();
        journal.append_opened(&opened).durable().await.expect("the disk works");
        let middle = Instant::now();
        journal.append_closed(&closed).durable().await.expect("the disk works");
        waits.extend([middle - start, middle.elapsed()]);
    }
    waits
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
        "verify: {:.0} MB/s ({} records of {length} bytes on average)",
        megabytes / seconds,
        report.records
    );
    let start = Instant::now();
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the journal opens");
    println!("restart: {:?} beside {megabytes:.0} MB of log", start.elapsed());
    journal.close().expect("the disk works");
}
