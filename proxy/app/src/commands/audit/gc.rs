//! `portcullis audit gc`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use policies::ByOutcome;
use proxy_audit::{Outcome, Record, first_that_stays, remove_before};
use proxy_index::{FILE, Index, Moment, Place};

use super::args::{GcArgs, filter};
use super::unreadable;
use crate::config;
use crate::failure::Failure;
use crate::indexed;

pub(super) fn run(args: &GcArgs) -> Result<ExitCode, Failure> {
    let (keep, why) = keep(args)?;
    let (dir, now) = (&args.dir, Timestamp::now());
    let read = |error: proxy_audit::ReadError| unreadable(dir, &error);
    let old = first_that_stays(dir, |record| stays(record, &keep, now)).map_err(read)?;
    let seq = sent(dir, old)?;
    if args.dry_run {
        let what = match seq {
            0 | 1 => "nothing would be removed".to_owned(),
            seq => format!("the records before {seq} would be removed, with their segments"),
        };
        writeln!(std::io::stdout(), "{what}").ok();
        return Ok(ExitCode::SUCCESS);
    }
    let removed = remove_before(dir, seq, &why).map_err(read)?;
    forget(args)?;
    let what = match removed {
        None => "nothing is old enough: a segment goes when all of its records may go".to_owned(),
        Some(note) => format!(
            "removed the records {} to {}; the note in removed.jsonl stands in their place",
            note.first, note.last
        ),
    };
    writeln!(std::io::stdout(), "{what}").ok();
    Ok(ExitCode::SUCCESS)
}

/// Records before number `old` may go, but not those that a sink has not been sent: the first that must stay.
fn sent(dir: &Path, old: u64) -> Result<u64, Failure> {
    let unsent = proxy_sinks::unsent(dir)
        .map_err(|error| Failure::environment("it cannot be seen what was sent on", &error))?;
    let Some(unsent) = unsent.filter(|unsent| unsent.first < old) else { return Ok(old) };
    eprintln!(
        "the records from {} on stay, although they are old enough: they were not sent on yet. If nobody wants them any \
         more, remove {}",
        unsent.first,
        unsent.file.display()
    );
    Ok(unsent.first)
}

/// Rids the index of what is not in the log any more: it has the words of texts.
fn forget(args: &GcArgs) -> Result<(), Failure> {
    let place = match &args.index {
        Some(place) => indexed::place(place)?,
        None => Place::File(args.dir.join(FILE)),
    };
    if matches!(&place, Place::File(file) if !file.exists()) {
        return Ok(());
    }
    let purged = Index::at(&args.dir, &place).and_then(|index| index.purge());
    purged.map_err(|error| {
        Failure::environment(
            "the segments are removed, and the index still has their words",
            &error,
        )
    })
}

/// How long records are kept, and who says so.
fn keep(args: &GcArgs) -> Result<(ByOutcome<Duration>, String), Failure> {
    if let Some(age) = &args.older_than {
        let query = filter(&[format!("since:{age}")])?;
        let ago = query.terms.first().and_then(|term| match term.test {
            proxy_index::Test::Since(Moment::Ago(span)) => Duration::try_from(span).ok(),
            _ => None,
        });
        let span =
            ago.ok_or_else(|| Failure::Usage("--older-than is an age such as 90d".to_owned()))?;
        let keep = ByOutcome { allowed: Some(span), flagged: Some(span), blocked: Some(span) };
        return Ok((keep, format!("older than {age}")));
    }
    let name = args.policy.as_deref().unwrap_or("default");
    let policy = config::policy(name)?;
    let keep = policy.retention().map(|retention| retention.keep).unwrap_or_default();
    if keep == ByOutcome::default() {
        return Err(Failure::Usage(format!(
            "{name} says nothing about how long records are kept (`audit: {{ keep: ... }}`)"
        )));
    }
    Ok((keep, format!("kept as {} says", policy.label())))
}

/// Whether a record must not go yet. What is not about an exchange stays as long as what stays longest.
fn stays(record: &Record, keep: &ByOutcome<Duration>, now: Timestamp) -> bool {
    let ByOutcome { allowed, flagged, blocked } = *keep;
    let longest = || Some(allowed?.max(flagged?).max(blocked?));
    let (time, span) = match record {
        Record::Closed(closed) => match closed.outcome {
            Outcome::Allowed => (closed.time, allowed),
            Outcome::Flagged | Outcome::Redacted => (closed.time, flagged),
            Outcome::Blocked => (closed.time, blocked),
            _ => (closed.time, longest()),
        },
        Record::Abandoned(abandoned) => (abandoned.time, longest()),
        Record::Reviewed(reviewed) => (reviewed.time, longest()),
        Record::Revealed(revealed) => (revealed.time, longest()),
        Record::Acted(acted) => (acted.time, longest()),
        _ => return false,
    };
    // Without a span it is kept for ever.
    span.is_none_or(|span| {
        now.duration_since(time)
            < jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX)
    })
}
