//! `portcullis audit query` and the filtered `tail`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::ProgressBar;
use proxy_index::{
    Facet, Field, Index, IndexError, Query, Row, Test, json_line, visible, visible_json,
};

use super::args::{QueryArgs, Selection, TailArgs, filter};
use crate::failure::Failure;
use crate::indexed;

/// How often `tail --follow` looks for new decisions.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Decisions that one look takes at most.
const LOOKED_AT: usize = 1_000;

impl Selection {
    /// The filter and the flags together.
    pub(crate) fn query(&self) -> Result<Query, Failure> {
        let mut query = filter(&self.filter)?;
        for (name, value) in [("since", &self.since), ("until", &self.until)] {
            let Some(value) = value else { continue };
            query.terms.extend(filter(&[format!("{name}:{value}")])?.terms);
        }
        for (field, value) in [
            (Field::Action, &self.action),
            (Field::Hazard, &self.hazard),
            (Field::Key, &self.key),
            (Field::Route, &self.route),
            (Field::Classifier, &self.classifier),
        ] {
            if let Some(value) = value {
                query = query.and(Test::Is(field, vec![value.clone()]));
            }
        }
        Ok(match &self.text {
            Some(text) => query.and(Test::Text(text.clone())),
            None => query,
        })
    }

    pub(crate) fn open(&self) -> Result<Index, Failure> {
        open(&self.dir, self.index.as_deref())
    }
}

/// The index of the log in `dir`, up to date.
pub(crate) fn open(dir: &Path, place: Option<&str>) -> Result<Index, Failure> {
    // Where there is no log, none must be made up by making an index.
    proxy_audit::Follower::first(dir).map_err(|error| super::unreadable(dir, &error))?;
    let index = match place {
        Some(place) => Index::at(dir, &indexed::place(place)?),
        None => Index::open(dir),
    };
    let index = index.map_err(|error| failure(&error))?;
    let bar = ProgressBar::new_spinner().with_message("records read into the index");
    let read = index.catch_up(|progress| bar.set_position(progress.records));
    bar.finish_and_clear();
    read.map_err(|error| failure(&error))?;
    if let Some(unsound) = index.unsound().map_err(|error| failure(&error))? {
        eprintln!("warning: {unsound}");
    }
    Ok(index)
}

pub(crate) fn failure(error: &IndexError) -> Failure {
    Failure::environment("the decisions cannot be searched", error)
}

pub(super) fn query(args: &QueryArgs) -> Result<ExitCode, Failure> {
    let fields = args.facets.iter().map(|name| {
        Field::by_name(name).ok_or_else(|| Failure::Usage(format!("there is no field `{name}`")))
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let (query, index) = (args.selection.query()?, args.selection.open()?);
    if args.count {
        let count = index.count(&query).map_err(|error| failure(&error))?;
        writeln!(std::io::stdout(), "{count}").ok();
        return Ok(ExitCode::SUCCESS);
    }
    if !fields.is_empty() {
        // Of all of them: who asks here waits.
        let found = index.facets(&query, &fields, (args.limit, usize::MAX));
        print_facets(&found.map_err(|error| failure(&error))?.facets, args.json);
        return Ok(ExitCode::SUCCESS);
    }
    let page = index.page(&query, args.before, args.limit).map_err(|error| failure(&error))?;
    if args.json {
        page.rows.iter().for_each(print_json);
    } else {
        writeln!(std::io::stdout(), "{}", table(&page.rows)).ok();
        if let Some(before) = page.before {
            eprintln!("there are more: go on with --before {before}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The filtered tail, by the index; the unfiltered one reads the log itself.
pub(super) fn tail(args: &TailArgs) -> Result<ExitCode, Failure> {
    let (query, index) = (filter(&args.filter)?, open(&args.dir, None)?);
    let count = usize::try_from(args.lines).unwrap_or(usize::MAX);
    let mut rows = index.page(&query, None, count).map_err(|error| failure(&error))?.rows;
    rows.reverse();
    let mut last = index.position().map_err(|error| failure(&error))?;
    loop {
        for row in &rows {
            if args.json {
                print_json(row);
            } else {
                writeln!(std::io::stdout(), "{}", line(row)).ok();
            }
        }
        last = rows.last().map_or(last, |row| row.seq.max(last));
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(LOOK_EVERY);
        index.catch_up(|_| {}).map_err(|error| failure(&error))?;
        rows = index.tail(&query, last, LOOKED_AT).map_err(|error| failure(&error))?;
    }
}

fn print_json(row: &Row) {
    writeln!(std::io::stdout(), "{}", json_line(row)).ok();
}

/// The action with its reason: `block violent_crimes`, or how a request without one ended.
fn what(row: &Row) -> String {
    let action = row.action.map_or(row.outcome.as_str(), |action| action.as_str());
    let why =
        if row.hazards.is_empty() { row.reason.clone() } else { Some(row.hazards.join(", ")) };
    match (why, row.would) {
        (Some(why), None) => format!("{action}: {}", visible(&why)),
        (why, Some(would)) => {
            format!("{action} (would {would}): {}", visible(&why.unwrap_or_default()))
        }
        (None, None) => action.to_owned(),
    }
}

fn line(row: &Row) -> String {
    format!(
        "{}  {:<17}  {:<36}  {:<20}  {}",
        row.time,
        row.outcome,
        what(row),
        visible(row.model.as_deref().unwrap_or_default()),
        row.id
    )
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["time", "decision", "score", "key", "model", "route", "review", "id"]);
    for row in rows {
        let score = match (&row.category, row.score) {
            (Some(category), Some(score)) => format!("{score:.2} {category}"),
            _ => String::new(),
        };
        let text = |value: &Option<String>| visible(value.as_deref().unwrap_or_default());
        let key = row.key_name.as_ref().or(row.key.as_ref()).cloned();
        table.add_row([
            row.time.to_string(),
            what(row),
            score,
            text(&key),
            text(&row.model),
            text(&row.route),
            text(&row.review),
            row.id.to_string(),
        ]);
    }
    table
}

fn print_facets(facets: &[Facet], json: bool) {
    let mut out = std::io::stdout();
    for facet in facets {
        if json {
            let json = serde_json::to_string(facet).unwrap_or_default();
            writeln!(out, "{}", visible_json(&json)).ok();
            continue;
        }
        writeln!(out, "{}", facet.field.name()).ok();
        for (value, count) in &facet.values {
            writeln!(out, "  {count:>9}  {}", visible(value.as_deref().unwrap_or("none"))).ok();
        }
        if facet.more {
            writeln!(out, "             and more").ok();
        }
    }
}
