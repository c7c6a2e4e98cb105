//! A log of a million decisions: how fast it is verified, taken into the index and read again for a what-if, how long
//! questions take, and how soon a new decision is listed.
//!
//! `cargo bench -p proxy-index --bench search -- [DECISIONS] [FOLDER] [questions]`; a folder with a log and an index from
//! an earlier run is used again, with `questions` for these alone. Every question is asked twenty times; the slowest p95
//! of a search is compared with 300 ms. Beside the time stands how much of it the thread had a core.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proxy_audit::{
    Action, ByCategory, Check, CheckStatus, Closed, Examined, Journal, Keep, Kept, Mode, Opened,
    Options, Outcome, ReadSummary, Receipt, Ruling, Timing, Verdict, decisions, verify,
};
use proxy_index::{Field, Index, Query};
use uuid::Uuid;

const DECISIONS: u64 = 1_000_000;
/// Decisions that are on their way to the disk at a time.
const AT_ONCE: u64 = 4_096;
/// How often each question is asked.
const ASKED: usize = 20;
/// How long a search may take in 95 of 100 cases, in milliseconds.
const SOON: f64 = 300.0;

/// Decisions that the page looks at beside its list, and for a timeline of anything but times.
const FACETED: usize = 10_000;
const NEWEST: usize = 50_000;

const CATEGORIES: [&str; 14] = [
    "violent_crimes",
    "non_violent_crimes",
    "sex_related_crimes",
    "child_sexual_exploitation",
    "defamation",
    "specialized_advice",
    "privacy",
    "intellectual_property",
    "indiscriminate_weapons",
    "hate",
    "suicide_self_harm",
    "sexual_content",
    "jailbreak",
    "prompt_injection",
];
const WORDS: [&str; 32] = [
    "the",
    "model",
    "answers",
    "a",
    "question",
    "about",
    "cooking",
    "rice",
    "with",
    "saffron",
    "and",
    "people",
    "who",
    "travel",
    "through",
    "mountains",
    "in",
    "winter",
    "need",
    "good",
    "boots",
    "for",
    "snow",
    "while",
    "music",
    "plays",
    "softly",
    "near",
    "old",
    "harbour",
    "lights",
    "shine",
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }
}

fn main() {
    // `cargo test --all-targets` runs this too, without the flag: there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let numbers = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let args: Vec<String> = numbers.collect();
    let wanted = args.first().and_then(|count| count.parse().ok()).unwrap_or(DECISIONS);
    let kept = args.get(1).map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    if proxy_audit::Follower::first(&dir).is_err() {
        let (records, took) = timed(|| fill(&dir, wanted));
        rate("written, durably", records, took);
    }
    if args.get(2).is_none_or(|only| only != "questions") {
        read(&dir);
    }
    let index = Index::open(&dir).expect("the index opens");
    let (progress, took) = timed(|| index.catch_up(|_| {}).expect("the log is sound"));
    rate("taken into the index", progress.records, took);
    let slowest = search(&index);
    let verdict = if slowest < SOON { "met" } else { "MISSED" };
    println!("a search within {SOON} ms: {slowest:.1} ms at worst, {verdict}");
    charts(&index);
    live(&dir, &index);
}

/// Reads all of the log.
fn read(dir: &Path) {
    let (report, took) = timed(|| verify(dir).expect("it is sound"));
    rate("verified, with signatures", report.records, took);
    println!("{:<28} {:>9.0} MiB/s", "", report.bytes as f64 / took.as_secs_f64() / 1_048_576.0);
    let (count, took) = timed(|| decisions(dir, |_| {}).expect("it is sound"));
    rate("read for a what-if", count, took);
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    (what(), started.elapsed())
}

/// The same, and for how long of it this thread had a core: what it takes where nobody else wants one. Nothing where the
/// system does not say.
fn both(what: impl FnOnce()) -> [Duration; 2] {
    let had = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    };
    let before = had();
    let ((), took) = timed(what);
    [took, had().saturating_sub(before)]
}

fn rate(what: &str, records: u64, took: Duration) {
    let each = records as f64 / took.as_secs_f64();
    println!("{what:<28} {each:>9.0} records/s   ({records} in {:.1} s)", took.as_secs_f64());
}

