//! `portcullis check`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use policies::{Context, Diagnostics, Policy, Severity};
use serde_json::{Value, json};

use crate::config::{policy_source, today};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Policy files, or policies that come with the program
    #[arg(value_name = "FILE|NAME", required = true)]
    files: Vec<String>,
    /// Say no to warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// Print JSON: one list of problems
    #[arg(long)]
    json: bool,
}

/// Prints everything that is wrong with policies, or that nothing is.
pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let mut bad = false;
    let mut problems = Vec::new();
    for file in &args.files {
        let source = policy_source(file)?;
        let dir = Path::new(file).parent().unwrap_or(Path::new(""));
        let has_file = |name: &str| dir.join(name).is_file();
        let context = Context { today: today(), has_file: &has_file };
        let (label, said) = match Policy::check(&source, file, &context) {
            Ok((policy, warnings)) => (Some(policy.label().to_owned()), warnings),
            Err(diagnostics) => (None, diagnostics),
        };
        bad |= label.is_none() || (args.deny_warnings && !said.is_empty());
        if args.json {
            problems.extend(as_json(&said));
        } else {
            say!("{said}");
            if let Some(label) = label {
                say!("{label} can be used");
            }
        }
    }
    if args.json {
        writeln!(std::io::stdout(), "{:#}", Value::Array(problems)).ok();
    }
    if bad { Err(Failure::SaidNo) } else { Ok(ExitCode::SUCCESS) }
}

fn as_json(said: &Diagnostics) -> impl Iterator<Item = Value> + '_ {
    said.iter().map(|item| {
        json!({
            "file": said.file(),
            "severity": Severity::name(item.severity),
            "line": item.line,
            "column": item.column,
            "length": item.length,
            "message": item.message,
            "expected": item.expected,
            "help": item.help,
        })
    })
}
