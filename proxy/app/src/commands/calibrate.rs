//! `portcullis calibrate`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use classifiers_core::{BoxClassify, Category, Direction, Passage, Role};
use evaluation::wilson;
use indicatif::ProgressBar;
use policies::{Calibration, Level};
use serde::Deserialize;
use tower::ServiceExt as _;

use crate::config::today;
use crate::failure::Failure;
use crate::registry;

use super::serve::runtime;

/// Fewer clean texts than this say nothing about 1 false alarm in 1,000.
const LEAST_CLEAN: usize = 1_000;
/// Scores are kept with four decimals.
const STEP: f32 = 0.000_1;

#[derive(Debug, clap::Args)]
pub(crate) struct CalibrateArgs {
    /// Labelled JSON lines: `{"text", "role", "attack", "hazards", "labels"}`, or with `"scores"` in place of a text
    file: PathBuf,
    /// The classifier that is measured
    #[arg(long, default_value = "starter")]
    classifier: String,
    /// The revision, where the file has scores; those of texts come from the one in the program
    #[arg(long)]
    revision: Option<String>,
    /// What the data is, for whoever reads the calibration
    #[arg(long, value_name = "TEXT", default_value = "labelled texts")]
    measured: String,
    /// Let a score fall below the reference scale (0.90, 0.70, 0.40) where fewer false alarms were measured than
    /// its word allows. Without this, a classifier that was made stricter stays so.
    #[arg(long)]
    loosen: bool,
}

/// One labelled text. Labels that are missing are unknown, which is neither clean nor positive.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    role: Option<String>,
    /// `benign`, `injection` or `jailbreak`.
    attack: Option<String>,
    /// Codes (`S1`) or names of all hazards in it.
    hazards: Option<Vec<String>>,
    /// What is known of single hazards, such as what reviewers say.
    #[serde(default)]
    labels: BTreeMap<String, bool>,
    scores: Option<BTreeMap<String, f32>>,
}

/// What is known about one hazard.
#[derive(Default)]
struct Scores {
    clean: Vec<f32>,
    positive: Vec<f32>,
}

/// The classifier, where texts must be judged.
struct Judge {
    revision: String,
    service: BoxClassify,
    runtime: tokio::runtime::Runtime,
}

/// Measures, and prints a calibration file.
pub(crate) fn run(args: &CalibrateArgs) -> Result<ExitCode, Failure> {
    let judge = Judge::new(&args.classifier)?;
    let scores = read(args, &judge)?;
    let revision = args.revision.as_deref().unwrap_or(&judge.revision);
    let text = calibration(args, revision, &scores)?;
    write!(std::io::stdout(), "{text}").ok();
    Ok(ExitCode::SUCCESS)
}

impl Judge {
    fn new(name: &str) -> Result<Self, Failure> {
        let panel = registry::embedded()?;
        let check = panel.checks().iter().find(|check| *check.id().name == *name);
        let check = check.ok_or_else(|| {
            let names: Vec<&str> = panel.checks().iter().map(|check| &*check.id().name).collect();
            Failure::Usage(format!(
                "there is no classifier `{name}`; there are {}",
                names.join(", ")
            ))
        })?;
        let (revision, service) = (check.id().revision.to_string(), check.service());
        Ok(Self { revision, service, runtime: runtime()? })
    }

    /// The strongest score of each hazard.
    fn scores(&self, text: &str, role: Option<&str>) -> Result<BTreeMap<String, f32>, Failure> {
        let (role, direction) = match role {
            Some("assistant") => (Role::Assistant, Direction::Output),
            Some("tool") => (Role::Tool, Direction::Tools),
            _ => (Role::User, Direction::Input),
        };
        let passage = Passage::new(text, role, direction, "/text");
        let assessment = self
            .runtime
            .block_on(self.service.clone().oneshot(passage))
            .map_err(|error| Failure::environment("a text cannot be judged", &error))?;
        let mut scores = BTreeMap::new();
        for finding in assessment.findings {
            let best = scores.entry(finding.category.name().to_owned()).or_insert(finding.score);
            *best = best.max(finding.score);
        }
        Ok(scores)
    }
}

fn read(args: &CalibrateArgs, judge: &Judge) -> Result<BTreeMap<Category, Scores>, Failure> {
    let what = || format!("{} cannot be read", args.file.display());
    let file = File::open(&args.file).map_err(|error| Failure::environment(what(), &error))?;
    let bar = ProgressBar::new_spinner().with_message("texts");
    let mut all: BTreeMap<Category, Scores> = BTreeMap::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        bar.inc(1);
        let line = line.map_err(|error| Failure::environment(what(), &error))?;
        let wrong = |why: String| {
            Failure::Environment(format!("{}: line {}: {why}", args.file.display(), number + 1))
        };
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let positive = line.positive().map_err(wrong)?;
        let scores = match (&line.scores, &line.text) {
            (Some(scores), _) if args.revision.is_some() => scores.clone(),
            (Some(_), _) => {
                return Err(wrong("scores need `--revision`: whose are they?".to_owned()));
            }
            (None, Some(text)) => judge.scores(text, line.role.as_deref())?,
            (None, None) => return Err(wrong("there is neither a text nor scores".to_owned())),
        };
        for (name, score) in scores {
            let Ok(category) = name.parse::<Category>() else { continue };
            let seen = all.entry(category).or_default();
            if positive.contains(&category) {
                seen.positive.push(score);
            } else if line.labels.get(category.name()) == Some(&false) || line.is_clean() {
                seen.clean.push(score);
            }
        }
    }
    bar.finish_and_clear();
    Ok(all)
}