/// The first page and the number of what a filter means; the slowest p95.
fn search(index: &Index) -> f64 {
    println!(
        "{:<36} {:>9} {:>9} {:>9} {:>9}",
        "question", "found", "median ms", "p95 ms", "p95 cpu"
    );
    let filters = [
        "",
        "action:block",
        "hazard:hate",
        "-action:allow score>0.9",
        "key:key-0007",
        "key:nobody",
        "trace:000000000000000000000000000003e8",
        "status:418",
        "policy:strict@*",
        "instance:pod-9",
        "reason:upstream_failed",
        "review:none -action:allow",
        "sample:0.01%",
        "route:/v1/emb*",
        "harbour",
        "\"old harbour\"",
        "unobtainium",
        "harb* action:block",
        "score.hate>0.95",
        "score.hate>0.9999",
        "since:2026-11-23",
        "since:2026-10-20 until:2026-10-21",
        "route:/v1/embeddings status:418",
        "action:allow score.hate>0.9",
        "harbour status:418",
    ];
    let page = |filter: &&str| {
        let query: Query = filter.parse().expect("it is a filter");
        let found = index.count(&query).expect("the index answers");
        let page = measure(&format!("page {filter}"), found, || {
            drop(index.page(&query, None, 100).expect("it answers"));
        });
        measure(&format!("count {filter}"), found, || {
            index.count(&query).map(|_| ()).expect("it answers");
        });
        page
    };
    filters.iter().map(page).fold(0.0, f64::max)
}

/// What the page shows beside its list, and its overview.
fn charts(index: &Index) {
    for filter in ["", "action:block", "harbour", "since:2026-11-10", "-key:key-0007"] {
        let query: Query = filter.parse().expect("it is a filter");
        measure(&format!("facets {filter}"), 0, || {
            drop(index.facets(&query, Field::FACETS, (8, FACETED)).expect("it answers"));
        });
        measure(&format!("timeline {filter}"), 0, || {
            drop(index.timeline(&query, 120, NEWEST).expect("it answers"));
        });
    }
    let all = Query::default();
    measure("scores", 0, || drop(index.scores(&all, NEWEST).expect("it answers")));
    measure("latency", 0, || {
        index.latency(&all, NEWEST).map(|_| ()).expect("it answers");
    });
    measure("keys", 0, || {
        drop(index.facets(&all, &[Field::Key], (200, NEWEST)).expect("it answers"));
    });
    measure("causes", 0, || drop(index.causes(&all, NEWEST).expect("it answers")));
}

/// From a decision's record on the disk to its row in a list, but for how often the log is looked at.
fn live(dir: &Path, index: &Index) {
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the log opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let mut dice = Dice(11);
    let mut times = Vec::new();
    for number in 0..ASKED as u64 {
        let mut receipt = tell(&journal, (Uuid::now_v7(), DECISIONS + number), &mut dice);
        runtime.block_on(receipt.durable()).expect("the disk works");
        let after = index.position().expect("it answers");
        let took = both(|| {
            index.catch_up(|_| {}).expect("the log is sound");
            drop(index.tail(&Query::default(), after, 500).expect("it answers"));
        });
        times.push(took);
    }
    journal.close().expect("the disk works");
    show("a new decision is listed", 1, times);
}

/// Asks again and again; the time that 95 of 100 answers do not exceed, in milliseconds.
fn measure(what: &str, found: u64, ask: impl Fn()) -> f64 {
    show(what, found, (0..ASKED).map(|_| both(&ask)).collect())
}

fn show(what: &str, found: u64, times: Vec<[Duration; 2]>) -> f64 {
    let [wall, cpu] = [0, 1].map(|which| {
        let time = |times: &[Duration; 2]| times.get(which).map_or(0.0, |time| time.as_secs_f64());
        let mut times: Vec<f64> = times.iter().map(|times| time(times) * 1_000.0).collect();
        times.sort_by(f64::total_cmp);
        times
    });
    let at = |times: &[f64], share: usize| {
        times.get((times.len() * share).div_ceil(100).max(1) - 1).copied().unwrap_or_default()
    };
    let (median, slow, cpu) = (at(&wall, 50), at(&wall, 95), at(&cpu, 95));
    println!("{what:<36} {found:>9} {median:>9.1} {slow:>9.1} {cpu:>9.1}");
    slow
}

