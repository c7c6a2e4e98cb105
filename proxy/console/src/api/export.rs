//! Files to take along. That somebody took one is a record; where texts leave, it is one for every decision.

use jiff::Timestamp;
use proxy_audit::{Assessment, Kept, Revealed, limits};
use proxy_index::{Query, Review, Row};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Asking, acts, detail};
use crate::respond::{Problem, Reply};

/// Most decisions of one file.
const MOST: usize = 100_000;
/// Decisions that are read at a time.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    q: String,
    format: String,
    #[serde(default)]
    why: String,
}

/// `POST /api/export`
pub(super) fn file(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let Wanted { q, format, why } = asking.request.json()?;
    let query = asking.query(&q)?;
    let (name, body) = match format.as_str() {
        "csv" => ("decisions.csv", csv(&rows(asking, &query)?)),
        "jsonl" => ("decisions.jsonl", lines(&rows(asking, &query)?)),
        "labelled" => ("labelled.jsonl", labelled(asking, &query, &why)?),
        _ => return Err(Problem::wrong("A file is csv, jsonl or labelled.")),
    };
    let about = [("format", format), ("filter", query.to_string()), ("why", why)];
    asking.console.act(asking.user(), "exported", about)?;
    Ok(Reply::download(name, body))
}

fn rows(asking: &Asking<'_>, query: &Query) -> Result<Vec<Row>, Problem> {
    let index = &asking.console.index;
    let (mut rows, mut before) = (Vec::new(), None);
    loop {
        let page = index.page(query, before, PAGE)?;
        rows.extend(page.rows);
        if rows.len() > MOST {
            return Err(Problem::wrong(format!(
                "One file has at most {MOST} decisions: narrow the filter."
            )));
        }
        before = page.before;
        if before.is_none() {
            return Ok(rows);
        }
    }
}

fn lines(rows: &[Row]) -> Vec<u8> {
    let mut body = Vec::new();
    for row in rows {
        body.extend_from_slice(json!(row).to_string().as_bytes());
        body.push(b'\n');
    }
    body
}

/// The columns of a table, in order.
const COLUMNS: &[&str] = &[
    "id",
    "time",
    "outcome",
    "action",
    "would",
    "mode",
    "hazards",
    "category",
    "score",
    "status",
    "reason",
    "stream",
    "method",
    "route",
    "model",
    "policy",
    "profile",
    "key",
    "key_name",
    "instance",
    "trace",
    "total_ms",
    "guard_ms",
    "upstream_ms",
    "review",
];

fn csv(rows: &[Row]) -> Vec<u8> {
    let mut text = COLUMNS.join(",");
    text.push_str("\r\n");
    for row in rows {
        let value = json!(row);
        let cells = COLUMNS.iter().map(|name| cell(value.get(name)));
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// A cell that no spreadsheet takes for a formula.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Some(other) => return other.to_string(),
    };
    let formula =
        text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']);
    let text = if formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\r', '\n', '\'']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

/// The texts about which a verdict stands, with what it says about them, as `portcullis eval` and `calibrate` read them.
fn labelled(asking: &Asking<'_>, query: &Query, why: &str) -> Result<Vec<u8>, Problem> {
    let why = acts::may_read(asking, why)?;
    if why.is_empty() {
        return Err(Problem::wrong("Texts leave: say why."));
    }
    let ids: Vec<Uuid> =
        rows(asking, query)?.iter().filter(|row| row.review.is_some()).map(|row| row.id).collect();
    // On record before a text is read.
    reveal(asking, &ids, &why)?;
    let mut body = Vec::new();
    for id in ids {
        for line in examples(asking, id)? {
            body.extend_from_slice(line.to_string().as_bytes());
            body.push(b'\n');
        }
    }
    Ok(body)
}

fn reveal(asking: &Asking<'_>, ids: &[Uuid], why: &str) -> Result<(), Problem> {
    for part in ids.chunks(limits::REVIEWED_ENTRIES) {
        let (by, time) = (asking.user().to_owned().into(), Timestamp::now());
        let (decisions, why) = (part.to_vec(), format!("export: {why}"));
        let revealed = Revealed { time, by, decisions, at: Vec::new(), why };
        asking.console.recorded(|journal| journal.append_revealed(&revealed))?;
    }
    Ok(())
}

/// What the verdicts about one decision say about its texts. Reviewers who differ say nothing.
fn examples(asking: &Asking<'_>, id: Uuid) -> Result<Vec<Value>, Problem> {
    let found = detail::find(asking, id)?;
    let standing: Vec<&Review> =
        found.reviews.iter().filter(|one| one.stands && one.verdict.is_some()).collect();
    let Some(said) =
        standing.last().filter(|last| standing.iter().all(|one| one.verdict == last.verdict))
    else {
        return Ok(Vec::new());
    };
    let Some(texts) = &found.texts else { return Ok(Vec::new()) };
    let sides = detail::sides(detail::closed(&found));
    let places = detail::places(&sides);
    let all = texts.input.iter().chain(&texts.output).filter(|text| is_whole(text));
    let acted = !found.row.hazards.is_empty();
    Ok(all
        .filter_map(|text| {
            let here = places.get(text.at.as_ref()).cloned().unwrap_or_default();
            let labels = labels(said, here.iter().map(String::as_str), acted)?;
            let mut line =
                json!({ "text": text.text, "role": role(text), "source": format!("review {id}") });
            line.as_object_mut()?.extend(labels);
            Some(line)
        })
        .collect())
}

/// A text that is there as it was: a masked one would teach that asterisks are dangerous.
fn is_whole(text: &Kept) -> bool {
    text.masked.is_empty() && text.text.as_ref().is_some_and(|kept| kept.len() as u64 == text.bytes)
}

fn role(text: &Kept) -> &str {
    match text.role.as_ref() {
        "assistant" => "assistant",
        "tool" => "tool",
        _ => "user",
    }
}

/// What a verdict says about a text in which `here` was found: labels that are known, and no others.
fn labels<'n>(
    said: &Review,
    here: impl Iterator<Item = &'n str>,
    acted: bool,
) -> Option<Map<String, Value>> {
    let each =
        |is: bool| here.map(|name| (name.to_owned(), Value::Bool(is))).collect::<Map<_, _>>();
    let mut labels = match said.verdict? {
        // Nothing acted, and that was right: there is nothing in it.
        Assessment::Correct if !acted => {
            return Some(Map::from_iter([
                ("hazards".to_owned(), json!([])),
                ("attack".to_owned(), json!("benign")),
            ]));
        }
        Assessment::Correct => each(true),
        Assessment::FalseAlarm => each(false),
        Assessment::WrongCategory => {
            let mut labels = each(false);
            if !labels.is_empty() {
                labels.insert(said.category.clone()?, Value::Bool(true));
            }
            labels
        }
        _ => return None,
    };
    labels.retain(|name, _| name.parse::<classifiers_core::Category>().is_ok());
    (!labels.is_empty()).then(|| Map::from_iter([("labels".to_owned(), Value::Object(labels))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("=1+1", "\"'=1+1\""),
            ("  @SUM(A1)", "\"'  @SUM(A1)\""),
            ("-2", "\"'-2\""),
            ("\tx", "\"'\tx\""),
            ("a,\"b\"\n", "\"a,\"\"b\"\"\n\""),
        ] {
            assert_eq!(cell(Some(&json!(text))), written);
        }
        assert_eq!(cell(Some(&json!(-1.5))), "-1.5");
        assert_eq!(cell(Some(&json!(["a", "b"]))), "a b");
    }
}
