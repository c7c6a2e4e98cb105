//! Tables of an evaluation, as Markdown and as JSON.

#![expect(clippy::indexing_slicing, reason = "categories index arrays of as many categories")]

use std::collections::BTreeMap;

use classifiers_starter::training::{CATEGORIES, HAZARDS, Knots, reference_scale};
use serde_json::{Value, json};

use crate::calibration::{HARDEST, LOW, MEDIUM, any_blocked};
use crate::data::Row;
use crate::folds::Raw;
use crate::metrics::{Judged, auc, average_precision, recall_at, share};

const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "it", "pt", "hi", "th"];
/// Fewer positives than this say nothing about a category in a language.
const LEAST_POSITIVES: usize = 3;

/// One side of a comparison: a name and its raw scores.
pub(crate) struct Side<'a> {
    pub(crate) name: &'a str,
    pub(crate) raw: &'a Raw,
}

/// What is reported about rows scored by one or two sides; the first is ours.
pub(crate) struct Report<'a> {
    rows: &'a [Row],
    sides: Vec<Side<'a>>,
    knots: [Knots; CATEGORIES],
    markdown: String,
    json: BTreeMap<String, Value>,
}

impl<'a> Report<'a> {
    /// All tables.
    pub(crate) fn new(rows: &'a [Row], sides: Vec<Side<'a>>, knots: [Knots; CATEGORIES]) -> Self {
        let mut report =
            Self { rows, sides, knots, markdown: String::new(), json: BTreeMap::new() };
        report.attacks();
        report.attacks_by_language();
        report.attacks_by_source();
        report.hazards();
        report.false_alarms();
        report
    }

    /// The tables as Markdown.
    pub(crate) fn markdown(&self) -> &str {
        &self.markdown
    }

    /// The figures as JSON.
    pub(crate) fn json(&self) -> Value {
        json!(self.json)
    }

    fn judged(&self, side: &Side<'_>, keep: impl Fn(&Row) -> bool) -> Vec<Judged> {
        let rows = self.rows.iter().zip(side.raw).filter(|(row, _)| !row.own && keep(row));
        rows.filter_map(|(row, raw)| Some((attack_score(raw), row.is_attack()?))).collect()
    }

    fn line(&mut self, cells: &[String]) {
        self.markdown.push_str(&format!("| {} |\n", cells.join(" | ")));
    }

    fn head(&mut self, title: &str, columns: &[&str], extra: &[&str]) {
        self.markdown.push_str(&format!("\n## {title}\n\n"));
        let mut cells: Vec<String> = vec![columns[0].to_owned()];
        for side in &self.sides {
            cells.extend(columns[1..].iter().map(|c| format!("{} {c}", side.name)));
        }
        cells.extend(extra.iter().map(|&c| c.to_owned()));
        let rule = vec!["---".to_owned(); cells.len()];
        self.line(&cells);
        self.line(&rule);
    }

    fn attacks(&mut self) {
        self.head("Prompt attacks, all sources", &["rows", "AUC", "recall at 1 %"], &[]);
        self.attack_line("all", |_| true);
        self.attack_line("dialogue", |row| !row.tool);
        self.attack_line("tools", |row| row.tool);
    }

    fn attack_line(&mut self, name: &str, keep: impl Fn(&Row) -> bool) {
        let mut cells = vec![name.to_owned()];
        for side in &self.sides {
            let judged = self.judged(side, &keep);
            let (auc, recall) = (auc(&judged), recall_at(&judged, 0.01));
            self.json.insert(format!("attack/{}/{name}", side.name), json!([auc, recall]));
            cells.extend([number(auc), number(recall)]);
        }
        self.line(&cells);
    }

    fn attacks_by_language(&mut self) {
        self.head("Prompt attacks by language", &["language", "AUC", "recall at 1 %"], &[]);
        for language in LANGUAGES {
            self.attack_line(language, |row| row.lang == language);
        }
    }

