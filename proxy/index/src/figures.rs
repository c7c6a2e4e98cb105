//! Counts of decisions, for charts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::IndexError;
use crate::found::{Bar, Distribution, Facet, Latency, Quantiles, Scores, Timeline};
use crate::index::Index;
use crate::lists::time;
use crate::packed;
use crate::query::{Field, Query};
use crate::sql::{Selected, column, tag};
use crate::store::{Dialect, Sql, Stored};

/// Steps of a distribution.
const STEPS: usize = 100;

impl Index {
    /// For each of `fields` its values among the decisions that `query` means, the most frequent `limit`.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be read.
    pub fn facets(
        &self,
        query: &Query,
        fields: &[Field],
        limit: usize,
    ) -> Result<Vec<Facet>, IndexError> {
        let selected = self.selected(query);
        self.read(|sql| fields.iter().map(|field| facet(sql, &selected, *field, limit)).collect())
    }

    /// The decisions that `query` means over time, in at most `bars` equal intervals of a round length. The time is the
    /// query's; where it leaves an end open, the first or last decision's.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn timeline(&self, query: &Query, bars: usize) -> Result<Timeline, IndexError> {
        let selected = self.selected(query);
        self.read(|sql| timeline(sql, &selected, bars))
    }

    /// How scores are distributed over the newest `limit` decisions that `query` means.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn scores(&self, query: &Query, limit: usize) -> Result<Scores, IndexError> {
        let selected = self.selected(query);
        self.read(|sql| scores(sql, &selected, limit))
    }

    /// Where the time of the newest `limit` decisions went that `query` means and that a policy was asked about. `None`
    /// if there are none.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn latency(&self, query: &Query, limit: usize) -> Result<Option<Latency>, IndexError> {
        let mut selected = self.selected(query);
        selected.and("decisions.action IS NOT NULL AND decisions.total IS NOT NULL", []);
        let [total, guard, mut upstream] = self.read(|sql| times(sql, &selected, limit))?;
        upstream.retain(|ms| *ms > 0.0);
        let all = quantiles(total).zip(quantiles(guard));
        Ok(all.map(|(total, guard)| Latency { total, guard, upstream: quantiles(upstream) }))
    }
}

fn facet(sql: &mut dyn Sql, selected: &Selected, field: Field, limit: usize) -> Stored<Facet> {
    let Selected { from, filter, values, .. } = selected;
    let asked = limit + 1;
    let text = match (tag(field), column(field)) {
        (Some(kind), _) if filter == "TRUE" => format!(
            "SELECT name, count(*) AS n FROM tags WHERE kind = {kind} GROUP BY name ORDER BY n DESC, name LIMIT {asked}"
        ),
        (Some(kind), _) => format!(
            "SELECT name, count(*) AS n FROM {from} JOIN tags ON tags.seq = decisions.seq AND tags.kind = {kind}
             WHERE {filter} GROUP BY name ORDER BY n DESC, name LIMIT {asked}"
        ),
        // Grouped by the column itself, which has an index.
        (None, Some(column)) => format!(
            "SELECT CAST(value AS TEXT), n FROM (
               SELECT {column} AS value, count(*) AS n FROM {from} WHERE {filter} GROUP BY {column}
             ) AS counted ORDER BY n DESC, 1 LIMIT {asked}"
        ),
        (None, None) => format!(
            "SELECT reviewer, count(DISTINCT decision) AS n FROM reviews WHERE stands = 1 AND verdict IS NOT NULL
             AND decision IN (SELECT id FROM {from} WHERE {filter}) GROUP BY 1 ORDER BY n DESC, 1 LIMIT {asked}"
        ),
    };
    let rows = sql.rows(&text, values)?;
    let mut values: Vec<(Option<String>, u64)> =
        rows.into_iter().map(|mut row| (row.some_text(), row.count())).collect();
    let more = values.len() > limit;
    values.truncate(limit);
    Ok(Facet { field, values, more })
}

/// Lengths of intervals that people read well, in milliseconds.
const WIDTHS: &[i64] = &[
    1_000,
    5_000,
    15_000,
    60_000,
    300_000,
    900_000,
    3_600_000,
    10_800_000,
    21_600_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
];

