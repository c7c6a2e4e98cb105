//! `portcullis audit export`

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use indicatif::ProgressBar;
use proxy_index::{
    CSV_HEADER, Detail, Index, Query, Row, csv_line, json_line, judged, labelled_lines,
    visible_json,
};

use super::args::{ExportArgs, ExportFormat};
use super::list::failure;
use super::show::record_look;
use super::{ocsf, tests};
use crate::failure::Failure;

/// Decisions that are read at once.
const PAGE: usize = 1_000;

/// Decisions that one labelled set may have: its texts are shown to somebody, and that is recorded one by one.
const LABELLED: usize = 1_000_000;

pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let (query, index) = (args.selection.query()?, args.selection.open()?);
    if args.format == ExportFormat::Labelled {
        let why = args.reveal.as_deref().ok_or_else(|| {
            Failure::Usage("a labelled set has kept texts: say why with --reveal REASON".to_owned())
        })?;
        let ids = index.ids(&judged(query.clone()), LABELLED);
        let ids = ids.map_err(|error| failure(&error))?;
        record_look(&args.selection.dir, &ids, why)?;
    }
    let mut out = writer(args)?;
    let written = match args.format {
        ExportFormat::Csv => rows(&index, &query, |row| Ok(csv_line(row)), CSV_HEADER, &mut out),
        ExportFormat::Jsonl => rows(&index, &query, |row| Ok(json_line(row)), "", &mut out),
        ExportFormat::Ocsf => rows(
            &index,
            &query,
            |row| Ok(visible_json(&ocsf::finding(row).to_string())),
            "",
            &mut out,
        ),
        ExportFormat::Labelled => details(&index, &query, labelled_lines, &mut out),
        ExportFormat::Tests => details(&index, &query, tests::lines, &mut out),
    }?;
    out.flush().map_err(|error| unwritable(&error))?;
    if let Some(path) = &args.out {
        eprintln!("{written} written to {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn unwritable(error: &std::io::Error) -> Failure {
    Failure::environment("the export cannot be written", error)
}

/// The file, for its owner's eyes only; or standard output.
fn writer(args: &ExportArgs) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = &args.out else { return Ok(Box::new(BufWriter::new(std::io::stdout()))) };
    let mut options = OpenOptions::new();
    let file = options.create_new(true).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| {
        Failure::environment(format!("{} cannot be written", path.display()), &error)
    })?;
    Ok(Box::new(BufWriter::new(file)))
}

/// Writes one line for each decision that `query` means, newest first, and says how many.
fn rows(
    index: &Index,
    query: &Query,
    line: impl Fn(&Row) -> Result<String, Failure>,
    header: &str,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    if !header.is_empty() {
        writeln!(out, "{header}").map_err(|error| unwritable(&error))?;
    }
    let bar = ProgressBar::new_spinner().with_message("decisions written");
    let mut before = None;
    loop {
        let page = index.page(query, before, PAGE).map_err(|error| failure(&error))?;
        for row in &page.rows {
            writeln!(out, "{}", line(row)?).map_err(|error| unwritable(&error))?;
        }
        bar.inc(page.rows.len() as u64);
        before = page.before;
        if before.is_none() {
            bar.finish_and_clear();
            return Ok(bar.position());
        }
    }
}

/// Writes what `lines` makes of each reviewed decision that `query` means, and says how many lines those are.
fn details(
    index: &Index,
    query: &Query,
    lines: impl Fn(&Detail) -> Vec<String>,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    let ids = index.ids(&judged(query.clone()), LABELLED);
    let mut written = 0;
    for id in ids.map_err(|error| failure(&error))? {
        let detail = index.detail(id).map_err(|error| failure(&error))?;
        for line in detail.as_ref().map(&lines).unwrap_or_default() {
            writeln!(out, "{line}").map_err(|error| unwritable(&error))?;
            written += 1;
        }
    }
    Ok(written)
}
