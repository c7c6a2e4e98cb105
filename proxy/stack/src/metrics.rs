//! What is counted about streams, and what a policy lets them hold at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::Policy;

use crate::guard::bounds;
use crate::request_metrics::Requests;
use crate::{Circuit, Limits, SharedLimits, SpanCounts};

/// Upper bounds of the buckets of held bytes.
const BYTES: [u64; 8] = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24];
/// Upper bounds of the buckets of time that text waits for its verdict, in milliseconds.
pub(crate) const MILLISECONDS: [u64; 8] = [10, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// What metrics are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text format of Prometheus.
    Plain,
    /// OpenMetrics 1.0, which Prometheus asks for where it can.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    pub(crate) const fn media(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// `text` in this format: OpenMetrics names a counter without `_total` before its lines, and has an end.
    pub(crate) fn finish(self, text: String) -> String {
        if self == Self::Plain {
            return text;
        }
        let mut counters = Vec::new();
        for line in text.lines() {
            if let Some(name) =
                line.strip_prefix("# TYPE ").and_then(|l| l.strip_suffix("_total counter"))
            {
                counters.push(name.to_owned());
            }
        }
        let is_counter = |name: &str| counters.iter().any(|counter| counter == name);
        let named = |line: &str| {
            let (keyword, rest) = line.strip_prefix("# ")?.split_once(' ')?;
            let (name, about) = rest.split_once(' ')?;
            let name = name.strip_suffix("_total").filter(|name| is_counter(name))?;
            Some(format!("# {keyword} {name} {about}"))
        };
        let lines = text.lines().map(|line| named(line).unwrap_or_else(|| line.to_owned()) + "\n");
        lines.collect::<String>() + "# EOF\n"
    }
}

/// Counters of the guard, shared by all exchanges.
#[derive(Debug, Default)]
pub struct Metrics {
    /// The most that each stream held at a time.
    held: Histogram<8>,
    /// How long the oldest text of each examination waited for its verdict.
    waited: Histogram<8>,
    /// How requests ended.
    pub(crate) requests: Requests,
    shared_limits: Option<SharedLimits>,
    upstream: Option<Circuit>,
    spans: SpanCounts,
    more: Option<More>,
}

/// What others write about themselves.
struct More(Box<dyn Fn(&mut String) + Send + Sync>);

impl std::fmt::Debug for More {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("More")
    }
}

/// Counts of values by size.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    count: AtomicU64,
    sum: AtomicU64,
    max: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts `value` into the first bucket of `bounds` that holds it.
    pub(crate) fn add(&self, value: u64, bounds: &[u64; N]) {
        let fits = self.buckets.iter().zip(bounds).find(|(_, bound)| value <= **bound);
        if let Some((bucket, _)) = fits {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// The lines of one set of `labels`; `unit` is one of the values in the unit of the metric.
    pub(crate) fn write(
        &self,
        text: &mut String,
        (name, labels): (&str, &str),
        bounds: &[u64; N],
        unit: f64,
    ) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut line = |line: String| text.push_str(&(line + "\n"));
        let (comma, all) = match labels {
            "" => ("", String::new()),
            labels => (",", format!("{{{labels}}}")),
        };
        let mut below = 0;
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            below += get(bucket);
            // To the nanosecond: a bound is written as people write it.
            let bound = (*bound as f64 * unit * 1e9).round() / 1e9;
            line(format!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}"));
        }
        let count = get(&self.count).max(below);
        line(format!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
        line(format!("{name}_sum{all} {}", get(&self.sum) as f64 * unit));
        line(format!("{name}_count{all} {count}"));
    }

    /// A histogram without labels, and the largest value beside it.
    fn write_alone(
        &self,
        text: &mut String,
        (name, help): (&str, &str),
        bounds: &[u64; N],
        unit: f64,
    ) {
        header(text, name, "histogram", help);
        self.write(text, (name, ""), bounds, unit);
        let name = format!("{name}_max");
        header(text, &name, "gauge", "The largest of them since the start.");
        let max = self.max.load(Ordering::Relaxed) as f64 * unit;
        text.push_str(&format!("{name} {max}\n"));
    }
}

