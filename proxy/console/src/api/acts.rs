//! What reviewers do: read texts, say what decisions are worth, take that back. Every act is a record first.

use http::StatusCode;
use jiff::Timestamp;
use proxy_audit::{Assessment, Closed, Examined, Kept, Revealed, Reviewed, Text, limits};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Asking, detail};
use crate::respond::{Problem, Reply};

/// Most decisions of one bulk action: more is a matter of a policy, not of verdicts.
const BULK: usize = 1_000_000;

/// Acts that are listed.
const ACTS: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reveal {
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    verdict: String,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    comment: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    q: String,
    expect: u64,
    verdict: String,
    #[serde(default)]
    comment: String,
}

/// `POST /api/decisions/ID/reveal`: the kept texts, after it is on record who is shown them and why.
pub(super) fn reveal(asking: &Asking<'_>, path: &[&str]) -> Result<Reply, Problem> {
    let Reveal { why } = asking.request.json()?;
    let console = asking.console;
    let why = may_read(asking, &why)?;
    let found = detail::find(asking, super::id(path.get(1).copied().unwrap_or_default())?)?;
    let Some(texts) = &found.texts else { return Err(Problem::not_found("text")) };
    let (by, time) = (Text::from(asking.user().to_owned()), Timestamp::now());
    let revealed = Revealed { time, by, decisions: vec![found.row.id], at: Vec::new(), why };
    console.recorded(|journal| journal.append_revealed(&revealed))?;
    let shown = shown(texts, detail::closed(&found));
    let reveals = console.index.detail(found.row.id)?.map(|now| now.reveals).unwrap_or_default();
    Ok(Reply::json(&json!({ "texts": shown, "reveals": reveals })))
}

/// Whether the one who asks may read texts, for the reason given; returns it without blanks around it.
pub(super) fn may_read(asking: &Asking<'_>, why: &str) -> Result<String, Problem> {
    if !asking.console.may_reveal(asking.role) {
        return Err(Problem::forbidden(
            "The policy (`audit.reveal.roles`) lets other roles read texts.",
        ));
    }
    let why = why.trim();
    if why.is_empty() && detail::reason_needed(asking) {
        return Err(Problem::wrong("Say why the texts are to be shown: the policy asks for it."));
    }
    Ok(why.to_owned())
}

/// Texts with the places of what was found in them.
fn shown(texts: &Examined, closed: Option<&Closed>) -> Vec<Value> {
    let sides = detail::sides(closed);
    let spans = |text: &Kept| -> Vec<Value> {
        let checks = sides.iter().flat_map(|(_, _, ruling)| &ruling.checks);
        let found = checks.flat_map(|check| &check.spans).filter(|span| *span.at == *text.at);
        let found = found.map(|span| (span.start, span.end, &span.category));
        let masked = text.masked.iter().map(|span| (span.start, span.end, &span.category));
        let all = found.chain(masked);
        all.map(
            |(start, end, category)| json!({ "start": start, "end": end, "category": category }),
        )
        .collect()
    };
    let all = texts.input.iter().chain(&texts.output);
    all.map(|text| json!({ "at": text.at, "text": text.text, "bytes": text.bytes, "spans": spans(text) })).collect()
}

/// `GET /api/acts`: what people did besides verdicts, the newest first.
pub(super) fn list(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    Ok(Reply::json(&json!({ "acts": asking.console.index.acts(ACTS)? })))
}

/// `POST /api/decisions/ID/verdict`
pub(super) fn verdict(asking: &Asking<'_>, path: &[&str]) -> Result<Reply, Problem> {
    let Verdict { verdict, category, comment } = asking.request.json()?;
    let verdict = assessment(&verdict)?;
    let found = detail::find(asking, super::id(path.get(1).copied().unwrap_or_default())?)?;
    let known = |name: &String| name.parse::<classifiers_core::Category>().is_ok();
    if category.as_ref().is_some_and(|name| !known(name)) {
        return Err(Problem::wrong("There is no such category."));
    }
    let said = Said { verdict: Some(verdict), category, comment, undoes: None };
    let act = say(asking, &[found.row.id], &said)?;
    Ok(Reply::json(&json!({ "act": act })))
}

