//! `portcullis audit`

mod args;
mod export;
mod fetch;
mod gc;
mod list;
mod ocsf;
mod show;
mod tests;
mod verify;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use proxy_audit::{Closed, Entry, Follower, Record};
use proxy_index::{visible, visible_json};

pub(crate) use args::AuditArgs;
use args::{AuditCommand, TailArgs};

use crate::commands::diff;
use crate::failure::Failure;

/// How often `tail --follow` looks for new records.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs one of the audit commands.
pub(crate) fn run(args: &AuditArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        AuditCommand::Tail(args) if args.filter.is_empty() => tail(args),
        AuditCommand::Tail(args) => list::tail(args),
        AuditCommand::Query(args) => list::query(args),
        AuditCommand::Show(args) => show::run(args),
        AuditCommand::Export(args) => export::run(args),
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::Replay(args) => diff::run(args),
        AuditCommand::Fetch(args) => fetch::run(args),
        AuditCommand::Gc(args) => gc::run(args),
    }
}

fn unreadable(dir: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::environment(format!("the audit log in {} cannot be read", dir.display()), error)
}

fn tail(args: &TailArgs) -> Result<ExitCode, Failure> {
    let TailArgs { dir, lines, follow, json, .. } = args;
    let mut follower = Follower::last(dir, *lines).map_err(|error| unreadable(dir, &error))?;
    loop {
        for entry in &mut follower {
            let entry = entry.map_err(|error| unreadable(dir, &error))?;
            if *json {
                say!("{}", visible_json(&without_texts(entry).to_json()));
            } else if let Some(line) = as_line(&entry) {
                say!("{line}");
            }
        }
        if !*follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Kept texts are shown by `show --reveal` alone, which records that.
fn without_texts(mut entry: Entry) -> Entry {
    if let Record::Examined(examined) = &mut entry.record {
        examined.input.iter_mut().chain(&mut examined.output).for_each(|kept| kept.text = None);
    }
    entry
}

/// One line for a person. What comes before the end of a request says nothing that its end will not say.
fn as_line(entry: &Entry) -> Option<String> {
    match &entry.record {
        Record::Closed(closed) => Some(closed_line(closed)),
        Record::Abandoned(abandoned) => Some(format!(
            "{}  {:<17}  -    a crash ended it  {}",
            abandoned.time, "abandoned", abandoned.id
        )),
        Record::Started(started) => {
            Some(format!("{}  -- started ({}) --", started.time, started.reason))
        }
        Record::Sealed(sealed) => Some(format!("{}  -- sealed --", sealed.time)),
        _ => None,
    }
}

fn closed_line(closed: &Closed) -> String {
    let why = because(closed);
    let model = closed.model.as_deref().map(visible).unwrap_or_default();
    format!(
        "{}  {:<17}  {:<3}  {:<28}  {:<20}  {:>8.1} ms  {}",
        closed.time,
        closed.outcome.as_str(),
        closed.status,
        why,
        model,
        closed.timing_ms.total,
        closed.id
    )
}

/// What led to the outcome of a closed record: `input: jailbreak`, or the reason of a refusal.
pub(crate) fn because(closed: &Closed) -> String {
    let rulings = [("input", &closed.input), ("output", &closed.output)];
    let found = rulings
        .into_iter()
        .filter_map(|(direction, ruling)| {
            let names: Vec<&str> = ruling.as_ref()?.because.iter().map(AsRef::as_ref).collect();
            (!names.is_empty()).then(|| format!("{direction}: {}", names.join(", ")))
        })
        .collect::<Vec<_>>()
        .join("; ");
    if found.is_empty() { closed.reason.as_deref().map(visible).unwrap_or_default() } else { found }
}
