//! `portcullis explain`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use classifiers_core::{Direction, Passage, Role};
use policies::{Considered, Decision, Evidence, Policy, Request, decide, explain};
use proxy_audit::{DecidedRuling, decisions};
use uuid::Uuid;

use crate::config;
use crate::failure::Failure;
use crate::registry;
use proxy_replay::{Replay, applied, key};

use super::serve::runtime;

/// Scores below this are of no interest unless they count.
const LEAST: f32 = 0.2;

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A text, or the id of a decision that was recorded
    what: String,
    /// A policy file, or one that comes with the program
    #[arg(long, value_name = "FILE|NAME", default_value = "default")]
    policy: String,
    /// Where decisions were recorded
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTCULLIS_AUDIT_DIR",
        default_value = "portcullis-audit"
    )]
    audit_dir: PathBuf,
    /// Where the text stands
    #[arg(long, value_enum, default_value_t = Place::Input)]
    at: Place,
    /// The name or fingerprint of the key it comes with
    #[arg(long)]
    key: Option<String>,
    /// The model that is asked for
    #[arg(long)]
    model: Option<String>,
}

/// A column of a policy.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Place {
    /// What people send
    Input,
    /// What the model says
    Output,
    /// What tools say
    Tools,
}

/// Says why a text or a recorded decision is decided as it is, and what would change it.
pub(crate) fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let panel = registry::embedded()?;
    let policy = config::policy(&args.policy)?.calibrated(registry::calibrations(&panel)?);
    let text = match args.what.parse::<Uuid>() {
        Ok(id) => recorded(args, &policy, id)?,
        Err(_) => {
            let request = Request {
                key: args.key.as_deref(),
                model: args.model.as_deref(),
                ..Request::default()
            };
            let policy = policy.for_request(&request, Some(config::today()));
            let (role, direction) = args.at.column();
            let passage = Passage::new(args.what.as_str(), role, direction, "/text");
            let evidence = runtime()?.block_on(panel.judge(&[passage], &policy));
            format!("{}{}", asked(&policy, args.key.as_deref()), decision(&policy, &evidence))
        }
    };
    writeln!(std::io::stdout(), "{}", text.trim_end()).ok();
    Ok(ExitCode::SUCCESS)
}

impl Place {
    const fn column(self) -> (Role, Direction) {
        match self {
            Self::Input => (Role::User, Direction::Input),
            Self::Output => (Role::Assistant, Direction::Output),
            Self::Tools => (Role::Tool, Direction::Tools),
        }
    }
}

/// A decision of the log, decided again.
fn recorded(args: &ExplainArgs, policy: &Policy, id: Uuid) -> Result<String, Failure> {
    let mut replay = Replay::default();
    let mut text = String::new();
    let read = decisions(&args.audit_dir, |decided| {
        if decided.id != id {
            return;
        }
        let policy = applied(policy, decided);
        let then = decided.policy.as_deref().unwrap_or_default();
        text.push_str(&format!("decision  {id}, {}\n", decided.time));
        text.push_str(&format!("decided   {}\n", decided.policy.as_deref().unwrap_or("(unknown)")));
        text.push_str(&asked(&policy, key(decided)));
        if !then.is_empty() && then != policy.label() {
            text.push_str(
                "note      that is not the policy that decided then: give it with --policy\n",
            );
        }
        let sides = [
            ("request", &decided.input, Direction::Input),
            ("answer", &decided.output, Direction::Output),
        ];
        for (name, ruling, own) in sides {
            let Some(ruling) = ruling else { continue };
            let evidence = replay.evidence(ruling, own);
            text.push_str(&format!("\nthe {name}: recorded as {}\n", in_record(ruling)));
            text.push_str(&decision(&policy, &evidence));
        }
    });
    read.map_err(|error| {
        let what = format!("the audit log in {} cannot be read", args.audit_dir.display());
        Failure::environment(what, &error)
    })?;
    if text.is_empty() {
        return Err(Failure::Environment(format!(
            "there is no decision {id} in {}",
            args.audit_dir.display()
        )));
    }
    Ok(text)
}

fn in_record(ruling: &DecidedRuling<'_>) -> String {
    let mut text = ruling.action.as_str().to_owned();
    if let Some(would) = ruling.would {
        text.push_str(&format!(", would {would}"));
    }
    if !ruling.because.is_empty() {
        text.push_str(&format!(" because of {}", ruling.because.join(", ")));
    }
    text
}

/// Who asks, and what applies to them.
fn asked(policy: &Policy, key: Option<&str>) -> String {
    format!(
        "policy    {}\nkey       {}\nroute     profile `{}`, {}\n",
        policy.label(),
        key.unwrap_or("(none)"),
        policy.profile(),
        policy.mode(),
    )
}

fn decision(policy: &Policy, evidence: &Evidence) -> String {
    let decision = decide(policy, evidence);
    let mut text = format!("decision  {}\n", in_words(&decision));
    for failure in &evidence.failures {
        let action = policy.on_failure(failure.direction);
        text.push_str(&format!(
            "  {} gave no verdict ({}): on_failure.{} is {action}\n",
            failure.check, failure.reason, failure.direction
        ));
    }
    for spoken in evidence.languages.iter().filter(|spoken| !policy.is_checked(&spoken.language)) {
        text.push_str(&format!("  a text in `{}`, which is not checked\n", spoken.language));
    }
    let considered = explain(policy, evidence, LEAST);
    if considered.is_empty() {
        text.push_str("  nothing was found: no score is above 0.2\n");
    }
    considered.iter().for_each(|one| text.push_str(&finding(one)));
    text
}

fn in_words(decision: &Decision) -> String {
    let mut text = decision.action.name().to_owned();
    if let Some(would) = decision.would {
        text.push_str(&format!(", would {would}"));
    }
    let because: Vec<&str> = decision.because.iter().map(policies::Because::name).collect();
    if !because.is_empty() {
        text.push_str(&format!(" because of {}", because.join(", ")));
    }
    if !decision.exemptions.is_empty() {
        text.push_str(&format!(", exempt by {}", decision.exemptions.join(", ")));
    }
    text
}

fn finding(one: &Considered) -> String {
    let Considered { category, direction, classifier, score, threshold, action, mode, .. } = one;
    let counts = if one.counts { "counts" } else { "does not count" };
    let mut text = format!(
        "  {category} at {direction}: {classifier} says {score:.4}, threshold {threshold:.4}: {counts}\n"
    );
    if one.counts {
        text.push_str(&format!("      rule: {action}, {mode}"));
        if let Some(id) = &one.exemption {
            text.push_str(&format!(", weakened by {id}"));
        }
        text.push('\n');
    }
    text.push_str(&format!("      what would change it: {}\n", one.what_would_change_it()));
    text
}
