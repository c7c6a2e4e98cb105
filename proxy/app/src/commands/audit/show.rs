//! `portcullis audit show`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use proxy_audit::{
    Check, Closed, Examined, Journal, JournalError, Kept, Options, Record, Revealed, Ruling,
};
use proxy_index::{Detail, visible, visible_json};
use serde_json::{Value, json};
use uuid::Uuid;

use super::args::ShowArgs;
use super::list::{failure, open};
use crate::commands::serve::runtime;
use crate::failure::Failure;

/// Decisions that one record of a look is about at most.
const LOOKED_AT: usize = 1_000;

pub(super) fn run(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let index = open(&args.dir, args.index.as_deref())?;
    let detail = index.detail(args.id).map_err(|error| failure(&error))?;
    let Some(detail) = detail else {
        return Err(Failure::Environment(format!(
            "there is no decision {} in {}",
            args.id,
            args.dir.display()
        )));
    };
    if let Some(why) = &args.reveal {
        record_look(&args.dir, &[args.id], why)?;
    }
    let shown = match args.json {
        true => visible_json(&format!("{:#}", as_json(&detail, args.reveal.is_some()))),
        false => as_text(&detail, args.reveal.is_some()),
    };
    writeln!(std::io::stdout(), "{}", shown.trim_end()).ok();
    Ok(ExitCode::SUCCESS)
}

/// Records that texts of `decisions` are shown, and returns when that is durable.
///
/// # Errors
/// If it cannot be recorded: then nothing may be shown. A log that a proxy writes cannot be written from here.
pub(super) fn record_look(dir: &Path, decisions: &[Uuid], why: &str) -> Result<(), Failure> {
    if why.trim().is_empty() {
        return Err(Failure::Usage("--reveal needs a reason".to_owned()));
    }
    let opened = Journal::open(dir, &Options::default());
    let (journal, _) = opened.map_err(|error| match error {
        JournalError::Locked { .. } => Failure::Environment(format!(
            "texts are shown only if that can be recorded, and a proxy is writing {}: reveal them on its review page, or stop it",
            dir.display()
        )),
        error => Failure::environment("texts are shown only if that can be recorded", &error),
    })?;
    let by = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let by = format!("{by} (command line)");
    let failed = |error: JournalError| Failure::environment("the look cannot be recorded", &error);
    for decisions in decisions.chunks(LOOKED_AT) {
        let (time, at) = (Timestamp::now(), Vec::new());
        let (decisions, by, why) = (decisions.to_vec(), by.clone().into(), why.to_owned());
        let look = Revealed { time, by, decisions, at, why };
        runtime()?.block_on(journal.append_revealed(&look).durable()).map_err(failed)?;
    }
    journal.close().map_err(failed)
}

fn as_json(detail: &Detail, reveal: bool) -> Value {
    let records = detail.entries.iter().map(|entry| serde_json::from_str(&entry.to_json()));
    let records: Vec<Value> = records.filter_map(Result::ok).collect();
    let texts = detail.texts.as_ref().map(|texts| {
        let list = |kept: &[Kept]| kept.iter().map(|kept| text_json(kept, reveal)).collect::<Vec<_>>();
        json!({ "keep": texts.keep, "input": list(&texts.input), "output": list(&texts.output), "left_out": texts.left_out })
    });
    json!({
        "decision": detail.row, "records": records, "removed": detail.removed, "texts": texts,
        "reviews": detail.reviews, "reveals": detail.reveals,
    })
}

fn text_json(kept: &Kept, reveal: bool) -> Value {
    let masked = kept.masked.iter().map(
        |masked| json!({ "start": masked.start, "end": masked.end, "category": masked.category }),
    );
    let text = kept.text.as_deref().filter(|_| reveal);
    json!({
        "at": &*kept.at, "role": kept.role, "bytes": kept.bytes, "fingerprint": kept.fingerprint, "why": kept.why,
        "masked": masked.collect::<Vec<_>>(), "text": text,
    })
}

