//! What guarding costs a streamed answer: the wait for its first token, the way of each token, and CPU.
//!
//! A guard that holds text until it was judged with what follows delays it by design: by the overlap of its policy,
//! at the pace of the model. Beside it the same guard that lets text go first shows what the machinery costs.

mod load;
mod server;

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::accounts::{Resident, Used};
use crate::args::Args;
use crate::disk::Place;
use crate::failure::Failure;
use crate::guard::{Binary, Guard};
use crate::machine::{Cores, Machine};
use crate::nginx::Nginx;
use crate::series::median;
use crate::stop::Stop;

use load::{Heard, listen};
use server::Server;

/// Tokens of an answer that comes at a pace: about 2,200 characters.
const TOKENS: usize = 300;
/// Tokens of answers that come at once: about 1,000, 10,000 and 100,000 characters.
const LENGTHS: [usize; 3] = [135, 1350, 13_500];
/// Tokens in all for each of these.
const ALL_TOKENS: usize = 54_000;

/// Microseconds since the first call in this process: one clock for the model server and the callers.
fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Everything that takes part.
#[derive(Debug)]
pub(crate) struct Streams<'a> {
    pub(crate) args: &'a Args,
    pub(crate) place: &'a Place,
    pub(crate) cores: &'a Cores,
    pub(crate) stop: &'a Stop,
}

/// Who is asked.
struct Side {
    name: &'static str,
    address: SocketAddr,
    pids: Vec<u32>,
}

/// One measurement; times in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
struct Sample {
    first_p50: f64,
    first_p99: f64,
    delay_p50: f64,
    delay_p99: f64,
    gap_p50: f64,
    gap_p99: f64,
    cpu_us_per_token: f64,
    resident_mib: f64,
    errors: f64,
}

/// One side of one case, medians over the rounds.
#[derive(Debug, Serialize)]
struct Row {
    side: &'static str,
    streams: usize,
    /// Tokens of one answer.
    tokens: usize,
    token_ms: u64,
    median: Sample,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    rows: Vec<Row>,
}

