//! `portcullis diff`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use classifiers_core::Direction;
use indicatif::ProgressBar;
use policies::{Action, Decision, Policy, decide};
use proxy_audit::{Decided, DecidedRuling, decisions};
use serde_json::json;

use crate::config;
use crate::failure::Failure;
use crate::registry;
use proxy_replay::{Replay, applied, key};

/// Decisions between two moves of the progress bar.
const STEP: u64 = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The policy before: a file, or one that comes with the program
    before: String,
    /// The policy after
    after: String,
    /// Where decisions were recorded
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTCULLIS_AUDIT_DIR",
        default_value = "portcullis-audit"
    )]
    audit_dir: PathBuf,
    /// How many of the decisions that flip to name
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    ids: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Decides every recorded decision again, under one policy and under the other, and counts what flips.
pub(crate) fn run(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let calibrations = registry::calibrations(&registry::embedded()?)?;
    let policy = |name: &str| {
        config::policy(name).map(|policy| policy.calibrated(calibrations.iter().cloned()))
    };
    let mut diff = Diff {
        policies: [policy(&args.before)?, policy(&args.after)?],
        replay: Replay::default(),
        ids: args.ids,
        found: Found::default(),
    };
    let bar = ProgressBar::new_spinner().with_message("decisions read");
    let read = decisions(&args.audit_dir, |decided| {
        diff.exchange(decided);
        if diff.found.exchanges.is_multiple_of(STEP) {
            bar.set_position(diff.found.exchanges);
        }
    });
    bar.finish_and_clear();
    read.map_err(|error| {
        let what = format!("the audit log in {} cannot be read", args.audit_dir.display());
        Failure::environment(what, &error)
    })?;
    let text = if args.json { diff.json() } else { diff.text() };
    writeln!(std::io::stdout(), "{text}").ok();
    Ok(ExitCode::SUCCESS)
}

struct Diff {
    policies: [Policy; 2],
    replay: Replay,
    ids: usize,
    found: Found,
}

#[derive(Default)]
struct Found {
    exchanges: u64,
    decisions: u64,
    flips: u64,
    /// What was done and what would be, such as `allow → block`.
    changes: BTreeMap<String, u64>,
    hazards: BTreeMap<String, u64>,
    routes: BTreeMap<String, u64>,
    keys: BTreeMap<String, u64>,
    ids: Vec<String>,
}

impl Diff {
    fn exchange(&mut self, decided: &Decided<'_>) {
        self.found.exchanges += 1;
        let policies = [0, 1].map(|n| self.policies.get(n).map(|p| applied(p, decided)));
        let [Some(before), Some(after)] = policies else { return };
        for (ruling, own) in
            [(&decided.input, Direction::Input), (&decided.output, Direction::Output)]
        {
            let Some(ruling) = ruling else { continue };
            self.ruling(decided, ruling, own, [&before, &after]);
        }
    }

    fn ruling(
        &mut self,
        decided: &Decided<'_>,
        ruling: &DecidedRuling<'_>,
        own: Direction,
        policies: [&Policy; 2],
    ) {
        let evidence = self.replay.evidence(ruling, own);
        let [before, after] = policies.map(|policy| decide(policy, &evidence));
        let found = &mut self.found;
        found.decisions += 1;
        if before.action == after.action {
            return;
        }
        found.flips += 1;
        let count = |counts: &mut BTreeMap<String, u64>, name: String| {
            *counts.entry(name).or_default() += 1;
        };
        count(&mut found.changes, format!("{own}: {} → {}", before.action, after.action));
        count(&mut found.hazards, reason(&before, &after));
        count(&mut found.routes, policies.map(Policy::profile).join(" → "));
        count(&mut found.keys, key(decided).unwrap_or("(no key)").to_owned());
        if found.ids.len() < self.ids {
            found.ids.push(format!("{}  {own}: {} → {}", decided.id, before.action, after.action));
        }
    }

    fn groups(&self) -> [(&'static str, &BTreeMap<String, u64>); 4] {
        let Found { changes, hazards, routes, keys, .. } = &self.found;
        [("change", changes), ("hazard", hazards), ("route", routes), ("key", keys)]
    }

    fn text(&self) -> String {
        /// More keys than this are a matter for `--json`.
        const SHOWN: usize = 20;
        let Found { exchanges, decisions, flips, ids, .. } = &self.found;
        let [before, after] = self.policies.each_ref().map(Policy::label);
        let mut text = format!(
            "{before} → {after}\n{flips} of {decisions} decisions in {exchanges} exchanges flip\n"
        );
        for (name, counts) in self.groups() {
            if counts.is_empty() {
                continue;
            }
            text.push_str(&format!("\nby {name}\n"));
            let mut counts: Vec<_> = counts.iter().collect();
            counts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let more = counts.len().saturating_sub(SHOWN);
            for (name, count) in counts.into_iter().take(SHOWN) {
                text.push_str(&format!("  {count:>9}  {name}\n"));
            }
            if more > 0 {
                text.push_str(&format!("             and {more} more\n"));
            }
        }
        if !ids.is_empty() {
            text.push_str(&format!(
                "\nsuch as (see `portcullis explain`)\n  {}\n",
                ids.join("\n  ")
            ));
        }
        text.trim_end().to_owned()
    }

    fn json(&self) -> String {
        let Found { exchanges, decisions, flips, changes, hazards, routes, keys, ids } =
            &self.found;
        let [before, after] = self.policies.each_ref().map(Policy::label);
        let value = json!({
            "before": before, "after": after, "exchanges": exchanges, "decisions": decisions, "flips": flips,
            "by_change": changes, "by_hazard": hazards, "by_route": routes, "by_key": keys, "such_as": ids,
        });
        format!("{value:#}")
    }
}

/// What the stronger of the two decisions is because of.
fn reason(before: &Decision, after: &Decision) -> String {
    let stronger = if before.action > after.action { before } else { after };
    let first = stronger.because.first();
    first.map_or_else(|| Action::Allow.name().to_owned(), ToString::to_string)
}
