//! `portcullis audit verify`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use proxy_audit::{Anchor, NotAKey, PublicKey, ReadError, Report, Trust, verify, verify_with};
use serde_json::json;

use super::args::VerifyArgs;
use super::unreadable;
use crate::failure::Failure;

pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let (dir, trust) = (&args.dir, trust(args)?);
    let verified = trust.as_ref().map_or_else(|| verify(dir), |trust| verify_with(dir, trust));
    let noted = trust.map(|trust| trust.anchors).unwrap_or_default();
    let (shown, sound) = match (verified, args.json) {
        (Ok(report), true) => (as_json(&report, &noted), true),
        (Ok(report), false) => (as_text(args, &report, &noted), true),
        (Err(ReadError::Damaged(fault)), true) => {
            let fault = json!({
                "sound": false, "segment": fault.segment, "line": fault.line, "offset": fault.offset,
                "record": fault.seq, "problem": fault.problem.to_string(),
            });
            (fault.to_string(), false)
        }
        (Err(ReadError::Damaged(fault)), false) => (format!("{}: {fault}", dir.display()), false),
        (Err(error), _) => return Err(unreadable(dir, &error)),
    };
    writeln!(std::io::stdout(), "{shown}").ok();
    if sound { Ok(ExitCode::SUCCESS) } else { Err(Failure::SaidNo) }
}

/// What was said about whom to believe; nothing if nothing was said.
fn trust(args: &VerifyArgs) -> Result<Option<Trust>, Failure> {
    let own = || key(&args.dir.join("journal.pub").display().to_string());
    let key = match (&args.key, &args.anchor) {
        (None, None) => return Ok(None),
        (Some(name), _) => key(name)?,
        (None, Some(_)) => own()?,
    };
    let anchors = args.anchor.as_deref().map(anchors).transpose()?.unwrap_or_default();
    Ok(Some(Trust { keys: vec![key], anchors }))
}

/// A key as it is written, or as a file has it.
fn key(name: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = name.parse() {
        return Ok(key);
    }
    let text = std::fs::read_to_string(name)
        .map_err(|error| Failure::environment(format!("the key {name} cannot be read"), &error))?;
    text.parse()
        .map_err(|error: NotAKey| Failure::environment(format!("{name} holds no key"), &error))
}

fn anchors(file: &Path) -> Result<Vec<Anchor>, Failure> {
    let what = || format!("the checkpoints in {} cannot be read", file.display());
    let text =
        std::fs::read_to_string(file).map_err(|error| Failure::environment(what(), &error))?;
    let anchors = Anchor::all(&text).map_err(|error| Failure::environment(what(), &error))?;
    if anchors.is_empty() {
        // Held against nothing, any log would pass.
        return Err(Failure::Environment(format!("there is no checkpoint in {}", file.display())));
    }
    Ok(anchors)
}

fn as_text(args: &VerifyArgs, report: &Report, noted: &[Anchor]) -> String {
    let mut text = format!("{}: every record is as it was written\n", args.dir.display());
    let mut add = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    let Report { records, segments, bytes, opened, closed, abandoned, still_open, .. } = report;
    add("records", format!("{records} in {segments} segments, {bytes} bytes"));
    add(
        "exchanges",
        format!("{opened} opened, {closed} closed, {abandoned} abandoned, {still_open} still open"),
    );
    add("people", format!("{} acts", report.acts));
    if report.removed > 0 {
        add("removed", format!("the records up to {}, with a signed note", report.removed));
    }
    if report.left_over > 0 {
        let left = report.left_over;
        add(
            "left over",
            format!("{left} segments of these: the removal was interrupted, `audit gc` ends it"),
        );
    }
    if let (Some(first), Some(last)) = (report.first_time, report.last_time) {
        add("time", format!("{first} to {last}"));
    }
    let signed = match (report.key, report.signed_time) {
        (Some(key), Some(time)) => format!("up to record {} by {key}, {time:.3}", report.signed),
        (Some(key), None) => format!("nothing yet by {key}"),
        (None, _) => "nobody said who must have signed (no journal.pub, no --key)".to_owned(),
    };
    add("signed", signed);
    if let Some(last) = noted.iter().max_by_key(|anchor| anchor.seq) {
        let (count, seq, time) = (noted.len(), last.seq, last.checkpoint.time);
        add("noted", format!("{count} checkpoints elsewhere, the last of record {seq}, {time:.3}"));
    }
    add("ending", report.ending.to_string());
    add("head", format!("{} at record {}", report.head, report.head_seq));
    if args.key.is_none() {
        text.push_str("Note the key and the head down elsewhere: they show later whether the log was written anew or cut.");
    }
    text.trim_end().to_owned()
}

fn as_json(report: &Report, noted: &[Anchor]) -> String {
    json!({
        "sound": true, "records": report.records, "segments": report.segments, "bytes": report.bytes,
        "opened": report.opened, "closed": report.closed, "abandoned": report.abandoned,
        "still_open": report.still_open, "examined": report.examined, "acts": report.acts,
        "removed": report.removed, "left_over": report.left_over, "signed": report.signed, "key": report.key.map(|key| key.to_string()),
        "ending": report.ending.to_string(), "head": report.head.to_string(), "head_record": report.head_seq,
        "first_time": report.first_time.map(|time| time.to_string()),
        "last_time": report.last_time.map(|time| time.to_string()),
        "signed_time": report.signed_time.map(|time| time.to_string()), "noted": noted.len(),
        "last_noted": noted.iter().map(|anchor| anchor.seq).max(),
    })
    .to_string()
}
