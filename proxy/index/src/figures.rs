//! Counts of decisions, for charts.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::error::IndexError;
use crate::found::{
    Bar, Causes, Distribution, Facet, Facets, Latency, Quantiles, Scores, Timeline,
};
use crate::index::Index;
use crate::lists::time;
use crate::packed;
use crate::query::{Field, Query, Term, Test};
use crate::sql::{Selected, column, tag};
use crate::store::{Dialect, Sql, Stored, Value};

/// Steps of a distribution.
const STEPS: usize = 100;

impl Index {
    /// For each of `fields` its values among the newest `newest` decisions that `query` means, the most frequent
    /// `limit`.
    ///
    /// # Errors
    /// [`IndexError::Unusable`] if the file cannot be read.
    pub fn facets(
        &self,
        query: &Query,
        fields: &[Field],
        (limit, newest): (usize, usize),
    ) -> Result<Facets, IndexError> {
        self.read(|sql| {
            let selected = few(sql, query)?;
            facets(sql, &selected, fields, (limit, newest))
        })
    }

    /// What the newest `newest` decisions that `query` means are because of, and how many of these ended how.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn causes(&self, query: &Query, newest: usize) -> Result<Causes, IndexError> {
        self.read(|sql| {
            let selected = few(sql, query)?;
            causes(sql, &selected, newest)
        })
    }

    /// The decisions that `query` means over time, in at most `bars` equal intervals of a round length. The time is the
    /// query's; where it leaves an end open, the first or last decision's. A query of times alone is counted whole, of any
    /// other the newest `newest`.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn timeline(
        &self,
        query: &Query,
        bars: usize,
        newest: usize,
    ) -> Result<Timeline, IndexError> {
        self.read(|sql| timeline(sql, query, (bars, newest)))
    }

    /// How scores are distributed over the newest `limit` decisions that `query` means.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn scores(&self, query: &Query, limit: usize) -> Result<Scores, IndexError> {
        self.read(|sql| {
            let selected = few(sql, query)?;
            scores(sql, &selected, limit)
        })
    }

    /// Where the time of the newest `limit` decisions went that `query` means and that a policy was asked about. `None`
    /// if there are none.
    ///
    /// # Errors
    /// As [`Index::facets`].
    pub fn latency(&self, query: &Query, limit: usize) -> Result<Option<Latency>, IndexError> {
        let [total, guard, mut upstream] = self.read(|sql| {
            let mut selected = few(sql, query)?;
            selected.and("decisions.action IS NOT NULL AND decisions.total IS NOT NULL", []);
            times(sql, &selected, limit)
        })?;
        upstream.retain(|ms| *ms > 0.0);
        let all = quantiles(total).zip(quantiles(guard));
        Ok(all.map(|(total, guard)| Latency { total, guard, upstream: quantiles(upstream) }))
    }
}

fn few(sql: &mut dyn Sql, query: &Query) -> Stored<Selected> {
    Selected::of_few(query, Timestamp::now(), sql)
}

/// How many decisions have each value.
type Counts = HashMap<Option<String>, u64>;

fn facets(
    sql: &mut dyn Sql,
    selected: &Selected,
    fields: &[Field],
    (limit, newest): (usize, usize),
) -> Stored<Facets> {
    // Read once for all of them: to find decisions takes longer than to count their values.
    let columns: Vec<(Field, &str)> =
        fields.iter().filter_map(|field| Some((*field, column(*field)?))).collect();
    let texts = columns.iter().map(|(_, column)| format!(", CAST({column} AS TEXT)"));
    let text = selected
        .newest(&format!("decisions.seq{}", texts.collect::<String>()), newest.saturating_add(1));
    let mut counts: Vec<Counts> = vec![Counts::new(); columns.len()];
    let mut found = 0;
    sql.each(&text, &selected.values, &mut |mut row| {
        found += 1;
        if found <= newest {
            row.int();
            counts.iter_mut().for_each(|counts| *counts.entry(row.some_text()).or_default() += 1);
        }
    })?;
    let mut counts: HashMap<Field, Counts> =
        columns.iter().map(|(field, _)| *field).zip(counts).collect();
    let ids = selected.newest("decisions.id", newest);
    let others = fields.iter().filter(|field| column(**field).is_none());
    let tags = others.clone().any(|field| tag(*field).is_some());
    let mut tags = if tags { tagged(sql, selected, newest)? } else { HashMap::new() };
    for field in others {
        let its = match tag(*field) {
            Some(kind) => tags.remove(&kind).unwrap_or_default(),
            None => reviewers(sql, &ids, &selected.values)?,
        };
        counts.insert(*field, its);
    }
    let facet =
        |field: &Field| most_frequent(*field, counts.remove(field).unwrap_or_default(), limit);
    let facets = fields.iter().map(facet).collect();
    Ok(Facets { decisions: found.min(newest) as u64, more: found > newest, facets })
}

