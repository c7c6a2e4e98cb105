//! What a fleet costs, by a small simulation from measured costs of one request. `docs/scaling.md` has its table, and a
//! test holds the two together.
//!
//! Machines are queues; a request goes to the less loaded of two that are picked at random, as guards that know only
//! their own questions would do. The fewest machines are looked for with which the 99th percentile holds while one of
//! them is lost. Everything is seeded: the same costs give the same table.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// What one exchange costs, and what machines do. The sources are in docs/scaling.md.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Costs {
    /// Processor time of the guard for a request of 1 KB never seen before and its answer, in microseconds
    #[arg(long, default_value_t = 189.0)]
    request_us: f64,
    /// The same for each token of a streamed answer
    #[arg(long, default_value_t = 51.0)]
    token_us: f64,
    /// Tokens of an answer
    #[arg(long, default_value_t = 250)]
    tokens: u32,
    /// Processor time of Prompt Guard for a text of 128 tokens (int8, two threads), in microseconds
    #[arg(long, default_value_t = 140_000.0)]
    prompt_guard_us: f64,
    /// Verdicts of Llama Guard for an exchange: the request, and the windows of the answer
    #[arg(long, default_value_t = 6)]
    verdicts: u32,
    /// Time of one verdict alone on a card, in milliseconds
    #[arg(long, default_value_t = 3.7)]
    verdict_ms: f64,
    /// Time of each verdict of a batch
    #[arg(long, default_value_t = 3.16)]
    batched_ms: f64,
    /// The share of that speed which a server reaches
    #[arg(long, default_value_t = 0.5)]
    reached: f64,
    /// Cores of a machine
    #[arg(long, default_value_t = 8)]
    cores: usize,
    /// Price of a core for an hour
    #[arg(long, default_value_t = 0.04)]
    core_hour: f64,
    /// Price of a card for an hour
    #[arg(long, default_value_t = 4.0)]
    card_hour: f64,
}

/// Requests a second, from one team to a large provider.
const RATES: [f64; 6] = [10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
/// Arrivals that are simulated; the first fifth only fills the queues.
const ARRIVALS: usize = 100_000;
/// Machines that are simulated together.
const SIMULATED: usize = 250;
/// A card takes up to so many at a time.
const BATCH: usize = 32;
/// The longest that the guard's own work may take at the 99th percentile, in seconds.
const GUARD_P99: f64 = 0.010;
/// The same for a verdict of a model: a policy's timeout is 1.5 s unless said.
const MODEL_P99: f64 = 0.5;
/// Nobody plans for more, whatever a simulation of an even load says.
const BUSIEST: f64 = 0.9;

/// A kind of machine and its work.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Cores that take one job each, of this mean in seconds.
    Cores { cores: usize, mean: f64 },
    /// A card that takes all that wait, up to a batch: so long for one alone, and for each of several.
    Card { alone: f64, each: f64 },
}

impl Work {
    /// Jobs a second that one machine can do at most.
    fn most(self) -> f64 {
        match self {
            Self::Cores { cores, mean } => cores as f64 / mean,
            Self::Card { each, .. } => 1.0 / each,
        }
    }
}

/// One machine, with what waits there.
struct Machine {
    free: Vec<f64>,
    waiting: VecDeque<f64>,
}

impl Machine {
    fn new(work: Work) -> Self {
        let servers = if let Work::Cores { cores, .. } = work { cores } else { 1 };
        Self { free: vec![0.0; servers], waiting: VecDeque::new() }
    }

    /// How long somebody who comes `now` would wait, about.
    fn load(&self, now: f64) -> f64 {
        let soonest = self.free.iter().copied().fold(f64::INFINITY, f64::min);
        (soonest - now).max(0.0) + self.waiting.len() as f64
    }

    /// Takes a job that comes `now`, and does what can be done until then; the times that jobs took go to `took`.
    fn take(&mut self, work: Work, now: f64, random: &mut Random, took: &mut Vec<f64>) {
        match work {
            Work::Cores { mean, .. } => {
                let Some(core) = self.free.iter_mut().min_by(|a, b| a.total_cmp(b)) else { return };
                *core = core.max(now) + mean * random.exponential();
                took.push(*core - now);
            }
            Work::Card { alone, each } => {
                let Some(free) = self.free.first_mut() else { return };
                while let Some(first) = self.waiting.front() {
                    let start = free.max(*first);
                    if start > now {
                        break;
                    }
                    let batch = self.waiting.iter().take(BATCH).take_while(|at| **at <= start);
                    let batch = batch.count();
                    *free = start + alone.max(each * batch as f64);
                    took.extend(self.waiting.drain(..batch).map(|at| *free - at));
                }
                self.waiting.push_back(now);
            }
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Of mean 1.
    fn exponential(&mut self) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - unit).ln()
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }
}