/// `POST /api/bulk`: one verdict for all that match; refused if they are not as many as the reviewer was told.
pub(super) fn bulk(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let Bulk { q, expect, verdict, comment } = asking.request.json()?;
    let verdict = assessment(&verdict)?;
    let ids = asking.console.index.ids(&asking.query(&q)?, BULK + 1)?;
    if ids.len() > BULK {
        return Err(Problem::wrong(format!("A bulk action is about at most {BULK} decisions.")));
    }
    let count = ids.len() as u64;
    if count != expect {
        let message = format!(
            "There are {count} decisions now, not {expect}. Nothing was recorded; look again."
        );
        return Err(Problem::new(StatusCode::CONFLICT, message));
    }
    let said = Said { verdict: Some(verdict), category: None, comment, undoes: None };
    let act = say(asking, &ids, &said)?;
    Ok(Reply::json(&json!({ "act": act, "count": count })))
}

/// `POST /api/acts/ID/undo`: takes an act of one's own back, as a whole.
pub(super) fn undo(asking: &Asking<'_>, path: &[&str]) -> Result<Reply, Problem> {
    let act = super::id(path.get(1).copied().unwrap_or_default())?;
    let index = &asking.console.index;
    let mut ids = index.decisions_of(act)?;
    let first = ids.first().copied().ok_or_else(|| Problem::not_found("act"))?;
    let by =
        index.reviews(first)?.into_iter().find(|review| review.act == act).map(|review| review.by);
    if by.as_deref() != Some(asking.user()) {
        return Err(Problem::forbidden("Only who said it can take it back."));
    }
    // What was said again since stays.
    let mut still = Vec::with_capacity(ids.len());
    for id in ids.drain(..) {
        if index.reviews(id)?.iter().any(|review| review.act == act && review.stands) {
            still.push(id);
        }
    }
    let said = Said { verdict: None, category: None, comment: String::new(), undoes: Some(act) };
    let undone = say(asking, &still, &said)?;
    Ok(Reply::json(&json!({ "act": undone, "count": still.len() })))
}

fn assessment(name: &str) -> Result<Assessment, Problem> {
    let known = Assessment::ALL.iter().copied().find(|one| one.as_str() == name);
    known.ok_or_else(|| Problem::wrong("There is no such verdict."))
}

/// What is said about decisions.
struct Said {
    verdict: Option<Assessment>,
    category: Option<String>,
    comment: String,
    undoes: Option<Uuid>,
}

/// Records it, as one act.
fn say(asking: &Asking<'_>, decisions: &[Uuid], said: &Said) -> Result<Uuid, Problem> {
    let (act, time) = (Uuid::now_v7(), Timestamp::now());
    let (mut done, all) = (0, decisions.len());
    for part in decisions.chunks(limits::REVIEWED_ENTRIES) {
        let reviewed = Reviewed {
            act,
            time,
            by: asking.user().to_owned().into(),
            decisions: part.to_vec(),
            verdict: said.verdict,
            category: said.category.clone().map(Into::into),
            comment: said.comment.trim().to_owned(),
            undoes: said.undoes,
        };
        let recorded = asking.console.recorded(|journal| journal.append_reviewed(&reviewed));
        recorded.map_err(|problem| partly(problem, done, all))?;
        done += part.len();
    }
    Ok(act)
}

/// Says how far an act came that could not be recorded to its end.
fn partly(problem: Problem, done: usize, all: usize) -> Problem {
    if done == 0 {
        return problem;
    }
    let message = format!(
        "Only {done} of {all} are on record: the log took no more. Look again at the rest."
    );
    Problem { message, ..problem }
}
