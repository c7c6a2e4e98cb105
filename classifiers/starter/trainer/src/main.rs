//! Trains and evaluates the embedded default classifier.

mod baseline;
mod calibration;
mod data;
mod disguise;
mod error;
mod example;
mod fit;
mod folds;
mod lexicon;
mod metrics;
mod quantise;
mod random;
mod report;
mod scores;
mod spelling;
mod surround;
mod synth;

use std::error::Error as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use classifiers_starter::Model;
use classifiers_starter::training::{CATEGORIES, Knots};
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::Row;
use crate::error::Error;
use crate::example::Settings;
use crate::folds::{Prepared, Raw};
use crate::report::{Report, Side};

/// Trains and evaluates the starter classifier.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Evaluates as `evaluate` does, calibrates with those scores, trains on everything, writes the weights.
    Train {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        tables: Tables,
        /// Where to write the weights.
        #[arg(long, default_value = "classifiers/starter/weights/starter.bin")]
        weights: PathBuf,
    },
    /// Leave-one-group-out, beside the plain n-gram baseline on the same folds.
    Evaluate {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        tables: Tables,
    },
    /// Scores files of labelled rows with weights already made.
    Score {
        /// Files of gzipped JSON lines, none of them trained on.
        files: Vec<PathBuf>,
        /// The weights.
        #[arg(long, default_value = "classifiers/starter/weights/starter.bin")]
        weights: PathBuf,
        /// Also train the plain baseline on this file, for comparison.
        #[arg(long)]
        baseline: Option<PathBuf>,
        /// Where to write the tables: Markdown, or JSON if the name ends in `.json`.
        #[arg(long)]
        out: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct Tables {
    /// Leave the baseline out.
    #[arg(long)]
    skip_baseline: bool,
    /// Where to write the tables: Markdown, or JSON if the name ends in `.json`.
    #[arg(long)]
    out: Vec<PathBuf>,
    /// Where to write each row's labels and out-of-fold scores, for `portcullis calibrate`.
    #[arg(long)]
    scores: Option<PathBuf>,
}

#[derive(Args)]
struct Data {
    /// Gzipped JSON lines to train on.
    #[arg(long, default_value = "../shared/data/train/permissive.jsonl.gz")]
    data: PathBuf,
    /// Folds trained at the same time; changes the time, not the result.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                line = format!("{line}: {cause}");
                source = cause.source();
            }
            writeln!(std::io::stderr(), "error: {line}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Train { data, tables, weights } => {
            let rows = rows(&data.data)?;
            let prepared = Prepared::new(&rows, lexicon::table()?, Settings::default());
            let knots = evaluate(&prepared, &data, &tables)?;
            train(&prepared, knots, &weights)
        }
        Command::Evaluate { data, tables } => {
            let rows = rows(&data.data)?;
            let prepared = Prepared::new(&rows, lexicon::table()?, Settings::default());
            evaluate(&prepared, &data, &tables).map(drop)
        }
        Command::Score { files, weights, baseline, out } => {
            score(&files, &weights, baseline.as_deref(), &out)
        }
    }
}

/// Real rows, then our own.
fn rows(path: &Path) -> Result<Vec<Row>, Error> {
    let mut rows = data::read(path)?;
    let templates = synth::Templates::new()?;
    let carriers = synth::carrier_rows(&templates, &rows, synth::CARRIERS);
    let surrounded = surround::rows(&rows, surround::COUNT);
    rows.extend(carriers);
    rows.extend(surrounded);
    rows.extend(synth::template_rows(&templates, synth::TEMPLATES));
    Ok(rows)
}

fn train(prepared: &Prepared<'_>, knots: [Knots; CATEGORIES], weights: &Path) -> Result<(), Error> {
    let bar = bar(visits(prepared), "rows learned");
    let file = prepared.train(|_| true, knots, &bar);
    bar.finish();
    let model = Model::read(&file)?;
    std::fs::write(weights, &file)
        .map_err(|source| Error::Write { path: weights.into(), source })?;
    say(&format!("revision {}, {} bytes", model.revision(), file.len()));
    Ok(())
}

fn visits(prepared: &Prepared<'_>) -> u64 {
    prepared.rows.len() as u64 * u64::from(prepared.settings.epochs)
}

fn evaluate(
    prepared: &Prepared<'_>,
    data: &Data,
    tables: &Tables,
) -> Result<[Knots; CATEGORIES], Error> {
    let rows = prepared.rows;
    let folds = folds::groups(rows).len() as u64;
    let learning = bar(visits(prepared) * folds, "rows learned");
    let raw = folds::ours(prepared, data.threads, &learning)?;
    learning.finish();
    let (knots, shares) = calibration::knots(rows, &raw);
    let mut sides = vec![Side { name: "starter", raw: &raw }];
    let plain;
    if !tables.skip_baseline {
        let bar = bar(folds, "baseline folds");
        plain = folds::plain(rows, data.threads, &bar)?;
        bar.finish();
        sides.push(Side { name: "baseline", raw: &plain });
    }
    let calibration::Shares { attacks, hazards } = shares;
    say(&format!(
        "of the rate at medium sensitivity: attacks {attacks:.2}, blocked hazards {hazards:.2}"
    ));
    publish(&Report::new(rows, sides, knots), &tables.out)?;
    if let Some(path) = &tables.scores {
        scores::write(path, rows, &raw, &knots)?;
    }
    Ok(knots)
}

fn score(
    files: &[PathBuf],
    weights: &Path,
    baseline: Option<&Path>,
    out: &[PathBuf],
) -> Result<(), Error> {
    let bytes =
        std::fs::read(weights).map_err(|source| Error::Open { path: weights.into(), source })?;
    let model = Model::read(&bytes)?;
    let mut rows = Vec::new();
    for file in files {
        rows.extend(data::read(file)?);
    }
    let raw: Raw = rows.iter().map(|row| model.score(&row.text, row.tool).raw).collect();
    let mut sides = vec![Side { name: "starter", raw: &raw }];
    let plain;
    if let Some(path) = baseline {
        plain = folds::plain_on(&data::read(path)?, &rows);
        sides.push(Side { name: "baseline", raw: &plain });
    }
    publish(&Report::new(&rows, sides, knots_of(&model)), out)
}

fn knots_of(model: &Model<'_>) -> [Knots; CATEGORIES] {
    std::array::from_fn(|category| model.knots(category))
}

fn publish(report: &Report<'_>, out: &[PathBuf]) -> Result<(), Error> {
    say(report.markdown());
    for path in out {
        let text = if path.extension().is_some_and(|e| e == "json") {
            format!("{:#}\n", report.json())
        } else {
            report.markdown().to_owned()
        };
        std::fs::write(path, text).map_err(|source| Error::Write { path: path.into(), source })?;
    }
    Ok(())
}

/// A progress bar; shows itself on a terminal only.
fn bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(what);
    match ProgressStyle::with_template("{bar:40} {percent}% of {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn say(text: &str) {
    // A closed pipe is the reader's choice, not an error.
    writeln!(std::io::stdout(), "{text}").ok();
}
