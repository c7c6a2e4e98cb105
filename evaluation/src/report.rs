//! What is reported about a guard.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::compare::{Comparison, compare};
use crate::interval::Estimate;
use crate::measures::{Judged, Measures, ranked};
use crate::ranking::Curves;
use crate::{Example, Measure, Outcome, cyberseceval};

/// A file that was read.
#[derive(Clone, Debug, Serialize)]
pub struct DataSet {
    /// Its name.
    pub name: String,
    /// Its labelled texts.
    pub texts: usize,
}

/// Who was measured, and how.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Subject {
    /// What judged: classifiers with their revisions, or an address.
    pub guard: String,
    /// The policy that decided; nothing where that is the guard's own business.
    pub policy: String,
    /// The command that makes this report again.
    pub command: String,
    /// What a reader must know, such as whether the classifier was trained on the data.
    pub notes: Vec<String>,
}

/// One side: outcomes in the order of the examples.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it is called in the report.
    pub name: &'a str,
    /// One for each example.
    pub outcomes: &'a [Outcome],
}

/// Clean texts of one source.
#[derive(Clone, Debug, Serialize)]
pub struct Benign {
    /// How many.
    pub texts: usize,
    /// Share that was blocked.
    pub blocked: Option<Estimate>,
    /// Share in which anything was found, blocked or not.
    pub found: Option<Estimate>,
}

/// Everything about one measure.
#[derive(Clone, Debug, Serialize)]
pub struct MeasureReport {
    /// Its name, as in gates.
    pub name: &'static str,
    /// What a person reads.
    pub title: &'static str,
    /// All texts.
    pub overall: Measures,
    /// Parts of them: by `language`, `source` and `direction`, then by value.
    pub by: BTreeMap<&'static str, BTreeMap<String, Measures>>,
    /// What the plots show.
    pub curves: Curves,
    /// Beside the other side, if there is one.
    pub versus: Option<Comparison>,
}

/// What is reported about a guard.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// Who was measured.
    pub subject: Subject,
    /// On what.
    pub data: Vec<DataSet>,
    /// Texts without a verdict, which are in no measure.
    pub failures: usize,
    /// Whether the guard tells scores.
    pub has_scores: bool,
    /// The other side's name.
    pub versus: Option<String>,
    /// Each measure of which there are labels.
    pub measures: Vec<MeasureReport>,
    /// Clean texts by source; all of them under `all`.
    pub benign: BTreeMap<String, Benign>,
    /// CyberSecEval's statistics, under its own names.
    pub cyberseceval: Option<Value>,
}

/// What texts are told apart by: its name, and what it is of one.
type Dimension = (&'static str, fn(&Example) -> &str);
const DIMENSIONS: [Dimension; 3] = [
    ("language", |example| &example.language),
    ("source", |example| &example.source),
    ("direction", |example| example.direction().name()),
];

impl Report {
    /// Measures what `side` made of `examples`, beside `versus` if there is one.
    #[must_use]
    pub fn new(
        subject: Subject,
        data: Vec<DataSet>,
        examples: &[Example],
        side: Side<'_>,
        versus: Option<Side<'_>>,
    ) -> Self {
        let verdict = |side: Side<'_>, index: usize| {
            side.outcomes.get(index).is_some_and(|outcome| outcome.failure.is_none())
        };
        let has_scores = side.outcomes.iter().any(|outcome| outcome.scores.is_some());
        let measures = Measure::all()
            .filter_map(|measure| Rows { examples, side, versus, has_scores }.report(measure))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            subject,
            data,
            failures: (0..examples.len()).filter(|index| !verdict(side, *index)).count(),
            has_scores,
            versus: versus.map(|side| side.name.to_owned()),
            measures,
            benign: benign(examples, side.outcomes),
            cyberseceval: cyberseceval::statistics(side.name, examples, side.outcomes),
        }
    }

    /// The report as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

struct Rows<'a> {
    examples: &'a [Example],
    side: Side<'a>,
    versus: Option<Side<'a>>,
    has_scores: bool,
}

impl Rows<'_> {
    /// None where nothing that should be found is known.
    fn report(&self, measure: Measure) -> Option<MeasureReport> {
        let labelled: Vec<(&Example, Judged)> = self
            .examples
            .iter()
            .zip(self.side.outcomes)
            .filter_map(|(example, outcome)| Some((example, judged(measure, example, outcome)?)))
            .collect();
        if !labelled.iter().any(|(_, one)| one.positive) {
            return None;
        }
        let all = ranked(labelled.iter().map(|(_, one)| *one).collect());
        let by = DIMENSIONS.map(|(name, value)| (name, self.slices(&labelled, value)));
        Some(MeasureReport {
            name: measure.name(),
            title: measure.title(),
            overall: Measures::of(&all, self.has_scores),
            by: by.into_iter().filter(|(_, slices)| slices.len() > 1).collect(),
            curves: if self.has_scores { Curves::of(&all) } else { Curves::default() },
            versus: self.versus.map(|other| self.compared(measure, other)),
        })
    }

    fn slices(
        &self,
        labelled: &[(&Example, Judged)],
        value: fn(&Example) -> &str,
    ) -> BTreeMap<String, Measures> {
        let mut slices: BTreeMap<&str, Vec<Judged>> = BTreeMap::new();
        for (example, one) in labelled {
            slices.entry(value(example)).or_default().push(*one);
        }
        slices.remove("");
        let measured = |(value, judged): (&str, Vec<Judged>)| {
            (value.to_owned(), Measures::of(&ranked(judged), self.has_scores))
        };
        slices.into_iter().map(measured).collect()
    }

    fn compared(&self, measure: Measure, other: Side<'_>) -> Comparison {
        let pairs = self.examples.iter().zip(self.side.outcomes).zip(other.outcomes);
        let (first, second): (Vec<Judged>, Vec<Judged>) = pairs
            .filter_map(|((example, one), other)| {
                Some((judged(measure, example, one)?, judged(measure, example, other)?))
            })
            .unzip();
        compare(&first, &second, self.has_scores)
    }
}

fn judged(measure: Measure, example: &Example, outcome: &Outcome) -> Option<Judged> {
    if outcome.failure.is_some() {
        return None;
    }
    let score = outcome.score(measure).unwrap_or_default();
    Some(Judged {
        score: f64::from(score),
        positive: measure.label(example)?,
        found: outcome.found(measure),
    })
}

fn benign(examples: &[Example], outcomes: &[Outcome]) -> BTreeMap<String, Benign> {
    let mut sources: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for (example, outcome) in examples.iter().zip(outcomes) {
        if example.is_clean() && outcome.failure.is_none() {
            sources.entry("all").or_default().push(outcome);
            if !example.source.is_empty() {
                sources.entry(&example.source).or_default().push(outcome);
            }
        }
    }
    let counted = |(source, outcomes): (&str, Vec<&Outcome>)| {
        let texts = outcomes.len();
        let blocked = outcomes.iter().filter(|outcome| outcome.blocked).count();
        let found = outcomes.iter().filter(|o| o.blocked || !o.found.is_empty()).count();
        let benign = Benign {
            texts,
            blocked: Estimate::share(blocked, texts),
            found: Estimate::share(found, texts),
        };
        (source.to_owned(), benign)
    };
    sources.into_iter().map(counted).collect()
}
