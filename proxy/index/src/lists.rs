//! Lists of decisions.

use jiff::Timestamp;
use proxy_audit::{Action, Keep};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params_from_iter};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::{Listed, Row, Unsound};
use crate::index::Index;
use crate::query::{Field, Query};
use crate::sql::{Selected, tag};

/// The columns that [`row`] reads, in its order.
pub(crate) const COLUMNS: &str = "seq, id, time, outcome, action, would, mode, category, score, status, reason, stream,
  method, route, model, policy, profile, key, key_name, instance, trace, total, guard, upstream, keep, review";

impl Index {
    /// The newest `limit` decisions that `query` means, of those before the cursor of an earlier page if there is one.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be read.
    pub fn page(
        &self,
        query: &Query,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Listed, IndexError> {
        let mut selected = Selected::of(query, Timestamp::now());
        if let Some(before) = before {
            selected.and(&format!("{} < ?", walked(&selected)), [before.cast_signed().into()]);
        }
        let mut rows = self.read(|sql| rows(sql, &selected, "DESC", limit + 1))?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let before = rows.last().filter(|_| more).map(|row| row.seq);
        Ok(Listed { rows, before })
    }

    /// The oldest `limit` decisions after number `after` that `query` means, oldest first: what came since.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn tail(&self, query: &Query, after: u64, limit: usize) -> Result<Vec<Row>, IndexError> {
        let mut selected = Selected::of(query, Timestamp::now());
        selected.and(&format!("{} > ?", walked(&selected)), [after.cast_signed().into()]);
        self.read(|sql| rows(sql, &selected, "ASC", limit))
    }

    /// How many decisions `query` means.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn count(&self, query: &Query) -> Result<u64, IndexError> {
        let selected = Selected::of(query, Timestamp::now());
        let Selected { from, filter, values } = &selected;
        let text = format!("SELECT count(*) FROM {from} WHERE {filter}");
        self.read(|sql| {
            let count: i64 =
                sql.prepare_cached(&text)?.query_row(params_from_iter(values), |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }

    /// The ids of the decisions that `query` means, newest first, at most `limit`: what a bulk action is about.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn ids(&self, query: &Query, limit: usize) -> Result<Vec<Uuid>, IndexError> {
        let selected = Selected::of(query, Timestamp::now());
        let walked = walked(&selected);
        let Selected { from, filter, values } = &selected;
        let text =
            format!("SELECT id FROM {from} WHERE {filter} ORDER BY {walked} DESC LIMIT {limit}");
        self.read(|sql| {
            let mut statement = sql.prepare_cached(&text)?;
            let ids = statement
                .query_map(params_from_iter(values), |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
            ids.collect()
        })
    }

    /// The number of the last record that was taken in; 0 if there is none.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn position(&self) -> Result<u64, IndexError> {
        self.read(|sql| {
            let seq: Option<i64> =
                sql.query_row("SELECT max(seq) FROM position", [], |row| row.get(0))?;
            Ok(seq.unwrap_or_default().cast_unsigned())
        })
    }
}

impl Index {
    /// The lines of the log that were passed over because they are no sound records, if there are any.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn unsound(&self) -> Result<Option<Unsound>, IndexError> {
        self.read(|sql| {
            let text = "SELECT segment, offset, (SELECT count(*) FROM unsound) FROM unsound
                ORDER BY segment, offset LIMIT 1";
            let first = sql.prepare_cached(text)?.query_row([], |row| {
                let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
                Ok(Unsound { segment: row.get(0)?, offset: number(1)?, lines: number(2)? })
            });
            first.optional()
        })
    }
}

/// The column by which a list is walked.
fn walked(selected: &Selected) -> &'static str {
    if selected.from == "decisions" { "decisions.seq" } else { "texts.rowid" }
}

fn rows(
    sql: &Connection,
    selected: &Selected,
    order: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let walked = walked(selected);
    let Selected { from, filter, values } = selected;
    // First which rows, for which an index is often enough: sorting whole rows is slow.
    let text = format!(
        "SELECT {COLUMNS} FROM decisions WHERE seq IN (
           SELECT decisions.seq FROM {from} WHERE {filter} ORDER BY {walked} {order} LIMIT {limit}
         ) ORDER BY seq {order}"
    );
    let mut statement = sql.prepare_cached(&text)?;
    let rows = statement.query_map(params_from_iter(values), row)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for row in &mut rows {
        row.hazards = hazards(sql, row.seq)?;
    }
    Ok(rows)
}

pub(crate) fn hazards(sql: &Connection, seq: u64) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        sql.prepare_cached("SELECT name FROM tags WHERE seq = ? AND kind = ? ORDER BY name")?;
    let kind = tag(Field::Hazard).unwrap_or_default();
    let names = statement.query_map([seq.cast_signed(), kind], |row| row.get(0))?;
    names.collect()
}

/// Reads the [`COLUMNS`]. The hazards are not among them.
pub(crate) fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let action = |word: Option<String>| {
        Action::ALL.iter().copied().find(|action| Some(action.as_str()) == word.as_deref())
    };
    let keep = |word: Option<String>| {
        Keep::ALL.iter().copied().find(|keep| Some(keep.as_str()) == word.as_deref())
    };
    Ok(Row {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        id: Uuid::from_bytes(row.get(1)?),
        time: time(row.get(2)?),
        outcome: row.get(3)?,
        action: action(row.get(4)?),
        would: action(row.get(5)?),
        mode: row.get(6)?,
        hazards: Vec::new(),
        category: row.get(7)?,
        score: row.get(8)?,
        status: row.get(9)?,
        reason: row.get(10)?,
        stream: row.get(11)?,
        method: row.get(12)?,
        route: row.get(13)?,
        model: row.get(14)?,
        policy: row.get(15)?,
        profile: row.get(16)?,
        key: row.get(17)?,
        key_name: row.get(18)?,
        instance: row.get(19)?,
        trace: row.get(20)?,
        total_ms: row.get(21)?,
        guard_ms: row.get(22)?,
        upstream_ms: row.get(23)?,
        keep: keep(row.get(24)?),
        review: row.get(25)?,
    })
}

/// A time as the index holds it.
pub(crate) fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}