fn timeline(sql: &mut dyn Sql, selected: &Selected, bars: usize) -> Stored<Timeline> {
    let Selected { from, filter, values, .. } = selected;
    let ends = format!("SELECT min(time), max(time) FROM {from} WHERE {filter}");
    let ends = sql.row(&ends, values)?.map(|mut row| (row.some_int(), row.some_int()));
    let Some((Some(first), Some(last))) = ends else {
        return Ok(Timeline { start: Timestamp::UNIX_EPOCH, width_ms: 1_000, bars: Vec::new() });
    };
    let most = i64::try_from(bars.max(1)).unwrap_or(i64::MAX);
    let fits = |width: &&i64| last.div_euclid(**width) - first.div_euclid(**width) < most;
    let longest = (last - first) / most + 1;
    let width = WIDTHS.iter().find(fits).copied().unwrap_or(longest);
    let start = first.div_euclid(width);
    let count = usize::try_from(last.div_euclid(width) - start + 1).unwrap_or_default();
    let mut bars = vec![Bar::default(); count];
    for ((bar, name), number) in counted(sql, selected, width)? {
        let bar = usize::try_from(bar - start).ok().and_then(|bar| bars.get_mut(bar));
        if let Some(bar) = bar {
            bar.counts.push((name, number));
        }
    }
    Ok(Timeline { start: time(start * width), width_ms: width, bars })
}

/// How many decisions there are in each interval of so many milliseconds, by what was done.
fn counted(
    sql: &mut dyn Sql,
    selected: &Selected,
    width: i64,
) -> Stored<BTreeMap<(i64, String), u64>> {
    let Selected { from, filter, values, .. } = selected;
    let each = format!(
        "SELECT time / {width} AS bar, coalesce(action, outcome) AS name FROM {from} WHERE {filter}"
    );
    // To group them SQLite would sort them all, which takes longer than to look at them all.
    let text = match sql.dialect() {
        Dialect::Sqlite => each,
        Dialect::Postgres => {
            format!("SELECT bar, name, count(*) FROM ({each}) AS each_one GROUP BY bar, name")
        }
    };
    let mut counts = BTreeMap::new();
    sql.each(&text, values, &mut |mut row| {
        let name = (row.int(), row.text());
        let number = row.some_int().map_or(1, i64::cast_unsigned);
        *counts.entry(name).or_default() += number;
    })?;
    Ok(counts)
}

fn scores(sql: &mut dyn Sql, selected: &Selected, limit: usize) -> Stored<Scores> {
    let Selected { from, filter, values, .. } = selected;
    let text = format!(
        "SELECT scores FROM {from} WHERE {filter} ORDER BY decisions.seq DESC LIMIT {}",
        limit + 1
    );
    let mut rows = sql.rows(&text, values)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let decisions = rows.len() as u64;
    let mut counts: BTreeMap<(u16, u16, bool), Vec<u64>> = BTreeMap::new();
    for mut row in rows {
        for score in packed::each_score(&row.bytes()) {
            let key = (score.classifier, score.category, score.output);
            let steps = counts.entry(key).or_insert_with(|| vec![0; STEPS]);
            let step = usize::from(score.units) * STEPS / packed::UNITS as usize;
            if let Some(step) = steps.get_mut(step.min(STEPS - 1)) {
                *step += 1;
            }
        }
    }
    let names = names(sql)?;
    let name = |id: u16| names.get(&id).cloned().unwrap_or_default();
    let distributions = counts.into_iter().map(|((classifier, category, output), counts)| {
        let direction = if output { "output" } else { "input" };
        Distribution { classifier: name(classifier), category: name(category), direction, counts }
    });
    Ok(Scores { decisions, more, distributions: distributions.collect() })
}

/// Total, guard and upstream of each decision.
fn times(sql: &mut dyn Sql, selected: &Selected, limit: usize) -> Stored<[Vec<f32>; 3]> {
    let Selected { from, filter, values, .. } = selected;
    let text = format!(
        "SELECT decisions.total, decisions.guard, decisions.upstream FROM {from} WHERE {filter}
         ORDER BY decisions.seq DESC LIMIT {limit}"
    );
    let mut times: [Vec<f32>; 3] = Default::default();
    for mut row in sql.rows(&text, values)? {
        times.iter_mut().for_each(|times| times.extend(row.some_real()));
    }
    Ok(times)
}

fn quantiles(mut times: Vec<f32>) -> Option<Quantiles> {
    times.sort_unstable_by(f32::total_cmp);
    let count = times.len();
    // The nearest rank: a time that was measured.
    let at = |percent: usize| times.get((count * percent).div_ceil(100).max(1) - 1).copied();
    Some(Quantiles { p50: at(50)?, p95: at(95)?, p99: at(99)?, max: times.last().copied()? })
}

fn names(sql: &mut dyn Sql) -> Stored<BTreeMap<u16, String>> {
    let names = sql.rows("SELECT id, name FROM names", &[])?;
    let number = |id: i64| u16::try_from(id).unwrap_or_default();
    Ok(names.into_iter().map(|mut row| (number(row.int()), row.text())).collect())
}
