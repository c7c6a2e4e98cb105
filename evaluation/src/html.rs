//! The report as one page that needs nothing else. Whatever comes from data is text, never markup.

use std::collections::BTreeMap;

use crate::compare::Comparison;
use crate::interval::Estimate;
use crate::report::MeasureReport;
use crate::{Measures, Report, svg};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5d6b7e;--line:#dfe4ea;--paper:#fff;--card:#f6f8fa;--hue:#2563ab}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#93a1b3;--line:#2c3643;--paper:#12171d;--card:#1a2129;--hue:#6fb1ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:48px 24px;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,sans-serif}\
h1{font-size:30px;letter-spacing:-.02em;margin:0 0 4px}h2{font-size:20px;margin:44px 0 10px;padding-top:16px;border-top:1px solid var(--line)}h3{font-size:14px;margin:20px 0 6px;color:var(--soft)}\
.lead{color:var(--soft);margin:0 0 16px;overflow-wrap:anywhere}pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;overflow:auto;font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap}\
.note{border-left:3px solid var(--hue);background:var(--card);padding:8px 14px;margin:8px 0;border-radius:0 6px 6px 0}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}th,td{padding:6px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}\
td small{color:var(--soft);display:block;font-size:11px}a{color:var(--hue)}details{margin:10px 0}summary{cursor:pointer;color:var(--hue)}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(250px,1fr));gap:16px}svg{width:100%;height:auto}svg.plot{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px}\
svg text{font:10px system-ui,sans-serif;fill:var(--soft)}.grid{stroke:var(--line);fill:none}.guide{stroke:var(--soft);stroke-dasharray:4 4;fill:none}.curve{stroke:var(--hue);stroke-width:2;fill:none;stroke-linejoin:round}.dot,.heat{fill:var(--hue)}svg.map text{fill:var(--ink)}";

/// What a figure is called, and how it is taken from the measures.
type Column = (&'static str, fn(&Measures) -> Option<Estimate>);

const COLUMNS: [Column; 9] = [
    ("precision", |m| m.precision),
    ("recall", |m| m.recall),
    ("F1", |m| m.f1),
    ("false positives", |m| m.false_positive_rate),
    ("AUC", |m| m.auc),
    ("average precision", |m| m.average_precision),
    ("recall at 1 % FPR", |m| m.recall_at_1_percent),
    ("ECE", |m| m.calibration_error),
    ("Brier", |m| m.brier),
];

impl Report {
    /// The report as one page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        let subject = &self.subject;
        let texts: usize = self.data.iter().map(|data| data.texts).sum();
        let mut body = format!(
            "<h1>Evaluation</h1><p class=\"lead\">{}<br>policy: {}<br>{texts} labelled texts, {} without a verdict; portcullis {}</p><pre>{}</pre>",
            escaped(&subject.guard),
            escaped(&subject.policy),
            self.failures,
            escaped(&self.version),
            escaped(&subject.command)
        );
        for note in &subject.notes {
            body += &format!("<p class=\"note\">{}</p>", escaped(note));
        }
        body += "<h2>At a glance</h2>";
        let rows = self.measures.iter().map(|one| (link(one), &one.overall));
        body += &table("measure", rows);
        body += "<p class=\"lead\">Small figures are 95 % intervals: Wilson for shares, DeLong for AUC, a seeded bootstrap over texts for the rest. \
                 Decisions are those of the policy. Labels that are not known are in no figure.</p>";
        body += &self.benign_html();
        for measure in &self.measures {
            body += &section(measure, self.versus.as_deref());
        }
        if let Some(statistics) = &self.cyberseceval {
            let text = serde_json::to_string_pretty(statistics).unwrap_or_default();
            body += &format!("<h2>CyberSecEval</h2><pre>{}</pre>", escaped(&text));
        }
        page("Evaluation", &body)
    }

    fn benign_html(&self) -> String {
        if self.benign.is_empty() {
            return String::new();
        }
        let mut body = String::from(
            "<h2>Clean texts</h2><div class=\"scroll\"><table><tr><th>source</th><th>texts</th><th>blocked</th><th>anything found</th></tr>",
        );
        for (source, benign) in &self.benign {
            body += &format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(source),
                benign.texts,
                estimate(benign.blocked),
                estimate(benign.found)
            );
        }
        body + "</table></div>"
    }
}

fn link(measure: &MeasureReport) -> String {
    format!("<a href=\"#{0}\">{1}</a>", measure.name, escaped(measure.title))
}

fn section(measure: &MeasureReport, versus: Option<&str>) -> String {
    let mut body = format!("<h2 id=\"{}\">{}</h2>", measure.name, escaped(measure.title));
    if !measure.curves.roc.is_empty() {
        let curves = &measure.curves;
        body += &format!(
            "<div class=\"plots\">{}{}{}</div>",
            svg::roc(curves),
            svg::precision_recall(curves),
            svg::reliability(curves)
        );
    }
    if let (Some(name), Some(comparison)) = (versus, &measure.versus) {
        body += &format!("<p class=\"note\">{}</p>", escaped(&comparison.words(name)));
    }
    for (dimension, slices) in &measure.by {
        body += &slices_html(dimension, slices);
    }
    body
}

fn slices_html(dimension: &str, slices: &BTreeMap<String, Measures>) -> String {
    let rows = slices.iter().map(|(value, measures)| (escaped(value), measures));
    format!("<details><summary>by {dimension}</summary>{}</details>", table(dimension, rows))
}

/// Names are markup already.
fn table<'a>(first: &str, rows: impl Iterator<Item = (String, &'a Measures)>) -> String {
    let heads: String = COLUMNS.iter().map(|(name, _)| format!("<th>{name}</th>")).collect();
    let mut body = format!(
        "<div class=\"scroll\"><table><tr><th>{first}</th><th>positive / texts</th>{heads}</tr>"
    );
    for (name, measures) in rows {
        let cells: String =
            COLUMNS.iter().map(|(_, of)| format!("<td>{}</td>", estimate(of(measures)))).collect();
        body += &format!(
            "<tr><td>{name}</td><td>{} / {}</td>{cells}</tr>",
            measures.positives, measures.texts
        );
    }
    body + "</table></div>"
}

impl Comparison {
    /// The comparison in a sentence.
    pub(crate) fn words(&self, other: &str) -> String {
        let mut text = format!(
            "Beside {other}: of {} texts {} are decided rightly by this side alone and {} by the other alone (McNemar's exact test: p = {:.2e}).",
            self.texts, self.only_first_right, self.only_second_right, self.mcnemar_p
        );
        if let Some(auc) = self.auc {
            let Estimate { value, low, high } = auc.difference;
            text += &format!(
                " The other's AUC is {value:+.4} ({low:+.4} to {high:+.4}) away (DeLong: p = {:.2e}).",
                auc.p
            );
        }
        text
    }
}

/// A figure and its interval.
pub(crate) fn estimate(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "–".to_owned(),
        |Estimate { value, low, high }| format!("{value:.3}<small>{low:.3} – {high:.3}</small>"),
    )
}

/// Text that came from anywhere, as text.
pub(crate) fn escaped(text: &str) -> String {
    html_escape::encode_quoted_attribute(text).into_owned()
}

/// A page around `body`. It may load nothing and run nothing.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )
}
