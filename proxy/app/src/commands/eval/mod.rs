//! `portcullis eval`

mod args;
mod judge;
mod position;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use evaluation::{Example, Gate, Outcome, Report, Side, Store, Subject, digest};
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

use super::serve::runtime;

pub(crate) use args::{EvalArgs, RemoteArgs, examples};
use judge::Judge;

/// Reads, judges, measures, and writes the report; with gates, says yes or no.
pub(crate) fn run(args: &EvalArgs) -> Result<ExitCode, Failure> {
    if let Some(args::EvalCommand::Position(args)) = &args.command {
        return position::run(args);
    }
    let gates = args.gates()?;
    let (examples, data) = args.examples()?;
    let judge = args.judge(&examples)?;
    let other = args.versus(&examples)?;
    fs::create_dir_all(&args.out).map_err(|error| cannot_write(&args.out, &error))?;
    let path = args.results.clone().unwrap_or_else(|| args.out.join("results.jsonl"));
    let failed = |error| Failure::environment(format!("{} cannot be used", path.display()), &error);
    let mut store = Store::open(&path).map_err(failed)?;
    let outcomes = judged(&judge, &examples, &mut store, args.concurrency).map_err(failed)?;
    let versus = match (&other, &args.versus_results) {
        (Some(judge), _) => {
            let (guard, policy) = judge.names();
            let outcomes =
                judged(judge, &examples, &mut store, args.concurrency).map_err(failed)?;
            Some((format!("{guard}, {policy}"), outcomes))
        }
        (None, Some(path)) => Some(recorded(path, &examples)?),
        (None, None) => None,
    };
    let (guard, policy) = judge.names();
    let subject = Subject { guard, policy, command: command_line(), notes: args.note.clone() };
    let name = subject.guard.clone();
    let side = Side { name: &name, outcomes: &outcomes };
    let versus = versus.as_ref().map(|(name, outcomes)| Side { name, outcomes });
    let report = Report::new(subject, data, &examples, side, versus);
    for (name, text) in [
        ("report.json", report.json()),
        ("report.html", report.html()),
        ("report.md", report.markdown()),
    ] {
        write(&args.out.join(name), &text)?;
    }
    say(&args.out, &report, &outcomes);
    gated(&gates, &report)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::environment(format!("{} cannot be written", path.display()), error)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

/// The command, as a shell would take it.
fn command_line() -> String {
    let words = std::env::args().enumerate().map(|(index, word)| {
        let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+".contains(c);
        if index == 0 {
            "portcullis".to_owned()
        } else if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Everybody's outcomes, in the order of the examples: from the store where they are known, else by asking.
fn judged(
    judge: &Judge,
    examples: &[Example],
    store: &mut Store,
    concurrency: usize,
) -> std::io::Result<Vec<Outcome>> {
    let (guard, policy) = judge.names();
    let subject = format!("{guard}, {policy}");
    let bar = bar(examples.len() as u64, "texts");
    let mut outcomes: Vec<Option<Outcome>> = examples
        .iter()
        .map(|example| {
            example.text.as_ref()?;
            store.get(&subject, &digest(example)).cloned()
        })
        .collect();
    let open: Vec<(usize, &Example)> = outcomes
        .iter()
        .zip(examples)
        .enumerate()
        .filter(|(_, (known, _))| known.is_none())
        .map(|(index, (_, example))| (index, example))
        .collect();
    bar.set_position((examples.len() - open.len()) as u64);
    let runtime = runtime().map_err(|_| std::io::Error::other("the runtime cannot be started"))?;
    runtime.block_on(async {
        let asked = open
            .iter()
            .map(|(index, example)| async move { (*index, *example, judge.judge(example).await) });
        let mut answers = futures_util::stream::iter(asked).buffer_unordered(concurrency.max(1));
        while let Some((index, example, outcome)) = answers.next().await {
            if example.text.is_some() {
                store.put(&subject, &digest(example), &outcome)?;
            }
            if let Some(place) = outcomes.get_mut(index) {
                *place = Some(outcome);
            }
            bar.inc(1);
        }
        Ok::<(), std::io::Error>(())
    })?;
    bar.finish_and_clear();
    Ok(outcomes.into_iter().map(Option::unwrap_or_default).collect())
}

/// The outcomes of another run.
fn recorded(path: &Path, examples: &[Example]) -> Result<(String, Vec<Outcome>), Failure> {
    let what = format!("{} cannot be used", path.display());
    if !path.is_file() {
        return Err(Failure::Environment(format!("{what}: there is no such file")));
    }
    let store = Store::open(path).map_err(|error| Failure::environment(&what, &error))?;
    let [subject] = store.subjects()[..] else {
        return Err(Failure::Environment(format!(
            "{what}: it has outcomes of {} guards; one is needed to compare with",
            store.subjects().len()
        )));
    };
    let of = |example: &Example| {
        let known = store.get(subject, &digest(example)).cloned();
        known.unwrap_or_else(|| Outcome::failed("the other run did not judge this text"))
    };
    Ok((subject.to_owned(), examples.iter().map(of).collect()))
}

/// A progress bar; shows itself on a terminal only.
fn bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(what);
    match ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The figures that matter most, and where the others are.
fn say(out: &Path, report: &Report, outcomes: &[Outcome]) {
    let mut table = comfy_table::Table::new();
    table.set_header([
        "measure",
        "positive / texts",
        "precision",
        "recall",
        "F1",
        "false positives",
        "AUC",
    ]);
    for measure in &report.measures {
        let m = &measure.overall;
        let figures = [m.precision, m.recall, m.f1, m.false_positive_rate, m.auc];
        let cells =
            figures.map(|figure| figure.map_or("–".to_owned(), |f| format!("{:.3}", f.value)));
        let counts = format!("{} / {}", m.positives, m.texts);
        table.add_row([measure.name.to_owned(), counts].into_iter().chain(cells));
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{table}").ok();
    if let Some(why) = outcomes.iter().find_map(|outcome| outcome.failure.as_ref()) {
        writeln!(stdout, "{} texts without a verdict, such as: {why}", report.failures).ok();
    }
    let (html, json) = (out.join("report.html"), out.join("report.json"));
    writeln!(stdout, "{}\n{}", html.display(), json.display()).ok();
}

/// Ends with 1 if any condition does not hold.
fn gated(gates: &[Gate], report: &Report) -> Result<ExitCode, Failure> {
    let mut all = true;
    for gate in gates {
        let passed = gate.check(report);
        all &= passed.holds;
        let value = passed.value.map_or("not measured".to_owned(), |value| format!("{value:.4}"));
        let word = if passed.holds { "holds" } else { "FAILS" };
        writeln!(std::io::stdout(), "{word}: {gate} ({value})").ok();
    }
    if all { Ok(ExitCode::SUCCESS) } else { Err(Failure::SaidNo) }
}