impl Streams<'_> {
    /// All of it.
    pub(crate) fn run(&self, binary: &Binary, machine: Machine) -> Result<ExitCode, Failure> {
        let server = Server::start()?;
        let upstream = server.address();
        let around = (self.place, self.cores);
        let nginx = Nginx::start_if_there(upstream, self.place, self.cores, self.stop)?;
        let start = |binary: &Binary| Guard::start(binary, upstream, around, self.stop);
        let mut guards = Vec::new();
        for (name, mode) in [("hold", "hold"), ("follow", "follow"), ("whole", "whole")] {
            guards.push((name, start(&binary.with_policy(&policy(mode), self.place)?)?));
        }
        if let Some(path) = &self.args.unjudged {
            let unjudged = binary.like(path, self.place)?;
            guards
                .push(("hold, no-op", start(&unjudged.with_policy(&policy("hold"), self.place)?)?));
        }
        let mut sides = vec![Side { name: "direct", address: upstream, pids: Vec::new() }];
        let proxies = nginx.iter().map(|nginx| ("nginx", &nginx.server));
        let proxies = proxies.chain(guards.iter().map(|(name, guard)| (*name, &guard.server)));
        sides.extend(proxies.map(|(name, server)| Side {
            name,
            address: server.address(),
            pids: server.pids(),
        }));
        let mut rows = Vec::new();
        for &count in &self.args.streams {
            let every = Duration::from_millis(self.args.token_ms);
            rows.extend(self.case(&server, &sides, (count.into(), TOKENS, every))?);
        }
        for tokens in LENGTHS {
            rows.extend(self.case(&server, &sides, (1, tokens, Duration::ZERO))?);
        }
        let report = Report { machine, rows };
        match self.args.json {
            // Plain numbers and strings: it cannot fail.
            true => println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default()),
            false => println!("{report}"),
        }
        let errors = report.rows.iter().any(|row| row.median.errors > 0.0);
        Ok(if errors { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn case(
        &self,
        server: &Server,
        sides: &[Side],
        (streams, tokens, every): (usize, usize, Duration),
    ) -> Result<Vec<Row>, Failure> {
        server.speak(tokens, every);
        let time = every * u32::try_from(tokens).unwrap_or(u32::MAX);
        let repeat = if every.is_zero() { ALL_TOKENS / tokens } else { 1 };
        let mut samples: Vec<Vec<Sample>> = sides.iter().map(|_| Vec::new()).collect();
        for round in 1..=self.args.rounds {
            for (side, samples) in sides.iter().zip(&mut samples) {
                eprintln!("{}: {streams} streams of {tokens} tokens, round {round}", side.name);
                let before = Used::by(&side.pids);
                let mut all = Heard::default();
                for _ in 0..repeat {
                    all.add(listen(side.address, streams, (tokens, time), self.stop)?);
                }
                let sample = Sample::of(&all, Used::by(&side.pids).since(before), side);
                eprintln!("  {sample:?}");
                samples.push(sample);
            }
        }
        let token_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        let row = |(side, samples): (&Side, Vec<Sample>)| {
            let median = Sample::median(&samples);
            Row { side: side.name, streams, tokens, token_ms, median }
        };
        Ok(sides.iter().zip(samples).map(row).collect())
    }
}

/// A policy that says nothing but how streams are released.
fn policy(mode: &str) -> String {
    format!(
        "version: 1\nname: bench\nhazards:\n  defaults: {{ sensitivity: medium, input: block, output: block, tools: block }}\nstreaming: {{ mode: {mode} }}\n"
    )
}

impl Heard {
    fn add(&mut self, other: Self) {
        self.first.extend(other.first);
        self.delays.extend(other.delays);
        self.gaps.extend(other.gaps);
        self.tokens += other.tokens;
        self.errors += other.errors;
        for times in [&mut self.first, &mut self.delays, &mut self.gaps] {
            times.sort_unstable();
        }
    }
}

impl Sample {
    fn of(heard: &Heard, used: Used, side: &Side) -> Self {
        Self {
            first_p50: quantile(&heard.first, 0.5),
            first_p99: quantile(&heard.first, 0.99),
            delay_p50: quantile(&heard.delays, 0.5),
            delay_p99: quantile(&heard.delays, 0.99),
            gap_p50: quantile(&heard.gaps, 0.5),
            gap_p99: quantile(&heard.gaps, 0.99),
            cpu_us_per_token: used.cpu as f64 / 1000.0 / heard.tokens.max(1) as f64,
            resident_mib: Resident::of(&side.pids).kib as f64 / 1024.0,
            errors: heard.errors as f64,
        }
    }

    fn median(samples: &[Self]) -> Self {
        let middle = |of: fn(&Self) -> f64| median(samples.iter().map(of).collect());
        Self {
            first_p50: middle(|sample| sample.first_p50),
            first_p99: middle(|sample| sample.first_p99),
            delay_p50: middle(|sample| sample.delay_p50),
            delay_p99: middle(|sample| sample.delay_p99),
            gap_p50: middle(|sample| sample.gap_p50),
            gap_p99: middle(|sample| sample.gap_p99),
            cpu_us_per_token: middle(|sample| sample.cpu_us_per_token),
            resident_mib: middle(|sample| sample.resident_mib),
            errors: samples.iter().map(|sample| sample.errors).sum(),
        }
    }
}

fn quantile(sorted: &[u64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(0.0, |&time| time as f64 / 1000.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header([
            "streams",
            "tokens",
            "each ms",
            "side",
            "first p50",
            "first p99",
            "delay p50",
            "delay p99",
            "gap p50",
            "gap p99",
            "CPU us/token",
            "MiB",
            "errors",
        ]);
        for row in &self.rows {
            let times = [
                row.median.first_p50,
                row.median.first_p99,
                row.median.delay_p50,
                row.median.delay_p99,
                row.median.gap_p50,
                row.median.gap_p99,
                row.median.cpu_us_per_token,
                row.median.resident_mib,
            ];
            let case = [row.streams.to_string(), row.tokens.to_string(), row.token_ms.to_string()];
            let cells = case.into_iter().chain([row.side.to_owned()]);
            let cells = cells.chain(times.iter().map(|time| format!("{time:.2}")));
            table.add_row(cells.chain([format!("{:.0}", row.median.errors)]));
        }
        for (_, column) in table.column_iter_mut().enumerate().filter(|(place, _)| *place != 3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{}\n", self.machine)?;
        writeln!(
            f,
            "Times in milliseconds. first: from the request to the first token; delay: from a token's being"
        )?;
        writeln!(
            f,
            "sent by the model server to its arrival; gap: from one arrival of tokens to the next.\n"
        )?;
        writeln!(f, "{table}")
    }
}
