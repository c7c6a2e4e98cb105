//! The report as Markdown, for a page beside the code.

use crate::interval::Estimate;
use crate::report::MeasureReport;
use crate::{Measures, Report};

/// Parts of fewer positives than this are left to the other forms.
const LEAST_POSITIVES: usize = 10;

impl Report {
    /// The most telling figures as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let subject = &self.subject;
        let mut text = format!("`{}`, policy {}\n\n", cell(&subject.guard), cell(&subject.policy));
        for data in &self.data {
            text += &format!("- {}: {} texts\n", cell(&data.name), data.texts);
        }
        for note in &subject.notes {
            text += &format!("- {}\n", cell(note));
        }
        text += &format!(
            "- without a verdict: {}\n\n```sh\n{}\n```\n\n",
            self.failures, subject.command
        );
        text += HEAD;
        for measure in &self.measures {
            text += &row(measure.title, &measure.overall);
        }
        for measure in self.measures.iter().filter(|m| ["any", "prompt_attack"].contains(&m.name)) {
            text += &parts(measure);
        }
        if !self.benign.is_empty() {
            text +=
                "\n| clean texts | texts | blocked | anything found |\n| --- | --- | --- | --- |\n";
            for (source, benign) in &self.benign {
                let (blocked, found) = (estimate(benign.blocked), estimate(benign.found));
                text += &format!("| {} | {} | {blocked} | {found} |\n", cell(source), benign.texts);
            }
        }
        if let Some(other) = &self.versus {
            text += "\n";
            for measure in &self.measures {
                if let Some(comparison) = &measure.versus {
                    text += &format!("- {}: {}\n", measure.title, comparison.words(&cell(other)));
                }
            }
        }
        text
    }
}

const HEAD: &str = "| | positive / texts | precision | recall | F1 | false positives | AUC | average precision | recall at 1 % | ECE | Brier |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

fn parts(measure: &MeasureReport) -> String {
    let mut text = String::new();
    for (dimension, slices) in &measure.by {
        text += &format!("\n{}, by {dimension}:\n\n{HEAD}", measure.title);
        for (value, measures) in slices.iter().filter(|(_, m)| m.positives >= LEAST_POSITIVES) {
            text += &row(value, measures);
        }
    }
    text
}

fn row(name: &str, m: &Measures) -> String {
    let figures = [
        m.precision,
        m.recall,
        m.f1,
        m.false_positive_rate,
        m.auc,
        m.average_precision,
        m.recall_at_1_percent,
        m.calibration_error,
        m.brier,
    ];
    let cells: Vec<String> = figures.into_iter().map(estimate).collect();
    format!("| {} | {} / {} | {} |\n", cell(name), m.positives, m.texts, cells.join(" | "))
}

fn estimate(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "–".to_owned(),
        |Estimate { value, low, high }| format!("{value:.3} ({low:.3}–{high:.3})"),
    )
}

/// Text that came from anywhere, in a cell of a table.
fn cell(text: &str) -> String {
    text.replace(['|', '\n', '\r', '`', '<', '>'], " ")
}