    /// Recall by source of attacks, at 1 % false positives over all sources, and at 0.70 for ours.
    fn attacks_by_source(&mut self) {
        self.head(
            "Attacks found by source",
            &["source", "recall at 1 %"],
            &["starter at 0.70", "starter at 0.90"],
        );
        let mut sources: BTreeMap<&str, usize> = BTreeMap::new();
        for row in self.rows.iter().filter(|r| !r.own && r.is_attack() == Some(true)) {
            *sources.entry(&row.source).or_default() += 1;
        }
        for (source, count) in sources {
            let mut cells = vec![format!("{source} ({count})")];
            for side in &self.sides {
                let judged =
                    self.judged(side, |row| row.is_attack() == Some(false) || row.source == source);
                cells.push(number(recall_at(&judged, 0.01)));
            }
            for threshold in [MEDIUM, LOW] {
                let of_source = self.rows.iter().zip(self.sides[0].raw).filter(|(row, _)| {
                    !row.own && row.source == source && row.is_attack() == Some(true)
                });
                let hits = of_source.map(|(_, raw)| self.is_flagged_attack(raw, threshold));
                cells.push(number(share(hits)));
            }
            self.line(&cells);
        }
    }

    fn is_flagged_attack(&self, raw: &[f32; CATEGORIES], threshold: f32) -> bool {
        (0..2).any(|c| reference_scale(raw[c], self.knots[c]) >= threshold)
    }

    fn hazards(&mut self) {
        self.head(
            "Hazards: macro average precision by language",
            &["language", "macro AP"],
            &["starter by hazard"],
        );
        for language in LANGUAGES {
            let mut cells = vec![language.to_owned()];
            let mut details = String::new();
            for (index, side) in self.sides.iter().enumerate() {
                let by_hazard = self.precisions(side, language);
                let known: Vec<f64> = by_hazard.iter().map(|h| h.1).collect();
                let mean = known.iter().sum::<f64>() / known.len() as f64;
                self.json.insert(format!("hazards/{}/{language}", side.name), json!(mean));
                cells.push(number(mean));
                if index == 0 {
                    let each = by_hazard.iter().map(|(h, ap)| format!("S{h} {ap:.2}"));
                    details = each.collect::<Vec<_>>().join(", ");
                }
            }
            cells.push(details);
            self.line(&cells);
        }
    }

    fn precisions(&self, side: &Side<'_>, language: &str) -> Vec<(usize, f64)> {
        let of_hazard = |hazard: usize| {
            let rows = self.rows.iter().zip(side.raw);
            let judged: Vec<Judged> = rows
                .filter(|(row, _)| !row.own && row.lang == language)
                .filter_map(|(row, raw)| Some((raw[2 + hazard], row.hazards? >> hazard & 1 == 1)))
                .collect();
            let enough = judged.iter().filter(|j| j.1).count() >= LEAST_POSITIVES;
            enough.then(|| (hazard + 1, average_precision(&judged)))
        };
        (0..HAZARDS).filter_map(of_hazard).collect()
    }

    /// False alarms by benign source: of the categories blocked by default, and of attacks alone.
    fn false_alarms(&mut self) {
        self.markdown.push_str("\n## False alarms on clean texts by source\n\n");
        let head = [
            "source",
            "rows",
            "blocked categories at 0.70",
            "attacks at 0.70",
            "blocked categories at 0.90",
        ];
        self.line(&head.map(str::to_owned));
        self.line(&["---"; 5].map(str::to_owned));
        let pairs = self.rows.iter().zip(self.sides[0].raw);
        let mut sources: BTreeMap<&str, Vec<&[f32; CATEGORIES]>> = BTreeMap::new();
        for (row, raw) in pairs.filter(|(row, _)| row.is_clean() && !row.own) {
            sources.entry(&row.source).or_default().push(raw);
            if row.source != HARDEST {
                sources.entry("all but the hardest").or_default().push(raw);
            }
        }
        for (source, raws) in sources {
            let blocked = |at: f32| share(raws.iter().map(|r| any_blocked(r, &self.knots, at)));
            let attacks = share(raws.iter().map(|r| self.is_flagged_attack(r, MEDIUM)));
            let shares = [blocked(MEDIUM), attacks, blocked(LOW)];
            self.json.insert(format!("false_alarms/{source}"), json!(shares));
            let mut cells = vec![source.to_owned(), raws.len().to_string()];
            cells.extend(shares.map(percent));
            self.line(&cells);
        }
    }
}

/// The attack score: the higher of its two kinds.
fn attack_score(raw: &[f32; CATEGORIES]) -> f32 {
    raw[0].max(raw[1])
}

fn number(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.3}") }
}

fn percent(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{:.2} %", value * 100.0) }
}
