//! Streams by the thousand: a model server that says anything, cut anywhere, judged early, late or never, to a client
//! that may leave. A ledger checks at every instant that nothing bad and nothing unjudged has left.
//!
//! `STREAMS=1000000 cargo test --release -p proxy-stream --test simulator -- --nocapture` runs a million of them;
//! `SEED=n` begins with another one, and `SEED=n STREAMS=1` repeats a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    reason = "a test that panics has found something"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody else uses it")]

mod blocks;
mod ledger;
mod plan;
mod random;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proxy_dialects::Dialect;
use proxy_stream::{Examination, Settings, StreamGuard};

use ledger::Ledger;
use plan::{BLOCKS, CUT_OUT, Fault, Plan, violations};
use random::Random;

pub const REFUSAL: &str = "not that";
const LIMIT: usize = 16 << 20;

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Cut,
    /// A verdict failed, or the model server did.
    Failed,
    Left,
}

struct World<'a> {
    random: Random,
    plan: &'a Plan,
    guard: StreamGuard,
    ledger: Ledger<'a>,
    now: Duration,
    fed: usize,
    /// The most bytes that came at once.
    largest: usize,
    /// What is being judged, and for how many more turns.
    judging: Option<(Examination, usize)>,
    fails: usize,
    leaves: usize,
    begun: bool,
}

type Cuts = Vec<(Arc<str>, Range<usize>)>;

/// What the classifier says: whether to block, and what to cut out.
fn judge(examination: &Examination) -> (bool, Cuts) {
    let (mut blocks, mut cuts) = (false, Vec::new());
    for passage in examination.passages() {
        blocks |= !violations(&passage.text, BLOCKS).is_empty();
        let found = violations(&passage.text, CUT_OUT).into_iter();
        cuts.extend(found.map(|span| (Arc::clone(&passage.origin.at), span)));
    }
    (blocks, cuts)
}

impl World<'_> {
    fn run(mut self) -> End {
        for _ in 0..1_000_000 {
            if let Some(end) = self.turn() {
                return end;
            }
        }
        panic!("it never ends: {:?}", self.guard);
    }

    fn turn(&mut self) -> Option<End> {
        if self.random.below(1000) < self.leaves {
            return Some(End::Left);
        }
        self.now += Duration::from_millis(self.random.below(5) as u64);
        if self.random.chance(60) && !self.feed() {
            return Some(self.fail());
        }
        if let Some(end) = self.judge() {
            return Some(end);
        }
        for event in self.guard.release() {
            self.ledger.event(&event);
        }
        self.ledger.check();
        if self.guard.is_judged() && !self.guard.is_over() {
            // Nothing was said at all.
            self.guard.clear(Examination::empty(), &[]).unwrap();
            return None;
        }
        if self.guard.is_over() {
            self.ledger.complete();
            return Some(End::Complete);
        }
        None
    }

    /// The next bytes, if the guard wants any; false if it cannot read them.
    fn feed(&mut self) -> bool {
        if !self.guard.wants_more() {
            return true;
        }
        let rest = &self.plan.bytes[self.fed..];
        if rest.is_empty() {
            return self.guard.end().is_ok();
        }
        let most = if self.random.chance(20) { rest.len() } else { 200 };
        let count = (1 + self.random.below(most)).min(rest.len());
        self.fed += count;
        self.largest = self.largest.max(count);
        let read = self.guard.feed(&rest[..count], self.now).is_ok();
        let Settings { overlap, .. } = self.plan.settings;
        if let Some(most) = self.plan.settings.bounds(Duration::ZERO).characters {
            let waiting = self.guard.waiting();
            assert!(waiting <= most - overlap + self.largest, "{waiting} characters wait");
        }
        read
    }

    fn judge(&mut self) -> Option<End> {
        if self.judging.is_none()
            && let Some(examination) = self.guard.examine(self.now)
        {
            self.ledger.asked(&examination);
            let turns = if self.random.chance(50) { 0 } else { self.random.below(20) };
            self.judging = Some((examination, turns));
            self.begun = true;
        }
        let (examination, turns) = self.judging.take()?;
        if turns > 0 {
            self.judging = Some((examination, turns - 1));
            return None;
        }
        if self.random.below(1000) < self.fails {
            return Some(self.fail());
        }
        let (blocks, cuts) = judge(&examination);
        if blocks {
            return Some(self.cut());
        }
        self.ledger.allowed(&examination);
        match self.guard.clear(examination, &cuts) {
            Ok(()) => None,
            Err(_) => {
                let follows = self.plan.settings.ahead() > 0;
                // What was cut out of arguments with their escapes resolved does not stand there.
                let unescaped = cuts.iter().any(|(at, _)| at.ends_with("#unescaped"));
                assert!(self.ledger.doubtful || follows || unescaped, "{cuts:?} came too late");
                Some(self.cut())
            }
        }
    }

    fn cut(&mut self) -> End {
        let blank = StreamGuard::new(Dialect::OPENAI_CHAT, self.plan.settings, 1, 0);
        for event in std::mem::replace(&mut self.guard, blank).cut(REFUSAL) {
            self.ledger.event(&event);
        }
        self.ledger.cut(self.begun);
        End::Cut
    }

    /// Nothing more leaves.
    fn fail(&mut self) -> End {
        self.ledger.check();
        End::Failed
    }
}

