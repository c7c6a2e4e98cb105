//! Yes or no: what a report must say.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::{Measure, Report};

/// A condition such as `jailbreak.recall >= 0.3`, `any[language=de].auc.low >= 0.9` or
/// `benign[source=all].blocked <= 0.01`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    measure: String,
    part: Option<(String, String)>,
    figure: String,
    /// `value`, or an end of the interval.
    which: &'static str,
    operator: Operator,
    limit: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
}

/// The text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{gate}` is no condition: {why}; write one such as `jailbreak.recall>=0.3`")]
pub struct GateError {
    gate: String,
    why: &'static str,
}

/// How a condition came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// Whether it holds. What was not measured does not hold.
    pub holds: bool,
    /// The figure, if it was measured.
    pub value: Option<f64>,
}

const FIGURES: [&str; 9] = [
    "precision",
    "recall",
    "f1",
    "false_positive_rate",
    "auc",
    "average_precision",
    "recall_at_1_percent",
    "calibration_error",
    "brier",
];

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let wrong = |why| GateError { gate: text.to_owned(), why };
        let (left, operator, limit) = text
            .split_once(">=")
            .map(|(left, right)| (left, Operator::AtLeast, right))
            .or_else(|| text.split_once("<=").map(|(left, right)| (left, Operator::AtMost, right)))
            .ok_or_else(|| wrong("it has neither `>=` nor `<=`"))?;
        let limit = limit.trim().parse().map_err(|_| wrong("what follows is no number"))?;
        let (subject, figure) = split(left.trim()).ok_or_else(|| wrong("no figure is named"))?;
        let (figure, which) = match figure.split_once('.') {
            Some((figure, "low")) => (figure, "low"),
            Some((figure, "high")) => (figure, "high"),
            Some(_) => return Err(wrong("after a figure only `.low` or `.high` may follow")),
            None => (figure, "value"),
        };
        let (measure, part) = match subject.strip_suffix(']').and_then(|s| s.split_once('[')) {
            Some((measure, part)) => {
                let part = part.split_once('=').ok_or_else(|| wrong("a part is [language=de]"))?;
                (measure, Some((part.0.to_owned(), part.1.to_owned())))
            }
            None => (subject, None),
        };
        let known = if measure == "benign" {
            ["blocked", "found"].contains(&figure)
        } else if Measure::all().any(|known| known.name() == measure) {
            FIGURES.contains(&figure)
        } else {
            return Err(wrong("there is no such measure"));
        };
        if !known {
            return Err(wrong("there is no such figure"));
        }
        let (measure, figure, text) = (measure.to_owned(), figure.to_owned(), text.to_owned());
        Ok(Self { measure, part, figure, which, operator, limit, text })
    }
}

/// Measure with its part, and figure; a part may hold dots.
fn split(left: &str) -> Option<(&str, &str)> {
    match left.rfind(']') {
        Some(end) => {
            let (subject, rest) = left.split_at_checked(end + 1)?;
            Some((subject, rest.strip_prefix('.')?))
        }
        None => left.split_once('.'),
    }
}

impl Gate {
    /// Looks the figure up.
    #[must_use]
    pub fn check(&self, report: &Report) -> Passed {
        let value = self.value(report);
        let holds = value.is_some_and(|value| match self.operator {
            Operator::AtLeast => value >= self.limit,
            Operator::AtMost => value <= self.limit,
        });
        Passed { holds, value }
    }

    fn value(&self, report: &Report) -> Option<f64> {
        let figures = if self.measure == "benign" {
            let source = self.part.as_ref().map_or("all", |(_, source)| source);
            serde_json::to_value(report.benign.get(source)?).ok()?
        } else {
            let measure = report.measures.iter().find(|known| known.name == self.measure)?;
            let measures = match &self.part {
                None => &measure.overall,
                Some((dimension, value)) => measure.by.get(dimension.as_str())?.get(value)?,
            };
            serde_json::to_value(measures).ok()?
        };
        figures.get(&self.figure)?.get(self.which).and_then(Value::as_f64)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
