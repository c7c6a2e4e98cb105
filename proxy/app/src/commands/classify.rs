//! `portcullis classify`

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;

use classifiers_core::{Direction, Passage, Role};
use policies::{Evidence, Policy, decide};
use serde::{Deserialize, Serialize};

use crate::args::ClassifyArgs;
use crate::config;
use crate::failure::Failure;
use crate::registry;

use super::serve::runtime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
    #[serde(default)]
    role: Speaker,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    #[default]
    User,
    Assistant,
    Tool,
}

#[derive(Serialize)]
struct Verdict<'a> {
    findings: Vec<Found<'a>>,
    action: &'static str,
    because: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
}

#[derive(Serialize)]
struct Found<'a> {
    category: &'static str,
    score: f32,
    classifier: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<[usize; 2]>,
}

/// Judges every line of standard input.
pub(crate) fn run(args: &ClassifyArgs) -> Result<ExitCode, Failure> {
    let policy = config::policy(&args.policy)?;
    let panel = registry::panel(&args.models.models()?, policy.timeout())?;
    let runtime = runtime()?;
    let mut out = stdout().lock();
    for (number, line) in stdin().lock().lines().enumerate() {
        let line =
            line.map_err(|error| Failure::environment("standard input cannot be read", &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let passage = read(&line, args.json)
            .map_err(|error| Failure::Usage(format!("line {}: {error}", number + 1)))?;
        let evidence = runtime.block_on(panel.judge(&[passage], &policy));
        write(&mut out, &policy, &evidence)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line that begins like a JSON object is taken as one, unless it is none; then it is a text like any other,
/// except where JSON was promised.
fn read(line: &str, must_be_json: bool) -> Result<Passage, serde_json::Error> {
    let looks_like_json = must_be_json || line.trim_start().starts_with('{');
    let line = match looks_like_json.then(|| serde_json::from_str::<Line>(line)) {
        Some(Ok(line)) => line,
        Some(Err(error)) if must_be_json => return Err(error),
        _ => Line { text: line.to_owned(), role: Speaker::User },
    };
    let (role, direction) = match line.role {
        Speaker::User => (Role::User, Direction::Input),
        Speaker::Assistant => (Role::Assistant, Direction::Output),
        Speaker::Tool => (Role::Tool, Direction::Tools),
    };
    Ok(Passage::new(line.text, role, direction, "/text"))
}

fn write(out: &mut impl Write, policy: &Policy, evidence: &Evidence) -> Result<(), Failure> {
    let decision = decide(policy, evidence);
    let verdict = Verdict {
        findings: evidence
            .observations
            .iter()
            .map(|seen| Found {
                category: seen.category.name(),
                score: seen.score,
                classifier: &seen.classifier,
                span: seen.span.as_ref().map(|span| [span.start, span.end]),
            })
            .collect(),
        action: decision.action.name(),
        because: decision.because.iter().map(policies::Because::name).collect(),
        failures: evidence.failures.iter().map(|f| format!("{}: {}", f.check, f.reason)).collect(),
    };
    let mut line = serde_json::to_vec(&verdict)
        .map_err(|error| Failure::environment("a verdict cannot be written", &error))?;
    line.push(b'\n');
    // A line at a time, so that a program on the other end can ask and wait.
    out.write_all(&line)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::environment("standard output cannot be written", &error))
}