impl Line {
    /// Known to hold no attack and no hazard.
    fn is_clean(&self) -> bool {
        self.attack.as_deref() == Some("benign") && self.hazards.as_ref().is_some_and(Vec::is_empty)
    }

    /// The hazards and attacks in it.
    fn positive(&self) -> Result<Vec<Category>, String> {
        let attack = match self.attack.as_deref() {
            None | Some("benign") => None,
            Some("injection") => Some(Category::PromptInjection),
            Some("jailbreak") => Some(Category::Jailbreak),
            Some(other) => return Err(format!("`{other}` is no kind of attack")),
        };
        let hazards = self.hazards.iter().flatten().map(|name| {
            let coded = Category::ALL.into_iter().find(|c| c.code() == Some(name.as_str()));
            coded.or_else(|| name.parse().ok()).ok_or_else(|| format!("`{name}` is no hazard"))
        });
        let labels = self.labels.iter().filter(|(_, is)| **is).map(|(name, _)| {
            name.parse::<Category>().map_err(|_| format!("`{name}` is no category"))
        });
        attack.map(Ok).into_iter().chain(hazards).chain(labels).collect()
    }
}

fn calibration(
    args: &CalibrateArgs,
    revision: &str,
    all: &BTreeMap<Category, Scores>,
) -> Result<String, Failure> {
    let clean = all.values().map(|scores| scores.clean.len()).max().unwrap_or_default();
    if clean < LEAST_CLEAN {
        return Err(Failure::Environment(format!(
            "{clean} clean texts say nothing about 1 false alarm in 1,000; at least {LEAST_CLEAN} are needed"
        )));
    }
    let mut text = format!(
        "# Written by `portcullis calibrate`: what `low`, `medium` and `high` are for one revision of a classifier.\n\
         # Intervals are 95 % (Wilson). `found` is the share of texts of the hazard that reach the score.\n\
         version: 1\nclassifier: {}\nrevision: {revision:?}\nmeasured: {:?}\nhazards:\n",
        args.classifier,
        format!("{}, {}", args.measured, today()),
    );
    for (category, scores) in all {
        if scores.clean.len() < LEAST_CLEAN {
            continue;
        }
        text.push_str(&format!(
            "  {category}:\n    clean: {}\n    positive: {}\n",
            scores.clean.len(),
            scores.positive.len()
        ));
        let mut clean = scores.clean.clone();
        clean.sort_by(|a, b| b.total_cmp(a));
        for level in Level::ALL {
            let threshold = threshold(level, &clean, args.loosen);
            text.push_str(&line(level, threshold, &clean, &scores.positive));
        }
    }
    Ok(text)
}

/// One word of a hazard.
fn line(level: Level, threshold: f32, clean: &[f32], positive: &[f32]) -> String {
    let alarms = clean.iter().filter(|score| **score >= threshold).count();
    let found = positive.iter().filter(|score| **score >= threshold).count();
    let mut text = format!("    {:<7} {{ score: {threshold:.4}", format!("{level}:"));
    let [low, high] = wilson(alarms, clean.len()).map(|share| share * 1000.0);
    let rate = share(alarms, clean.len()) * 1000.0;
    text.push_str(&format!(", false_alarms: {rate:.2}, false_alarms_95: [{low:.2}, {high:.2}]"));
    if !positive.is_empty() {
        let [low, high] = wilson(found, positive.len());
        let share = share(found, positive.len());
        text.push_str(&format!(", found: {share:.3}, found_95: [{low:.3}, {high:.3}]"));
    }
    text.push_str(" }\n");
    text
}

/// The lowest score that no more clean texts reach than `level` allows; `clean` in falling order.
fn threshold(level: Level, clean: &[f32], loosen: bool) -> f32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a number of texts"
    )]
    let allowed = (clean.len() as f64 * level.false_alarms() / 1000.0) as usize;
    let first_too_many = clean.get(allowed).copied().unwrap_or_default();
    let least = if loosen { 0.0 } else { Calibration::REFERENCE.threshold(level) };
    let above = ((first_too_many + STEP) * 10_000.0).round() / 10_000.0;
    // Certain findings cannot be told from one another: then `1` it is.
    above.clamp(least, 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of texts")]
fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}