fn as_text(detail: &Detail, reveal: bool) -> String {
    let row = &detail.row;
    let mut text = format!("decision  {}, {}\n", row.id, row.time);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("{name:<10}{}\n", visible(&value)));
        }
    };
    let status = row.status.map(|status| format!(", status {status}")).unwrap_or_default();
    add("ended", Some(format!("{}{status}", row.outcome)));
    add("reason", row.reason.clone());
    add(
        "request",
        Some(
            [row.method.as_deref(), row.route.as_deref()].map(Option::unwrap_or_default).join(" "),
        ),
    );
    add("model", row.model.clone());
    add("key", row.key_name.clone().or_else(|| row.key.clone()));
    add("policy", row.policy.clone());
    add("profile", row.profile.clone());
    add("mode", row.mode.clone());
    add("trace", row.trace.clone());
    for entry in &detail.entries {
        if let Record::Closed(closed) = &entry.record {
            text.push_str(&decided(closed));
        }
    }
    if detail.removed > 0 {
        text.push_str(&format!(
            "\n{} of its records are not in the log any more\n",
            detail.removed
        ));
    }
    text.push_str(&texts(detail.texts.as_ref(), reveal));
    for review in &detail.reviews {
        let verdict = review.verdict.map_or("takes it back", proxy_audit::Assessment::as_str);
        let (by, comment) = (visible(&review.by), visible(&review.comment));
        text.push_str(&format!("\nreview    {}  {by}: {verdict}  {comment}", review.time));
    }
    for reveal in &detail.reveals {
        let (by, why) = (visible(&reveal.by), visible(&reveal.why));
        text.push_str(&format!("\nshown     {}  to {by}: {why}", reveal.time));
    }
    text
}

fn decided(closed: &Closed) -> String {
    let timing = closed.timing_ms;
    let mut text = format!(
        "time      {:.1} ms: request {:.1}, upstream {:.1}, answer {:.1}\n",
        timing.total, timing.guard_input, timing.upstream, timing.guard_output
    );
    for unchecked in &closed.unchecked {
        text.push_str(&format!(
            "unchecked {}  {}\n",
            visible(&unchecked.at),
            visible(&unchecked.why)
        ));
    }
    for (name, ruling) in [("request", &closed.input), ("answer", &closed.output)] {
        if let Some(ruling) = ruling {
            text.push_str(&format!("\nthe {name}: {}\n", ruled(ruling)));
            ruling.checks.iter().for_each(|check| text.push_str(&checked(check)));
        }
    }
    text
}

fn ruled(ruling: &Ruling) -> String {
    let join = |words: &[proxy_audit::Text]| visible(&words.join(", "));
    let mut text = format!("{}, {}", ruling.verdict, ruling.action);
    if let Some(would) = ruling.would {
        text.push_str(&format!(" (would {would})"));
    }
    for (name, words) in [("because of", &ruling.because), ("exempt by", &ruling.exemptions)] {
        if !words.is_empty() {
            text.push_str(&format!(" {name} {}", join(words)));
        }
    }
    text
}

/// Scores below this are of no interest to a reader.
const LEAST: f32 = 0.2;

fn checked(check: &Check) -> String {
    let mut text = format!(
        "  {} {}  {}, {:.1} ms, {} texts\n",
        visible(&check.name),
        visible(&check.revision),
        check.status,
        check.ms,
        check.passages
    );
    for (category, score) in check.scores.iter().filter(|(_, score)| **score >= LEAST) {
        let at = check.at.get(category).map(|at| visible(at)).unwrap_or_default();
        text.push_str(&format!("    {score:.3}  {:<28}  {at}\n", visible(category)));
    }
    for span in &check.spans {
        let (category, at) = (visible(&span.category), visible(&span.at));
        text.push_str(&format!(
            "    found  {category}  {at}, bytes {} to {}\n",
            span.start, span.end
        ));
    }
    text
}

fn texts(texts: Option<&Examined>, reveal: bool) -> String {
    let Some(texts) = texts else { return "\nno text was examined\n".to_owned() };
    let mut shown = format!("\ntexts     kept: {}", texts.keep);
    if !reveal {
        shown.push_str(" (shown with --reveal REASON)");
    }
    shown.push('\n');
    if texts.left_out > 0 {
        shown.push_str(&format!("  {} texts before these are left out\n", texts.left_out));
    }
    for kept in texts.input.iter().chain(&texts.output) {
        let (at, role) = (visible(&kept.at), visible(&kept.role));
        shown.push_str(&format!("  {at}  {role}, {} bytes", kept.bytes));
        for masked in &kept.masked {
            let category = visible(&masked.category);
            shown.push_str(&format!(", masked {category} {}..{}", masked.start, masked.end));
        }
        for (name, value) in [("fingerprint", &kept.fingerprint), ("not kept", &kept.why)] {
            if let Some(value) = value {
                shown.push_str(&format!(", {name}: {}", visible(value)));
            }
        }
        shown.push('\n');
        if let Some(text) = kept.text.as_deref().filter(|_| reveal) {
            text.lines().for_each(|line| shown.push_str(&format!("    | {}\n", visible(line))));
            if (text.len() as u64) < kept.bytes {
                shown.push_str(&format!(
                    "    and {} bytes more that were not kept\n",
                    kept.bytes - text.len() as u64
                ));
            }
        }
    }
    shown
}
