//! What operators are told about requests: counted when a record closes, from what it says.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proxy_audit::{Action, Closed, Mode, Outcome, Ruling, Text};

use crate::metrics::{Format, Histogram, header};

/// Upper bounds of the buckets of time, in milliseconds.
const MILLISECONDS: [u64; 10] = [1, 5, 10, 25, 50, 100, 250, 1_000, 10_000, 100_000];
/// Series of one metric. Labels are words of the program and names from policies; whatever happens, there are no more.
const SERIES: usize = 1_000;

/// Counters of requests, shared by all exchanges.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    counts: Mutex<Counts>,
    total: Histogram<10>,
    upstream: Histogram<10>,
    input: Histogram<10>,
    output: Histogram<10>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: HashMap<(&'static str, Outcome), u64>,
    reasons: HashMap<(Outcome, Text), u64>,
    decisions: HashMap<Decided, u64>,
    unchecked: HashMap<Text, u64>,
    /// For each bucket of the time of requests, the last traced one in it, and how many seconds that took.
    exemplars: BTreeMap<usize, (Text, f32)>,
}

/// A decision as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Decided {
    profile: Text,
    direction: &'static str,
    action: Action,
    would: Option<Action>,
    /// What weighed most.
    hazard: Text,
    mode: Mode,
}

impl Requests {
    /// A request in this format (see [`crate::routes::spoken`]) has ended so.
    pub(crate) fn closed(
        &self,
        (dialect, trace_id): (&'static str, Option<&Text>),
        closed: &Closed,
    ) {
        let timing = &closed.timing_ms;
        self.total.add(whole(timing.total), &MILLISECONDS);
        for (time, histogram) in [
            (timing.upstream, &self.upstream),
            (timing.guard_input, &self.input),
            (timing.guard_output, &self.output),
        ] {
            if time > 0.0 {
                histogram.add(whole(time), &MILLISECONDS);
            }
        }
        let mut counts = self.lock();
        if let Some(trace_id) = trace_id {
            let (bucket, seconds) = (bucket(timing.total), timing.total / 1_000.0);
            counts.exemplars.insert(bucket, (trace_id.clone(), seconds));
        }
        add(&mut counts.requests, (dialect, closed.outcome));
        if let Some(reason) = &closed.reason {
            add(&mut counts.reasons, (closed.outcome, reason.clone()));
        }
        for (direction, ruling) in [("input", &closed.input), ("output", &closed.output)] {
            if let Some(ruling) = ruling {
                add(&mut counts.decisions, decided(closed, direction, ruling));
            }
        }
        for unchecked in &closed.unchecked {
            // Behind the colon it says more than a label should.
            let why = unchecked.why.split(':').next().unwrap_or_default();
            add(&mut counts.unchecked, why.to_owned().into());
        }
    }

    /// All of it in the text format of Prometheus; with exemplars, which only [`Format::OpenMetrics`] has.
    pub(crate) fn write(&self, text: &mut String, format: Format) {
        self.write_counts(text);
        self.write_total(text, format);
        let mut seconds = |name: &str, help: &str, series: &[(&str, &Histogram<10>)]| {
            header(text, name, "histogram", help);
            for (labels, histogram) in series {
                histogram.write(text, (name, labels), &MILLISECONDS, 0.001);
            }
        };
        let help = "Time that the model server took to begin its answer.";
        seconds("guard_upstream_seconds", help, &[("", &self.upstream)]);
        let directions =
            [("direction=\"input\"", &self.input), ("direction=\"output\"", &self.output)];
        let help = "Time that judging and deciding took.";
        seconds("guard_added_latency_seconds", help, &directions);
    }

    fn write_total(&self, text: &mut String, format: Format) {
        let name = "guard_request_seconds";
        let help = "Time from a request's acceptance to the end of its record.";
        header(text, name, "histogram", help);
        let mut lines = String::new();
        self.total.write(&mut lines, (name, ""), &MILLISECONDS, 0.001);
        let counts = self.lock();
        for (at, line) in lines.lines().enumerate() {
            text.push_str(line);
            // The buckets come first.
            if let (Some((id, seconds)), Format::OpenMetrics) = (counts.exemplars.get(&at), format)
            {
                text.push_str(&format!(" # {{trace_id=\"{id}\"}} {seconds}"));
            }
            text.push('\n');
        }
    }

    fn write_counts(&self, text: &mut String) {
        let counts = self.lock();
        let name = ("guard_requests_total", "Requests, by format and by how they ended.");
        lines(text, name, &counts.requests, |(dialect, outcome)| {
            format!("dialect=\"{dialect}\",outcome=\"{outcome}\"")
        });
        let name =
            ("guard_reasons_total", "Why requests ended as they did, where that has a name.");
        lines(text, name, &counts.reasons, |(outcome, reason)| {
            format!("outcome=\"{outcome}\",reason=\"{reason}\"")
        });
        let name = ("guard_decisions_total", "Decisions about requests and answers.");
        lines(text, name, &counts.decisions, |decided| {
            let Decided { profile, direction, action, would, hazard, mode } = decided;
            let would = would.unwrap_or(*action);
            format!(
                "profile=\"{profile}\",direction=\"{direction}\",action=\"{action}\",would=\"{would}\",hazard=\"{hazard}\",\
                 mode=\"{mode}\""
            )
        });
        let name = ("guard_unchecked_total", "What passed unexamined because a policy says so.");
        lines(text, name, &counts.unchecked, |reason| format!("reason=\"{reason}\""));
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decided(closed: &Closed, direction: &'static str, ruling: &Ruling) -> Decided {
    Decided {
        profile: closed.profile.clone().unwrap_or(Text::Borrowed("base")),
        direction,
        action: ruling.action,
        would: ruling.would,
        hazard: ruling.because.first().cloned().unwrap_or(Text::Borrowed("none")),
        mode: closed.mode,
    }
}

fn add<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: K) {
    if counts.len() < SERIES || counts.contains_key(&key) {
        *counts.entry(key).or_default() += 1;
    }
}

fn lines<K>(
    text: &mut String,
    (name, help): (&str, &str),
    counts: &HashMap<K, u64>,
    labels: impl Fn(&K) -> String,
) {
    header(text, name, "counter", help);
    let mut lines: Vec<_> = counts.iter().map(|(key, count)| (labels(key), count)).collect();
    lines.sort();
    for (labels, count) in lines {
        text.push_str(&format!("{name}{{{labels}}} {count}\n"));
    }
}

/// Which bucket so many milliseconds are in, the one without a bound last.
fn bucket(milliseconds: f32) -> usize {
    let fits = MILLISECONDS.iter().position(|bound| whole(milliseconds) <= *bound);
    fits.unwrap_or(MILLISECONDS.len())
}

/// Milliseconds, upwards: what took a moment took more than nothing.
fn whole(milliseconds: f32) -> u64 {
    milliseconds.ceil() as u64
}
