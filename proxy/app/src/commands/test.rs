//! `portcullis test`

use std::process::ExitCode;

use crate::args::PolicyFileArgs;
use crate::config;
use crate::failure::Failure;

/// Runs a policy's own tests and prints a line for each.
pub(crate) fn run(args: &PolicyFileArgs) -> Result<ExitCode, Failure> {
    let policy = config::policy(&args.file)?;
    let outcomes = policy.run_tests();
    for outcome in &outcomes {
        let mark = if outcome.passed { "ok  " } else { "FAIL" };
        println!("{mark}  {}", outcome.name);
        if !outcome.passed {
            println!("      {}:{}", args.file, outcome.line);
            println!("      expected {}", outcome.expected);
            println!("      got      {}", outcome.got);
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if outcomes.is_empty() {
        println!("the policy has no `tests:` yet");
    }
    if failed == 0 { Ok(ExitCode::SUCCESS) } else { Err(Failure::SaidNo) }
}
