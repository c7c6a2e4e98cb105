//! Lists of decisions.

use jiff::Timestamp;
use proxy_audit::{Action, Keep};
use uuid::Uuid;

use crate::error::IndexError;
use crate::found::{Listed, Row, Unsound};
use crate::index::Index;
use crate::query::{Field, Query};
use crate::sql::{Selected, tag};
use crate::store::{self, Sql, Stored};

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
        let mut rows = self.read(|sql| {
            let mut selected = Selected::of_few(query, Timestamp::now(), sql)?;
            if let Some(before) = before {
                selected.and(&format!("{} < ?", selected.walked), [before.into()]);
            }
            rows(sql, &selected, "DESC", limit + 1)
        })?;
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
        let mut selected = self.selected(query);
        selected.and(&format!("{} > ?", selected.walked), [after.into()]);
        self.read(|sql| rows(sql, &selected, "ASC", limit))
    }

    /// How many decisions `query` means.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn count(&self, query: &Query) -> Result<u64, IndexError> {
        self.read(|sql| {
            let Selected { from, filter, values, .. } =
                Selected::of_few(query, Timestamp::now(), sql)?;
            let text = format!("SELECT count(*) FROM {from} WHERE {filter}");
            Ok(sql.row(&text, &values)?.map_or(0, |mut row| row.count()))
        })
    }

    /// The same up to `most`, and whether there are more: where a number is to be had at once.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn count_to(&self, query: &Query, most: u64) -> Result<(u64, bool), IndexError> {
        self.read(|sql| {
            let Selected { from, filter, values, .. } =
                Selected::of_few(query, Timestamp::now(), sql)?;
            let text = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {filter} LIMIT {}) AS found",
                most.saturating_add(1)
            );
            let found = sql.row(&text, &values)?.map_or(0, |mut row| row.count());
            Ok((found.min(most), found > most))
        })
    }

    /// The ids of the decisions that `query` means, newest first, at most `limit`: what a bulk action is about.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn ids(&self, query: &Query, limit: usize) -> Result<Vec<Uuid>, IndexError> {
        let selected = self.selected(query);
        let text = selected.newest("id", limit);
        self.read(|sql| {
            let ids = sql.rows(&text, &selected.values)?;
            Ok(ids.into_iter().map(|mut row| row.id()).collect())
        })
    }

    /// Where a list that is to be followed begins: the number of the last record that was taken in, or, of an index of
    /// many logs, of the last decision; 0 if there is none.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn position(&self) -> Result<u64, IndexError> {
        let dialect = self.dialect();
        self.read(|sql| {
            let row = sql.row(dialect.last(), &[])?;
            Ok(row.map_or(0, |mut row| row.count()))
        })
    }
}

impl Index {
    /// The lines of the log that were passed over because they are no sound records, if there are any.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn unsound(&self) -> Result<Option<Unsound>, IndexError> {
        let name = self.name()?;
        self.read(|sql| {
            let of = "FROM unsound WHERE log = (SELECT id FROM logs WHERE name = ?)";
            let text = format!("SELECT segment, start {of} ORDER BY segment, start LIMIT 1");
            let Some(mut first) = sql.row(&text, &[name.as_str().into()])? else { return Ok(None) };
            let (segment, offset) = (first.text(), first.count());
            let all = sql.row(&format!("SELECT count(*) {of}"), &[name.as_str().into()])?;
            Ok(Some(Unsound { lines: all.map_or(1, |mut row| row.count()), segment, offset }))
        })
    }
}

fn rows(sql: &mut dyn Sql, selected: &Selected, order: &str, limit: usize) -> Stored<Vec<Row>> {
    let Selected { from, walked, filter, values, .. } = selected;
    // First which rows, for which an index is often enough; sorting whole rows is slow.
    let text = format!(
        "SELECT {COLUMNS} FROM decisions WHERE seq IN (
           SELECT decisions.seq FROM {from} WHERE {filter} ORDER BY {walked} {order} LIMIT {limit}
         ) ORDER BY seq {order}"
    );
    let mut rows: Vec<Row> = sql.rows(&text, values)?.into_iter().map(row).collect();
    for row in &mut rows {
        row.hazards = hazards(sql, row.seq)?;
    }
    Ok(rows)
}

pub(crate) fn hazards(sql: &mut dyn Sql, seq: u64) -> Stored<Vec<String>> {
    let text = "SELECT name FROM tags WHERE seq = ? AND kind = ? ORDER BY name";
    let kind = tag(Field::Hazard).unwrap_or_default();
    let names = sql.rows(text, &[seq.into(), kind.into()])?;
    Ok(names.into_iter().map(|mut row| row.text()).collect())
}

/// Reads the [`COLUMNS`]. The hazards are not among them.
pub(crate) fn row(mut row: store::Row) -> Row {
    let action = |word: Option<String>| {
        Action::ALL.iter().copied().find(|action| Some(action.as_str()) == word.as_deref())
    };
    let keep = |word: Option<String>| {
        Keep::ALL.iter().copied().find(|keep| Some(keep.as_str()) == word.as_deref())
    };
    Row {
        seq: row.count(),
        id: row.id(),
        time: time(row.int()),
        outcome: row.text(),
        action: action(row.some_text()),
        would: action(row.some_text()),
        mode: row.some_text(),
        hazards: Vec::new(),
        category: row.some_text(),
        score: row.some_real(),
        status: row.some_int().and_then(|status| u16::try_from(status).ok()),
        reason: row.some_text(),
        stream: row.flag(),
        method: row.some_text(),
        route: row.some_text(),
        model: row.some_text(),
        policy: row.some_text(),
        profile: row.some_text(),
        key: row.some_text(),
        key_name: row.some_text(),
        instance: row.some_text(),
        trace: row.some_text(),
        total_ms: row.some_real(),
        guard_ms: row.some_real(),
        upstream_ms: row.some_real(),
        keep: keep(row.some_text()),
        review: row.some_text(),
    }
}

/// A time as the index holds it.
pub(crate) fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}
