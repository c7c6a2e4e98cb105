//! Every combination, round after round, the sides in turn.

use std::net::SocketAddr;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::accounts::{self, Resident, Used};
use crate::args::Args;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::load::{Errors, Load};
use crate::nginx::Nginx;
use crate::stop::Stop;
use crate::text::{Kind, Requests};
use crate::upstream::Upstream;

/// At most this long is spent on warming up before each measurement.
const WARM_UP: Duration = Duration::from_millis(500);

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Direct,
    Nginx,
    Guard,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Case {
    pub(crate) texts: Kind,
    pub(crate) body: u32,
    pub(crate) connections: u16,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Of the proxy alone; for the bare upstream there is none.
    pub(crate) cpu_us_per_request: f64,
    pub(crate) switches_per_request: f64,
    /// How busy cores were with other things than load, upstream and proxy; 1 is one core.
    pub(crate) others: f64,
    pub(crate) errors: u64,
    pub(crate) resident_kib: u64,
}

/// One side of one case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) side: Side,
    /// Medians over the rounds; of errors the sum.
    pub(crate) median: Sample,
    pub(crate) rounds: Vec<Sample>,
    pub(crate) first_error: Option<String>,
}

/// Everything that takes part.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    pub(crate) args: &'a Args,
    pub(crate) upstream: &'a Upstream,
    pub(crate) nginx: Option<&'a Nginx>,
    pub(crate) guard: &'a Guard,
    pub(crate) stop: &'a Stop,
}

/// A side as it is reached.
struct Peer {
    side: Side,
    address: SocketAddr,
    pids: Vec<u32>,
}

impl Series<'_> {
    /// All of it.
    pub(crate) fn run(&self) -> Result<Vec<Row>, Failure> {
        let (peers, cases) = (self.peers(), self.cases());
        let rounds = usize::try_from(self.args.rounds).unwrap_or(usize::MAX);
        let progress = progress(cases.len() * peers.len() * rounds);
        let mut rows = Vec::new();
        for case in cases {
            rows.extend(self.case(case, &peers, &progress)?);
        }
        progress.finish_and_clear();
        Ok(rows)
    }

    fn case(
        &self,
        case: Case,
        peers: &[Peer],
        progress: &ProgressBar,
    ) -> Result<Vec<Row>, Failure> {
        let mut rows: Vec<Row> = peers.iter().map(|peer| Row::new(case, peer.side)).collect();
        for _ in 0..self.args.rounds {
            for (peer, row) in peers.iter().zip(&mut rows) {
                progress.set_message(row.to_string());
                let series = u32::try_from(progress.position()).unwrap_or(u32::MAX);
                let (sample, errors) = self.measure(case, peer, series)?;
                row.add(sample, errors);
                progress.inc(1);
            }
        }
        rows.iter_mut().for_each(Row::settle);
        Ok(rows)
    }

    fn measure(&self, case: Case, peer: &Peer, series: u32) -> Result<(Sample, Errors), Failure> {
        let time = Duration::from_secs(self.args.seconds);
        self.upstream.answer_with(case.texts);
        let own = [std::process::id()];
        let load = Load {
            target: peer.address,
            connections: case.connections.into(),
            requests: Requests::new(case.texts, case.body as usize, peer.address.port(), series),
            warm_up: time.min(WARM_UP),
            time,
        };
        let probe = || Ok((Used::by(&peer.pids), Used::by(&own).cpu, accounts::machine_busy()));
        let loaded = load.run(probe, self.stop)?;
        let (used, own, busy) = (
            loaded.after.0.since(loaded.before.0),
            loaded.after.1.saturating_sub(loaded.before.1),
            loaded.after.2.saturating_sub(loaded.before.2),
        );
        let count = loaded.latencies.len();
        let each = |total: u64| total as f64 / count.max(1) as f64;
        let sample = Sample {
            requests_per_second: count as f64 / loaded.elapsed.as_secs_f64(),
            p50_ms: quantile(&loaded.latencies, 0.50),
            p99_ms: quantile(&loaded.latencies, 0.99),
            cpu_us_per_request: each(used.cpu) / 1000.0,
            switches_per_request: each(used.switches),
            others: busy.saturating_sub(own + used.cpu) as f64 / loaded.elapsed.as_nanos() as f64,
            errors: loaded.errors.count,
            resident_kib: Resident::of(&peer.pids).kib,
        };
        Ok((sample, loaded.errors))
    }

    fn peers(&self) -> Vec<Peer> {
        let direct =
            Peer { side: Side::Direct, address: self.upstream.address(), pids: Vec::new() };
        let nginx = self.nginx.map(|nginx| (Side::Nginx, &nginx.server));
        let proxies = nginx.into_iter().chain([(Side::Guard, &self.guard.server)]);
        let proxies = proxies.map(|(side, server)| Peer {
            side,
            address: server.address(),
            pids: server.pids(),
        });
        [direct].into_iter().chain(proxies).collect()
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &texts in &self.args.texts {
            for &body in &self.args.body {
                for &connections in &self.args.connections {
                    cases.push(Case { texts, body, connections });
                }
            }
        }
        cases
    }
}

impl Row {
    const fn new(case: Case, side: Side) -> Self {
        let median = Sample {
            requests_per_second: 0.0,
            p50_ms: 0.0,
            p99_ms: 0.0,
            cpu_us_per_request: 0.0,
            switches_per_request: 0.0,
            others: 0.0,
            errors: 0,
            resident_kib: 0,
        };
        Self { case, side, median, rounds: Vec::new(), first_error: None }
    }

    fn add(&mut self, sample: Sample, errors: Errors) {
        self.rounds.push(sample);
        if self.first_error.is_none() {
            self.first_error = errors.first;
        }
    }

    fn settle(&mut self) {
        self.median = Sample {
            requests_per_second: self.middle(|sample| sample.requests_per_second),
            p50_ms: self.middle(|sample| sample.p50_ms),
            p99_ms: self.middle(|sample| sample.p99_ms),
            cpu_us_per_request: self.middle(|sample| sample.cpu_us_per_request),
            switches_per_request: self.middle(|sample| sample.switches_per_request),
            others: self.middle(|sample| sample.others),
            errors: self.rounds.iter().map(|sample| sample.errors).sum(),
            resident_kib: self.middle(|sample| sample.resident_kib as f64) as u64,
        };
    }

    fn middle(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Case { texts, body, connections } = self.case;
        write!(f, "{:?}: {texts} texts, {body} bytes, {connections} connections", self.side)
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or_default();
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        at(half)
    } else {
        f64::midpoint(at(half.saturating_sub(1)), at(half))
    }
}

fn quantile(sorted_ns: &[u64], part: f64) -> f64 {
    let place = (sorted_ns.len() as f64 * part) as usize;
    let place = place.min(sorted_ns.len().saturating_sub(1));
    sorted_ns.get(place).map_or(0.0, |&ns| ns as f64 / 1e6)
}

/// On a terminal; elsewhere nothing is drawn.
fn progress(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg} ({eta} left)") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        for (values, expected) in [(vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0], 2.5), (vec![], 0.0)]
        {
            assert!((median(values) - expected).abs() < 1e-9);
        }
        let thousand: Vec<u64> = (1..=100).map(|n| n * 1_000_000).collect();
        assert!((quantile(&thousand, 0.5) - 51.0).abs() < 1e-9);
        assert!((quantile(&thousand, 0.99) - 100.0).abs() < 1e-9);
    }
}