fn simulate(seed: u64) -> End {
    let mut random = Random::new(seed);
    let plan = Plan::new(&mut random);
    let fails = if random.chance(5) { 50 } else { 0 };
    let leaves = if random.chance(5) { 20 } else { 0 };
    let world = World {
        random,
        plan: &plan,
        guard: StreamGuard::new(Dialect::OPENAI_CHAT, plan.settings, plan.choices, LIMIT),
        ledger: Ledger::new(&plan),
        now: Duration::ZERO,
        fed: 0,
        largest: 0,
        judging: None,
        fails,
        leaves,
        begun: false,
    };
    let end = world.run();
    let bad = plan.said.values().any(|text| !violations(text, BLOCKS).is_empty());
    if plan.fault == Fault::None && fails == 0 && leaves == 0 {
        assert!(end != End::Failed, "nothing was wrong");
        assert!(end == End::Cut || !bad, "something bad was let through");
    }
    end
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_bad_and_nothing_unjudged_ever_leaves() {
    let (first, count) = (number("SEED", 0), number("STREAMS", 2000));
    let mut ends = [0u64; 4];
    for seed in first..first + count {
        let end = std::panic::catch_unwind(|| simulate(seed))
            .unwrap_or_else(|_| panic!("to see it again: SEED={seed} STREAMS=1"));
        ends[end as usize] += 1;
        if (seed + 1) % 100_000 == 0 {
            println!("{} streams", seed + 1 - first);
        }
    }
    let [complete, cut, failed, left] = ends;
    println!(
        "{count} streams: {complete} complete, {cut} cut, {failed} failed, {left} left by the client"
    );
    assert!(count < 1000 || ends.iter().all(|end| *end > count / 100), "{ends:?}: too tame");
}

/// Bytes that classifiers read for each byte of an answer of `length` bytes.
fn reading_per_byte(length: usize) -> f64 {
    let settings = Settings::default();
    let mut guard = StreamGuard::new(Dialect::OPENAI_CHAT, settings, 1, LIMIT);
    let event = |delta: &str, end: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{end}}}]}}\n\n"
        )
    };
    let word = event("{\"content\":\"seven, \"}", "null");
    let end = event("{}", "\"stop\"") + "data: [DONE]\n\n";
    let words = std::iter::repeat_n(word.as_str(), length / "seven, ".len());
    let (mut read, mut left) = (0, 0);
    for bytes in words.chain([end.as_str()]) {
        guard.feed(bytes.as_bytes(), Duration::ZERO).unwrap();
        while let Some(examination) = guard.examine(Duration::ZERO) {
            read += examination.passages().iter().map(|passage| passage.text.len()).sum::<usize>();
            guard.clear(examination, &[]).unwrap();
        }
        left += guard.release().len();
    }
    assert!(guard.is_over() && left > length / "seven, ".len());
    read as f64 / length as f64
}

#[test]
fn what_is_read_for_a_token_does_not_grow_with_the_answer() {
    // Its window, the overlap of the next, whole readings at each doubling, and one at the end.
    let most = 1.0 + 1.0 + 2.0 + 1.0;
    for length in [1_000, 10_000, 60_000, 100_000] {
        let read = reading_per_byte(length);
        println!("{length} bytes: each is read {read:.2} times");
        assert!(read <= most, "{length}: {read}");
    }
}