/// By kind, what the newest decisions have several of.
fn tagged(sql: &mut dyn Sql, selected: &Selected, newest: usize) -> Stored<HashMap<i64, Counts>> {
    // The order of a cross join is kept by SQLite: an index has the few tags of each.
    let text = format!(
        "SELECT tags.kind, tags.name, count(*) FROM ({}) AS newest CROSS JOIN tags
         WHERE tags.seq = newest.number GROUP BY tags.kind, tags.name",
        selected.newest("decisions.seq AS number", newest)
    );
    let mut tags: HashMap<i64, Counts> = HashMap::new();
    sql.each(&text, &selected.values, &mut |mut row| {
        let (kind, name) = (row.int(), row.some_text());
        tags.entry(kind).or_default().insert(name, row.count());
    })?;
    Ok(tags)
}

fn causes(sql: &mut dyn Sql, selected: &Selected, newest: usize) -> Stored<Causes> {
    let kind = tag(Field::Hazard).unwrap_or_default();
    let text = format!(
        "SELECT tags.name, newest.outcome, count(*) FROM ({}) AS newest CROSS JOIN tags
         WHERE tags.seq = newest.number AND tags.kind = {kind} GROUP BY tags.name, newest.outcome",
        selected.newest("decisions.seq AS number, outcome", newest)
    );
    let mut causes = Causes::new();
    sql.each(&text, &selected.values, &mut |mut row| {
        let (name, outcome) = (row.text(), row.text());
        causes.entry(name).or_default().insert(outcome, row.count());
    })?;
    Ok(causes)
}

/// Whose verdicts stand about the decisions with these ids.
fn reviewers(sql: &mut dyn Sql, ids: &str, values: &[Value]) -> Stored<Counts> {
    let text = format!(
        "SELECT reviewer, count(DISTINCT decision) FROM reviews
         WHERE stands = 1 AND verdict IS NOT NULL AND decision IN ({ids}) GROUP BY reviewer"
    );
    let rows = sql.rows(&text, values)?;
    Ok(rows.into_iter().map(|mut row| (row.some_text(), row.count())).collect())
}