/// The 99th percentile of the time a job takes, in seconds.
fn p99(rate: f64, work: Work, machines: usize) -> f64 {
    let mut random = Random(machines as u64);
    let mut all: Vec<Machine> = (0..machines).map(|_| Machine::new(work)).collect();
    let mut took = Vec::with_capacity(ARRIVALS);
    let mut now = 0.0;
    // Enough that every machine is in its usual state.
    for _ in 0..ARRIVALS.max(machines * 300) {
        now += random.exponential() / rate;
        let (one, other) = (random.below(machines), random.below(machines));
        let load = |at: usize| all.get(at).map_or(f64::INFINITY, |machine| machine.load(now));
        let chosen = if load(one) <= load(other) { one } else { other };
        if let Some(machine) = all.get_mut(chosen) {
            machine.take(work, now, &mut random, &mut took);
        }
    }
    let mut took = took.split_off(took.len() / 5);
    took.sort_by(f64::total_cmp);
    took.get(took.len() * 99 / 100).copied().unwrap_or(f64::INFINITY)
}

/// The fewest machines for `rate` jobs a second, one of which may be lost. Large fleets are alike in their parts.
fn machines(rate: f64, work: Work, limit: f64) -> usize {
    let fewest = ((rate / work.most() / BUSIEST).ceil() as usize).max(1);
    let parts = fewest.div_ceil(SIMULATED);
    let mut left = fewest.div_ceil(parts);
    while p99(rate / parts as f64, work, left) > limit {
        left += left.div_ceil(50);
    }
    left * parts + 1
}

/// What is to be run: its name, and machines without and with cards for a rate.
struct Fleet {
    name: &'static str,
    rows: Vec<(f64, usize, usize)>,
}

fn fleets(costs: &Costs) -> Vec<Fleet> {
    let Costs { cores, .. } = *costs;
    let guard = |us: f64, jobs: f64, rate: f64| {
        let mean = us / jobs / 1e6;
        machines(rate * jobs, Work::Cores { cores, mean }, GUARD_P99)
    };
    let tokens = f64::from(costs.tokens);
    let plain = |rate| guard(costs.request_us, 1.0, rate);
    let streamed = |rate| guard(costs.request_us + tokens * costs.token_us, 1.0 + tokens, rate);
    // Two threads work on a text, so it takes half of its processor time and half of the cores.
    let prompt_guard = |rate| {
        let mean = costs.prompt_guard_us / 2.0 / 1e6;
        machines(rate, Work::Cores { cores: cores / 2, mean }, MODEL_P99)
    };
    let llama_guard = |rate| {
        let (alone, each) = (costs.verdict_ms, costs.batched_ms);
        let card = |ms: f64| ms / 1e3 / costs.reached;
        let work = Work::Card { alone: card(alone), each: card(each) };
        machines(rate * f64::from(costs.verdicts), work, MODEL_P99)
    };
    let all = |machines: &dyn Fn(f64) -> usize| RATES.map(machines);
    let (plain, streamed) = (all(&plain), all(&streamed));
    let (prompt_guard, llama_guard) = (all(&prompt_guard), all(&llama_guard));
    let none = [0; RATES.len()];
    let fleet = |name, machines: [[usize; RATES.len()]; 2], cards: [usize; RATES.len()]| {
        let [one, other] = machines;
        let sums = one.into_iter().zip(other).map(|(one, other)| one + other);
        let rows = RATES.into_iter().zip(sums).zip(cards);
        Fleet {
            name,
            rows: rows.map(|((rate, machines), cards)| (rate, machines, cards)).collect(),
        }
    };
    vec![
        fleet("plain answers, embedded classifier", [plain, none], none),
        fleet("streamed answers, embedded classifier", [streamed, none], none),
        fleet("streamed, and Prompt Guard on processors", [streamed, prompt_guard], none),
        fleet("streamed, and Llama Guard 3 8B on cards", [streamed, none], llama_guard),
    ]
}

/// The table, as Markdown.
pub(crate) fn table(costs: &Costs) -> String {
    let mut text = "| what judges | requests/s | machines | cards | cost of a million requests |\n\
                    |---|---|---|---|---|\n"
        .to_owned();
    for Fleet { name, rows } in fleets(costs) {
        for (rate, machines, cards) in rows {
            let hour = machines as f64 * costs.cores as f64 * costs.core_hour
                + cards as f64 * costs.card_hour;
            let million = hour / (rate * 3600.0) * 1e6;
            let digits = if million < 1.0 { 4 } else { 2 };
            // Writing to a string cannot fail.
            let _written =
                writeln!(text, "| {name} | {rate} | {machines} | {cards} | {million:.digits$} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        costs: Costs,
    }

    #[test]
    fn the_page_has_what_the_simulation_prints() {
        let page = include_str!("../../docs/scaling.md");
        let table = table(&Args::parse_from(["scaling"]).costs);
        assert!(page.contains(&table), "`cargo xtask scaling` prints another table:\n{table}");
    }

    /// One core, Poisson arrivals, exponential jobs: the time in the system is exponential with the rate that is left.
    #[test]
    fn a_single_queue_is_as_the_textbook_says() {
        let (rate, mean) = (80.0, 0.01);
        let expected = 100.0_f64.ln() / (1.0 / mean - rate);
        let simulated = p99(rate, Work::Cores { cores: 1, mean }, 1);
        assert!((simulated / expected - 1.0).abs() < 0.1, "{simulated} for {expected}");
    }

    #[test]
    fn a_full_card_takes_batches() {
        let work = Work::Card { alone: 0.004, each: 0.003 };
        assert!(p99(20.0, work, 1) < 0.012);
        let full = p99(300.0, work, 1);
        assert!(full > 0.012 && full < 0.5, "{full}");
    }
}
