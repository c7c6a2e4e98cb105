//! `portcullis eval position`

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use evaluation::position::{Cell, Control, LENGTHS, POSITIONS, PositionReport, context, diluted};
use evaluation::{Attack, Estimate, Example, Format, Outcome};

use crate::args::ModelsArgs;
use crate::commands::serve::runtime;
use crate::failure::Failure;

use super::args::examples;
use super::judge::{Here, Judge};
use super::{bar, cannot_write, command_line, write};

#[derive(Debug, clap::Args)]
pub(crate) struct PositionArgs {
    /// Labelled texts: attacks to hide, and clean texts to hide them in
    #[arg(required = true, value_name = "FILE|FOLDER")]
    data: Vec<PathBuf>,
    /// How many attacks to try, taken evenly from those in the data
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    attacks: usize,
    /// The longest context, in tokens of 4 bytes
    #[arg(long, value_name = "TOKENS", default_value_t = 131_072)]
    longest: usize,
    /// The language of attacks and contexts, as the data names it
    #[arg(long, default_value = "en")]
    language: String,
    /// The policy that decides
    #[arg(long, value_name = "FILE|NAME", default_value = "default")]
    policy: String,
    #[command(flatten)]
    models: ModelsArgs,
    /// Where the report is written: position.html, position.json, position.md
    #[arg(long, value_name = "FOLDER", default_value = "portcullis-eval")]
    out: PathBuf,
}

struct Bench {
    judge: Judge,
    attacks: Vec<Example>,
    parts: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

/// Hides attacks, and counts what is found.
pub(super) fn run(args: &PositionArgs) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let bench = args.bench()?;
    let lengths: Vec<usize> =
        LENGTHS.into_iter().filter(|tokens| *tokens <= args.longest).collect();
    let bar = bar((lengths.len() * POSITIONS.len() * bench.attacks.len()) as u64, "texts");
    let (guard, policy) = bench.judge.names();
    let mut report = PositionReport {
        subject: format!("{guard}, {policy}"),
        command: command_line(),
        ..PositionReport::default()
    };
    for tokens in lengths {
        for position in POSITIONS {
            // Alone, an attack has one place.
            if tokens > 0 || position == 0 {
                report.cells.push(bench.cell(tokens, position));
            }
            bar.inc(bench.attacks.len() as u64);
        }
        report.controls.push(bench.control(tokens));
    }
    bar.finish_and_clear();
    report.seconds = started.elapsed().as_secs_f64();
    fs::create_dir_all(&args.out).map_err(|error| cannot_write(&args.out, &error))?;
    for (name, text) in [
        ("position.html", report.html()),
        ("position.json", report.json()),
        ("position.md", report.markdown()),
    ] {
        write(&args.out.join(name), &text)?;
    }
    let html = args.out.join("position.html");
    writeln!(std::io::stdout(), "{}\n{}", report.markdown(), html.display()).ok();
    Ok(ExitCode::SUCCESS)
}

impl PositionArgs {
    fn bench(&self) -> Result<Bench, Failure> {
        let mut all = Vec::new();
        for path in &self.data {
            all.extend(examples(path, Format::Auto)?);
        }
        all.retain(|example| example.text.is_some() && example.language == self.language);
        let is_attack =
            |example: &Example| example.attack.is_some_and(|attack| attack != Attack::Benign);
        let parts: Vec<String> = all
            .iter()
            .filter(|example| example.is_clean())
            .filter_map(|example| example.text.clone())
            .collect();
        all.retain(is_attack);
        if all.is_empty() || parts.is_empty() {
            return Err(Failure::Environment(format!(
                "the data has {} attacks and {} clean texts in `{}`; both are needed",
                all.len(),
                parts.len(),
                self.language
            )));
        }
        let step = (all.len() / self.attacks.max(1)).max(1);
        let attacks = all.into_iter().step_by(step).take(self.attacks.max(1)).collect();
        let models = self.models.models()?;
        let judge = Judge::Here(Box::new(Here::new(&self.policy, &models, None)?));
        Ok(Bench { judge, attacks, parts, runtime: runtime()? })
    }
}

impl Bench {
    fn outcome(&self, text: String, like: &Example) -> Outcome {
        self.runtime.block_on(self.judge.judge(&Example::new(text, like.role)))
    }

    /// Where each attack's context begins among the clean texts: no two have the same.
    fn begins(&self, index: usize) -> usize {
        index * self.parts.len() / self.attacks.len().max(1)
    }

    fn cell(&self, tokens: usize, position: u32) -> Cell {
        let outcomes = self.attacks.iter().enumerate().map(|(index, attack)| {
            let text = attack.text.as_deref().unwrap_or_default();
            let first = self.begins(index);
            self.outcome(diluted(text, &self.parts, first, (tokens, position)), attack)
        });
        let outcomes: Vec<Outcome> = outcomes.collect();
        let hits = outcomes.iter().filter(|outcome| is_found(outcome)).count();
        let failures = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        let found = Estimate::share(hits, outcomes.len());
        Cell { tokens, position, attacks: outcomes.len(), hits, failures, found }
    }

    fn control(&self, tokens: usize) -> Control {
        let tried = if tokens == 0 { 0 } else { self.attacks.len() };
        let found = self.attacks.iter().enumerate().take(tried).filter(|(index, like)| {
            let text = context(&self.parts, self.begins(*index), tokens);
            is_found(&self.outcome(text, like))
        });
        Control { tokens, contexts: tried, found: Estimate::share(found.count(), tried) }
    }
}

/// Whether a prompt attack of either kind counts under the policy.
fn is_found(outcome: &Outcome) -> bool {
    ["jailbreak", "prompt_injection"].iter().any(|name| outcome.found.contains(*name))
}
