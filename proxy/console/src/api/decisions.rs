//! Lists, counts and charts of decisions.

use proxy_index::{Field, Timeline};
use serde_json::{Value, json};

use super::{Asking, queue};
use crate::respond::{Problem, Reply};

/// Rows of a page, and the most that are given at a time.
const PAGE: u64 = 100;
const MOST: u64 = 500;
/// Bars of a timeline.
pub(super) const BARS: usize = 120;
/// Values of a facet.
const VALUES: usize = 8;
/// The newest decisions whose values facets count: to go through a million takes seconds.
const FACETED: usize = 10_000;
/// The newest decisions that a timeline counts where the filter is about more than time.
const COUNTED: usize = 50_000;

/// `GET /api/decisions?q=&before=&limit=`
pub(super) fn list(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let (request, index) = (asking.request, &asking.console.index);
    let limit = request.number("limit")?.unwrap_or(PAGE).clamp(1, MOST);
    let limit = usize::try_from(limit).unwrap_or_default();
    // Read before the list, so that what comes in between is in the tail at least.
    let last = index.position()?;
    let listed = index.page(&asking.filter()?, request.number("before")?, limit)?;
    Ok(Reply::json(&json!({ "rows": listed.rows, "before": listed.before, "last": last })))
}

/// `GET /api/tail?q=&after=`: what came since, newest first; waits a while if that is nothing.
pub(super) fn tail(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let (request, index) = (asking.request, &asking.console.index);
    let (filter, after) = (asking.filter()?, request.number("after")?.unwrap_or_default());
    // Nothing was found before, up to there: neither is it now.
    let after = request.seen.map_or(after, |seen| seen.max(after));
    let position = index.position()?;
    let limit = usize::try_from(MOST).unwrap_or_default();
    let mut rows = if position > after { index.tail(&filter, after, limit)? } else { Vec::new() };
    // Full: what follows is fetched next.
    let last = rows.last().filter(|_| rows.len() == limit).map_or(position, |row| row.seq);
    rows.reverse();
    let nothing_yet = rows.is_empty();
    let last = if nothing_yet { position } else { last.max(rows.first().map_or(0, |row| row.seq)) };
    let mut reply = Reply::json(&json!({ "rows": rows, "last": last }));
    reply.nothing_until = nothing_yet.then_some(position);
    Ok(reply)
}

/// `GET /api/count?q=`: how many match now, with the query fixed to now so that the same are meant later.
pub(super) fn count(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let query = queue::fixed(asking.filter()?, jiff::Timestamp::now());
    let count = asking.console.index.count(&query)?;
    Ok(Reply::json(&json!({ "count": count, "query": query.to_string() })))
}

/// `GET /api/facets?q=`
pub(super) fn facets(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let (index, filter) = (&asking.console.index, asking.filter()?);
    let facets = index.facets(&filter, Field::FACETS, (VALUES, FACETED))?;
    Ok(Reply::json(&json!(facets)))
}

/// `GET /api/timeline?q=`
pub(super) fn timeline(asking: &Asking<'_>, _: &[&str]) -> Result<Reply, Problem> {
    let index = &asking.console.index;
    Ok(Reply::json(&over_time(&index.timeline(&asking.filter()?, BARS, COUNTED)?)))
}

/// Decisions over time, as charts take them.
pub(super) fn over_time(timeline: &Timeline) -> Value {
    let Timeline { start, width_ms, bars, more, .. } = timeline;
    let from = start.as_millisecond();
    let time = |number: usize| from + width_ms * i64::try_from(number).unwrap_or_default();
    let buckets = bars.iter().enumerate().filter(|(_, bar)| !bar.counts.is_empty());
    let buckets: Vec<Value> = buckets
        .map(|(number, bar)| json!({ "time": time(number), "counts": bar.counts }))
        .collect();
    json!({ "from": from, "to": time(bars.len()), "step": width_ms, "buckets": buckets, "more": more })
}