fn most_frequent(field: Field, counts: Counts, limit: usize) -> Facet {
    let mut values: Vec<(Option<String>, u64)> = counts.into_iter().collect();
    values.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
    let more = values.len() > limit;
    values.truncate(limit);
    Facet { field, values, more }
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

/// The decisions that a timeline counts: a table that has their `time`, `action` and `outcome`.
struct Counted {
    table: String,
    values: Vec<Value>,
    is_whole: bool,
}

impl Counted {
    /// One more than `newest`, if there are more.
    fn of(sql: &mut dyn Sql, query: &Query, newest: usize) -> Stored<Self> {
        if query.terms.iter().all(is_time) {
            let Selected { filter, values, .. } =
                Selected::of(query, Timestamp::now(), sql.dialect());
            let table = format!("{} WHERE {filter}", sql.dialect().by_time());
            return Ok(Self { table, values, is_whole: true });
        }
        let selected = few(sql, query)?;
        let newest = selected.newest("time, action, outcome", newest.saturating_add(1));
        let table = format!("({newest}) AS newest");
        Ok(Self { table, values: selected.values, is_whole: false })
    }

    /// The first and the last time.
    fn ends(&self, sql: &mut dyn Sql) -> Stored<Option<(i64, i64)>> {
        let mut end = |which: &str| -> Stored<Option<i64>> {
            let text = format!("SELECT {which}(time) FROM {}", self.table);
            Ok(sql.row(&text, &self.values)?.and_then(|mut row| row.some_int()))
        };
        // Each alone is an end of the index.
        if self.is_whole {
            return Ok(end("min")?.zip(end("max")?));
        }
        let text = format!("SELECT min(time), max(time) FROM {}", self.table);
        let ends = sql.row(&text, &self.values)?;
        Ok(ends.and_then(|mut row| row.some_int().zip(row.some_int())))
    }

    /// How many there are in each interval of so many milliseconds, by what was done and how they ended.
    fn by_interval(&self, sql: &mut dyn Sql, width: i64) -> Stored<HashMap<Interval, u64>> {
        let each = format!("SELECT time / {width} AS bar, action, outcome FROM {}", self.table);
        // To group them SQLite would sort them all, which takes longer than to look at them all.
        let text = match sql.dialect() {
            Dialect::Sqlite => each,
            Dialect::Postgres => {
                format!(
                    "SELECT bar, action, outcome, count(*) FROM ({each}) AS each_one GROUP BY 1, 2, 3"
                )
            }
        };
        let mut counts = HashMap::new();
        sql.each(&text, &self.values, &mut |mut row| {
            let interval = (row.int(), row.some_text(), row.text());
            let number = row.some_int().map_or(1, i64::cast_unsigned);
            *counts.entry(interval).or_default() += number;
        })?;
        Ok(counts)
    }
}

/// Which interval, what was done, and how it ended.
type Interval = (i64, Option<String>, String);

fn timeline(sql: &mut dyn Sql, query: &Query, (most, newest): (usize, usize)) -> Stored<Timeline> {
    let of = Counted::of(sql, query, newest)?;
    let Some((first, last)) = of.ends(sql)? else { return Ok(Timeline::default()) };
    let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
    let fits = |width: &&i64| last.div_euclid(**width) - first.div_euclid(**width) < most;
    let longest = (last - first) / most + 1;
    let width = WIDTHS.iter().find(fits).copied().unwrap_or(longest);
    let start = first.div_euclid(width);
    let bars = usize::try_from(last.div_euclid(width) - start + 1).unwrap_or_default();
    let mut bars = vec![Bar::default(); bars];
    let (mut outcomes, mut found) = (BTreeMap::new(), 0);
    for ((bar, action, outcome), number) in of.by_interval(sql, width)? {
        let name = action.unwrap_or_else(|| outcome.clone());
        let bar = usize::try_from(bar - start).ok().and_then(|bar| bars.get_mut(bar));
        if let Some(bar) = bar {
            *bar.counts.entry(name).or_default() += number;
        }
        *outcomes.entry(outcome).or_default() += number;
        found += number;
    }
    let more = !of.is_whole && found > newest as u64;
    Ok(Timeline { start: time(start * width), width_ms: width, bars, outcomes, more })
}

/// Whether a term is about the time alone: an index has all that a timeline asks for of these.
fn is_time(term: &Term) -> bool {
    matches!(term.test, Test::Since(_) | Test::Until(_))
}

fn scores(sql: &mut dyn Sql, selected: &Selected, limit: usize) -> Stored<Scores> {
    let text = selected.newest("scores", limit.saturating_add(1));
    let mut rows = sql.rows(&text, &selected.values)?;
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
    let text = selected.newest("decisions.total, decisions.guard, decisions.upstream", limit);
    let mut times: [Vec<f32>; 3] = Default::default();
    sql.each(&text, &selected.values, &mut |mut row| {
        times.iter_mut().for_each(|times| times.extend(row.some_real()));
    })?;
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