/// What a metric is, before its lines.
pub(crate) fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

impl Metrics {
    /// The same, with what `limits` count.
    #[must_use]
    pub fn with_shared_limits(self, limits: Option<SharedLimits>) -> Self {
        Self { shared_limits: limits, ..self }
    }

    /// The same, with what is known of the model server.
    #[must_use]
    pub fn with_upstream(self, circuit: Circuit) -> Self {
        Self { upstream: Some(circuit), ..self }
    }

    /// The same, with what `more` appends in the text format of Prometheus, if there is any.
    #[must_use]
    pub fn with_more(self, more: Option<impl Fn(&mut String) + Send + Sync + 'static>) -> Self {
        Self { more: more.map(|more| More(Box::new(more))), ..self }
    }

    /// A stream is over that held up to so many bytes at a time.
    pub(crate) fn stream_held(&self, bytes: usize) {
        self.held.add(bytes as u64, &BYTES);
    }

    /// A verdict came; the oldest text that waited for it had waited so long.
    pub(crate) fn text_waited(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited.add(ms, &MILLISECONDS);
    }

    /// What became of the spans of traces.
    #[must_use]
    pub const fn spans(&self) -> &SpanCounts {
        &self.spans
    }

    /// Everything in the text format of Prometheus, with what `policy` and `limits` let a stream hold at most.
    pub(crate) fn render(&self, policy: &Policy, limits: &Limits, format: Format) -> String {
        let mut text = String::new();
        declare(&mut text, policy, limits);
        let held = ("guard_stream_held_bytes", "The most that a stream held at a time.");
        self.held.write_alone(&mut text, held, &BYTES, 1.0);
        let waited = (
            "guard_stream_wait_seconds",
            "How long the oldest text of an examination waited for its verdict.",
        );
        self.waited.write_alone(&mut text, waited, &MILLISECONDS, 0.001);
        self.requests.write(&mut text, format);
        if let Some(limits) = &self.shared_limits {
            limits.write(&mut text);
        }
        if let Some(upstream) = &self.upstream {
            upstream.write(&mut text);
        }
        self.spans.write(&mut text);
        if let Some(More(more)) = &self.more {
            more(&mut text);
        }
        text
    }
}

/// The worst cases, by profile. Without a bound of their own, characters and time are unbounded: `whole` answers.
fn declare(text: &mut String, policy: &Policy, limits: &Limits) {
    let mut line = |line: std::fmt::Arguments<'_>| text.push_str(&format!("{line}\n"));
    line(format_args!("# HELP guard_policy_info The policy in force."));
    line(format_args!("# TYPE guard_policy_info gauge"));
    let (name, revision) = (policy.name(), policy.revision());
    line(format_args!("guard_policy_info{{policy=\"{name}\",revision=\"{revision}\"}} 1"));
    let bytes = "guard_stream_held_bytes_bound";
    line(format_args!("# HELP {bytes} A stream that would hold more is ended with an error."));
    line(format_args!("# TYPE {bytes} gauge"));
    line(format_args!("{bytes} {}", limits.answer_bytes));
    let profiles: Vec<_> = policy
        .profiles()
        .filter_map(|name| Some((name, bounds(&policy.with_profile(name)?))))
        .collect();
    let characters = "guard_stream_held_characters_bound";
    line(format_args!("# HELP {characters} Characters of one text that are held at most."));
    line(format_args!("# TYPE {characters} gauge"));
    for (profile, bounds) in &profiles {
        let most = bounds.characters.map_or("+Inf".to_owned(), |most| most.to_string());
        line(format_args!("{characters}{{profile=\"{profile}\"}} {most}"));
    }
    let seconds = "guard_stream_wait_seconds_bound";
    line(format_args!(
        "# HELP {seconds} Time from a text's arrival to its verdict at most, where no check takes longer than the policy lets it."
    ));
    line(format_args!("# TYPE {seconds} gauge"));
    for (profile, bounds) in &profiles {
        let most = bounds.time.map_or("+Inf".to_owned(), |most| most.as_secs_f64().to_string());
        line(format_args!("{seconds}{{profile=\"{profile}\"}} {most}"));
    }
}
