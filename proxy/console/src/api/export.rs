//! Files to take along. That somebody took one is a record; where texts leave, it is one for every decision.

use jiff::Timestamp;
use proxy_audit::{Revealed, limits};
use proxy_index::{CSV_HEADER, Query, Row, csv_line, json_line, judged, labelled_lines};
use serde::Deserialize;
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
        "csv" => ("decisions.csv", lines(table(&rows(asking, &query)?))),
        "jsonl" => ("decisions.jsonl", lines(rows(asking, &query)?.iter().map(json_line))),
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

fn table(rows: &[Row]) -> impl Iterator<Item = String> {
    [CSV_HEADER.to_owned()].into_iter().chain(rows.iter().map(csv_line))
}

/// The lines of a file, each ended.
fn lines(lines: impl IntoIterator<Item = String>) -> Vec<u8> {
    let mut body = Vec::new();
    for line in lines {
        body.extend_from_slice(line.as_bytes());
        body.push(b'\n');
    }
    body
}

/// The texts about which a verdict stands, with what it says about them, as `portcullis eval` and `calibrate` read them.
fn labelled(asking: &Asking<'_>, query: &Query, why: &str) -> Result<Vec<u8>, Problem> {
    let why = acts::may_read(asking, why)?;
    if why.is_empty() {
        return Err(Problem::wrong("Texts leave: say why."));
    }
    let rows = rows(asking, &judged(query.clone()))?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    // On record before a text is read.
    reveal(asking, &ids, &why)?;
    let mut labelled = Vec::new();
    for id in ids {
        labelled.extend(labelled_lines(&detail::find(asking, id)?));
    }
    Ok(lines(labelled))
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