fn fill(dir: &Path, decisions: u64) -> u64 {
    let (journal, _) = Journal::open(dir, &Options::default()).expect("the log opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let mut dice = Dice(7);
    let mut waiting: Vec<Receipt> = Vec::new();
    for number in 0..decisions {
        // The end of an id is random; samples go by it.
        let end = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2;
        let id = Uuid::from_u128(0x0198_a000_0000_7000_8000_0000_0000_0000 | u128::from(end));
        waiting.push(tell(&journal, (id, number), &mut dice));
        if waiting.len() as u64 == AT_ONCE {
            let mut last = waiting.pop().expect("it is not empty");
            waiting.clear();
            runtime.block_on(last.durable()).expect("the disk works");
        }
    }
    journal.close().expect("the disk works");
    3 * decisions
}

fn tell(journal: &Journal, (id, number): (Uuid, u64), dice: &mut Dice) -> Receipt {
    let ms = i64::try_from(number).expect("it fits") * 2_592;
    let time = Timestamp::from_millisecond(1_792_800_000_000 + ms).expect("it is in range");
    drop(journal.append_opened(&Opened {
        id,
        time,
        instance: "pod-7".into(),
        route: if dice.below(10) == 0 { "/v1/embeddings" } else { "/v1/chat/completions" }.into(),
        key: Some(format!("key-{:04}", dice.below(200)).into()),
        remote: None,
        method: "POST".into(),
        trace_id: Some(format!("{number:032x}").into()),
    }));
    let text: Vec<&str> =
        (0..40).map(|_| WORDS.get(dice.below(32)).copied().unwrap_or_default()).collect();
    let text = text.join(" ");
    drop(journal.append_examined(Box::new(Examined {
        id,
        time,
        keep: Keep::Redacted,
        input: vec![Kept {
            at: "/messages/0/content".into(),
            role: "user".into(),
            bytes: text.len() as u64,
            text: Some(Arc::from(text)),
            fingerprint: None,
            masked: Vec::new(),
            why: None,
        }],
        output: Vec::new(),
        left_out: 0,
    })));
    journal.append_closed(&closed((id, time), dice))
}

fn closed((id, time): (Uuid, Timestamp), dice: &mut Dice) -> Closed {
    let hazard = CATEGORIES.get(dice.below(CATEGORIES.len())).copied().unwrap_or_default();
    let (action, outcome) = match dice.below(100) {
        0..2 => (Action::Block, Outcome::Blocked),
        2..5 => (Action::Flag, Outcome::Flagged),
        _ => (Action::Allow, Outcome::Allowed),
    };
    let found = action != Action::Allow;
    let mut score = |category: &&'static str| {
        let high = if found && *category == hazard { 7_000 } else { 0 };
        ((*category).into(), (high + dice.below(3_000)) as f32 / 10_000.0)
    };
    let check = Check {
        name: "starter".into(),
        revision: "sha256:9f86d081884c7d65".into(),
        status: CheckStatus::Ok,
        ms: 0.7,
        passages: 1,
        scores: CATEGORIES.iter().map(&mut score).collect(),
        tools: ByCategory::default(),
        dialogue: ByCategory::default(),
        measures: ByCategory::default(),
        at: ByCategory::default(),
        spans: Vec::new(),
        spans_left_out: 0,
    };
    let ruling = Ruling {
        verdict: if found { Verdict::Unsafe } else { Verdict::Safe },
        action,
        would: None,
        because: if found { vec![hazard.into()] } else { Vec::new() },
        exemptions: Vec::new(),
        languages: Vec::new(),
        checks: vec![check],
        checks_left_out: 0,
    };
    Closed {
        id,
        time,
        outcome,
        status: 200,
        reason: None,
        stream: false,
        model: Some("llama-3.1-405b".into()),
        policy: Some("default@b3:91ac".into()),
        profile: None,
        key_name: None,
        mode: Mode::Enforce,
        input: Some(ruling),
        output: None,
        unchecked: Vec::new(),
        unchecked_left_out: 0,
        read: ReadSummary { passages: 1, bytes: 240 },
        answered: ReadSummary::default(),
        released_bytes: 900,
        timing_ms: Timing { total: 958.2, guard_input: 1.2, upstream: 913.0, guard_output: 0.7 },
    }
}
