//! How long it takes to decide a million recorded decisions again under another policy: `portcullis diff`, on one
//! core, beside `portcullis audit verify`, which reads and hashes the same bytes and does nothing else.
//!
//! `cargo bench -p portcullis --bench replay`; `-- 10000` makes a journal of that many exchanges, and
//! `AUDIT_BENCH_DIR` names another disk. An exchange has two decisions: about the request and about the answer.

#![allow(clippy::expect_used, reason = "a benchmark stops where it cannot measure")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use classifiers_core::Category;
use jiff::Timestamp;
use proxy_audit::{
    Action, ByCategory, Check, CheckStatus, Closed, Journal, Mode, Opened, Options, Outcome,
    ReadSummary, Ruling, Timing, Verdict,
};
use uuid::Uuid;

const EXCHANGES: u64 = 500_000;
/// Records on their way at a time, so that memory stays small.
const BATCH: u64 = 5_000;

fn main() {
    // `cargo test --all-targets` runs this too, without the flag: there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let count = std::env::args().find_map(|text| text.parse().ok()).unwrap_or(EXCHANGES);
    let base = std::env::var_os("AUDIT_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let dir = tempfile::tempdir_in(base).expect("a directory");
    generate(dir.path(), count);
    let journal = dir.path().display().to_string();
    println!("{count} exchanges, {} decisions, {} MB", 2 * count, megabytes(dir.path()));
    for (name, args) in [
        ("read and hash (audit verify)", vec!["audit", "verify", &journal]),
        (
            "decide again (diff default strict)",
            vec!["diff", "default", "strict", "--audit-dir", &journal],
        ),
        (
            "decide again (diff default children)",
            vec!["diff", "default", "children", "--audit-dir", &journal],
        ),
    ] {
        measure(name, &args, count);
    }
}

/// Runs the binary on one core.
fn measure(name: &str, args: &[&str], count: u64) {
    let (started, before) = (Instant::now(), children_cpu());
    let output = Command::new("taskset")
        .args(["-c", "0", env!("CARGO_BIN_EXE_portcullis")])
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .expect("the binary and taskset run");
    let (wall, cpu) = (started.elapsed(), children_cpu() - before);
    assert!(output.status.success(), "{name} failed");
    let each = cpu.as_secs_f64() * 1e6 / (2 * count) as f64;
    println!("{name}: {cpu:.2?} CPU, {wall:.2?} wall, {each:.2} us CPU per decision");
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().take(2) {
        println!("    {line}");
    }
}

fn generate(dir: &Path, count: u64) {
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the journal opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut number = 0;
        while number < count {
            let mut last = None;
            for _ in 0..BATCH.min(count - number) {
                number += 1;
                let id = Uuid::now_v7();
                // Nobody waits for these: the last one of a batch stands for all before it.
                drop(journal.append_opened(&opened(id, number)));
                last = Some(journal.append_closed(&closed(id, number)));
            }
            if let Some(mut last) = last {
                last.written().await.expect("the disk works");
            }
        }
    });
    journal.close().expect("the disk works");
}

fn opened(id: Uuid, number: u64) -> Opened {
    Opened {
        id,
        time: Timestamp::now(),
        instance: "bench".into(),
        route: "/v1/chat/completions".into(),
        key: Some(format!("key-{:016x}", number % 500).into()),
        remote: Some([10, 0, 0, 1].into()),
        method: "POST".into(),
        trace_id: None,
    }
}

fn closed(id: Uuid, number: u64) -> Closed {
    Closed {
        id,
        time: Timestamp::now(),
        outcome: Outcome::Allowed,
        status: 200,
        reason: None,
        stream: number.is_multiple_of(2),
        model: Some("llama-3.1-405b".into()),
        policy: Some("default@b3:0123456789ab".into()),
        profile: None,
        key_name: None,
        mode: Mode::Enforce,
        input: Some(ruling(number, 1)),
        output: Some(ruling(number, 2)),
        unchecked: Vec::new(),
        unchecked_left_out: 0,
        read: ReadSummary { passages: 3, bytes: 1_200 },
        answered: ReadSummary { passages: 1, bytes: 900 },
        released_bytes: 1_400,
        timing_ms: Timing { total: 958.2, guard_input: 3.1, upstream: 950.1, guard_output: 2.2 },
    }
}

/// Scores spread so that one in some hundreds counts under a usual policy.
fn ruling(number: u64, side: u64) -> Ruling {
    let score = |place: u64| {
        let mut x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place << 8 | side);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let unit = f64::from((x >> 40) as u32) / f64::from(1 << 24);
        ((unit.powi(24) * 10_000.0).round() / 10_000.0) as f32
    };
    let covered = Category::ALL.into_iter().take(15).zip(0..);
    let scores: ByCategory<f32> =
        covered.map(|(category, place)| (category.name().into(), score(place))).collect();
    let check = |name: &'static str, scores| Check {
        name: name.into(),
        revision: "fceff4ceba9b00d7".into(),
        status: CheckStatus::Ok,
        ms: 2.1,
        passages: 3,
        scores,
        tools: ByCategory::default(),
        dialogue: ByCategory::default(),
        measures: ByCategory::default(),
        at: ByCategory::default(),
        spans: Vec::new(),
        spans_left_out: 0,
    };
    Ruling {
        verdict: Verdict::Safe,
        action: Action::Allow,
        would: None,
        because: Vec::new(),
        exemptions: Vec::new(),
        languages: Vec::new(),
        checks: vec![check("starter", scores), check("test_triggers", ByCategory::default())],
        checks_left_out: 0,
    }
}

fn megabytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a directory").flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>() / 1_000_000
}

/// CPU time, user and kernel, of children that have ended. The kernel counts in hundredths of a second.
fn children_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let after_name = stat.rsplit(')').next().expect("it has a name");
    let fields = after_name.split_ascii_whitespace().skip(13).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}
